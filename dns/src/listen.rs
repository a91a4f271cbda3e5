//! The sockets: UDP and TCP on each address, served by hickory.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use hickory_server::Server;
use tokio::net::{TcpListener, UdpSocket};

use crate::handler::Handler;

/// A TCP connection that asks nothing for this long is closed.
const TCP_IDLE: Duration = Duration::from_secs(10);

/// Answers on their way out of one TCP connection.
const TCP_ANSWERS: usize = 32;

/// How often to look for a port that is free on both protocols when the system chooses it.
const PORT_TRIES: usize = 8;

/// The DNS server with its sockets open.
pub(crate) struct Listeners {
    server: Server<Handler>,
    addresses: Vec<(&'static str, SocketAddr)>,
}

impl Listeners {
    /// Opens the sockets and begins to answer.
    pub(crate) async fn bind(listen: &[SocketAddr], handler: Handler) -> anyhow::Result<Self> {
        let mut server = Server::new(handler);
        let mut addresses = Vec::new();
        for &wanted in listen {
            let (udp, tcp) = pair(wanted)
                .await
                .with_context(|| format!("cannot listen on {wanted}"))?;
            addresses.push(("UDP", udp.local_addr()?));
            addresses.push(("TCP", tcp.local_addr()?));
            server.register_socket(udp);
            server.register_listener(tcp, TCP_IDLE, TCP_ANSWERS);
        }
        Ok(Self { server, addresses })
    }

    /// Every bound address with its protocol.
    pub(crate) fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Waits until a socket fails for good.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        self.server.block_until_done().await?;
        anyhow::bail!("closed")
    }

    /// Stops listening.
    pub(crate) async fn close(&mut self) -> anyhow::Result<()> {
        self.server.shutdown_gracefully().await?;
        Ok(())
    }
}

/// A UDP and a TCP socket on one address, of the same port also where that is 0.
async fn pair(wanted: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = PORT_TRIES;
    loop {
        let tcp = TcpListener::bind(wanted).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if wanted.port() != 0 || tries == 0 => return Err(error),
            Err(_) => tries -= 1,
        }
    }
}
