//! UDP: one socket and one thread a core and address. The kernel spreads clients over them.
//!
//! A thread that reads, answers and reads again spends its time in the kernel's UDP code; waking
//! tasks of a runtime for each datagram would add to that.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol as Transport, Socket, Type};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::metrics::Protocol;
use crate::server::{Client, Job, Reaction, Room, Server};
use crate::wire::query::LONGEST;

/// How often a thread without work looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);
/// How long an answer may wait for room in the socket before it is dropped.
const SEND: Duration = Duration::from_millis(50);
/// Room for a burst of questions, in bytes.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket of a group that shares `address`. With `only_v6`, `[::]` leaves IPv4 to others.
pub(crate) fn bind(address: SocketAddr, only_v6: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Transport::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_reuse_port(true)?;
    // The system may give less; that is no reason not to serve.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_read_timeout(Some(LOOK))?;
    socket.set_write_timeout(Some(SEND))?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Answers what comes to `socket` until `closing`, in a thread of its own.
pub(crate) fn serve(
    socket: UdpSocket,
    server: Arc<Server>,
    runtime: Handle,
    closing: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let serving = Serving {
        socket: Arc::new(socket),
        server,
        runtime,
    };
    std::thread::Builder::new()
        .name("dns-udp".to_owned())
        .spawn(move || serving.run(&closing))
}

struct Serving {
    socket: Arc<UdpSocket>,
    server: Arc<Server>,
    runtime: Handle,
}

impl Serving {
    fn run(&self, closing: &CancellationToken) {
        let mut packet = vec![0; LONGEST];
        let mut room = Room::default();
        while !closing.is_cancelled() {
            match self.socket.recv_from(&mut packet) {
                Ok((length, client)) => self.react(&packet[..length], client, &mut room),
                Err(error) if is_pause(&error) => {}
                // That of an answer which a client refused (ICMP), or a shortage that passes.
                Err(error) => {
                    tracing::debug!(%error, "not received");
                    std::thread::yield_now();
                }
            }
        }
    }

    fn react(&self, packet: &[u8], address: SocketAddr, room: &mut Room) {
        let client = Client {
            address,
            protocol: Protocol::Udp,
        };
        match self.server.react(packet, client, room) {
            Reaction::Answer => send(&self.socket, &room.out, address),
            Reaction::Silence => {}
            Reaction::Later(job) => self.later(job),
        }
    }

    fn later(&self, job: Box<Job>) {
        let (server, socket) = (self.server.clone(), self.socket.clone());
        self.runtime.spawn(async move {
            let client = job.client().address;
            let mut room = Room::default();
            job.finish(&server, &mut room).await;
            send(&socket, &room.out, client);
        });
    }
}

fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    if answer.is_empty() {
        return;
    }
    if let Err(error) = socket.send_to(answer, client) {
        tracing::debug!(%error, %client, "answer not sent");
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
