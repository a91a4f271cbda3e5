//! The sockets: on each address one of TCP, and of UDP as many as there are cores to serve them.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::server::Server;
use crate::tcp::{self, Places};
use crate::udp;

/// How often to look for a port that is free on both protocols when the system chooses it.
const PORT_TRIES: usize = 8;

/// The DNS server with its sockets open.
pub(crate) struct Listeners {
    closing: CancellationToken,
    threads: Vec<JoinHandle<()>>,
    addresses: Vec<(&'static str, SocketAddr)>,
}

/// How much is served at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    /// UDP sockets and threads for each address.
    pub(crate) threads: usize,
    /// TCP connections in all.
    pub(crate) connections: usize,
}

impl Listeners {
    /// Opens the sockets and begins to answer. Must be called within a tokio runtime.
    pub(crate) fn bind(
        listen: &[SocketAddr],
        server: &Arc<Server>,
        capacity: Capacity,
    ) -> anyhow::Result<Self> {
        let mut listeners = Self {
            closing: CancellationToken::new(),
            threads: Vec::new(),
            addresses: Vec::new(),
        };
        let places = Places::new(capacity.connections);
        for &wanted in listen {
            let only_v6 = listen.iter().any(|other| is_v4_of(*other, wanted.port()));
            let (tcp, udp) = sockets(wanted, only_v6, capacity.threads)
                .with_context(|| format!("cannot listen on {wanted}"))?;
            let bound = tcp.local_addr()?;
            listeners.addresses.push(("UDP", bound));
            listeners.addresses.push(("TCP", bound));
            let closing = listeners.closing.clone();
            let serving = tcp::serve(tcp, server.clone(), places.clone(), closing.clone());
            tokio::spawn(serving);
            for socket in udp {
                let thread =
                    udp::serve(socket, server.clone(), Handle::current(), closing.clone())?;
                listeners.threads.push(thread);
            }
        }
        Ok(listeners)
    }

    /// Every bound address with its protocol.
    pub(crate) fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Stops listening, and waits until nobody does any more.
    pub(crate) async fn close(mut self) {
        self.closing.cancel();
        let threads = std::mem::take(&mut self.threads);
        let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        // A thread that panicked has said so.
        let _ = tokio::task::spawn_blocking(join).await;
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

fn is_v4_of(address: SocketAddr, port: u16) -> bool {
    matches!(address.ip(), IpAddr::V4(_)) && address.port() == port
}

/// A TCP and some UDP sockets on one address, of the same port also where that is 0.
///
/// The UDP sockets share their port and would share it with another server's; the TCP socket
/// does not, and so the second server on an address fails.
fn sockets(
    wanted: SocketAddr,
    only_v6: bool,
    threads: usize,
) -> io::Result<(TcpListener, Vec<UdpSocket>)> {
    let mut tries = PORT_TRIES;
    loop {
        let tcp = tcp::bind(wanted, only_v6)?;
        let bound = tcp.local_addr()?;
        let udp: io::Result<Vec<_>> = (0..threads.max(1))
            .map(|_| udp::bind(bound, only_v6))
            .collect();
        match udp {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if wanted.port() != 0 || tries == 0 => return Err(error),
            Err(_) => tries -= 1,
        }
    }
}
