//! TCP: many questions on one connection, answered as they are ready (RFC 7766).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol as Transport, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::metrics::Protocol;
use crate::server::{Client, Reaction, Room, Server};
use crate::wire::query::LONGEST;

/// A connection that asks nothing for this long is closed.
const IDLE: Duration = Duration::from_secs(10);
/// The same while more than half of all connections are in use.
const IDLE_CROWDED: Duration = Duration::from_secs(1);
/// How long a question may take to come in whole, and an answer to be taken.
const SLOW: Duration = Duration::from_secs(3);
/// Answers of one connection that wait to be taken, and questions that wait for an upstream.
const WAITING: usize = 32;
/// Bytes of these answers: one of the longest. All connections together could hold so much of
/// memory that it has to be bounded by more than their number.
const UNTAKEN: usize = 2 + u16::MAX as usize;
/// Connections that the kernel holds until we take them.
const BACKLOG: i32 = 1024;
/// How long to rest after an accept failed: for want of file descriptors, mostly.
const REST: Duration = Duration::from_millis(50);

/// A listening socket. With `only_v6`, `[::]` leaves IPv4 to others.
pub(crate) fn bind(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Transport::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// How many connections there may be.
#[derive(Clone)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Places {
    pub(crate) fn new(all: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(all)),
            all,
        }
    }

    fn idle(&self) -> Duration {
        if self.free.available_permits() < self.all / 2 {
            IDLE_CROWDED
        } else {
            IDLE
        }
    }
}

/// Serves connections until `closing`.
pub(crate) async fn serve(
    listener: TcpListener,
    server: Arc<Server>,
    places: Places,
    closing: CancellationToken,
) {
    loop {
        let Ok(place) = places.free.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "not accepted");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let connection = Connection {
            server: server.clone(),
            client: Client {
                address,
                protocol: Protocol::Tcp,
            },
            places: places.clone(),
        };
        let closing = closing.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = connection.serve(stream, place) => {}
                () = closing.cancelled() => {}
            }
        });
    }
}

struct Connection {
    server: Arc<Server>,
    client: Client,
    places: Places,
}

impl Connection {
    async fn serve(self, stream: TcpStream, _place: OwnedSemaphorePermit) {
        let open = self.server.metrics.connections();
        open.inc();
        // Answers are small and should not wait for one another.
        let _ = stream.set_nodelay(true);
        let (reading, writing) = stream.into_split();
        let (answers, waiting) = answers();
        tokio::select! {
            // Ends once the reader and all jobs have, or when the client does not take answers.
            () = write(writing, waiting) => {}
            () = async {
                self.read(reading, answers).await;
                std::future::pending::<()>().await;
            } => {}
        }
        open.dec();
    }

    /// Reads questions until the client is done, or slow, or not heard of.
    async fn read(&self, reading: OwnedReadHalf, answers: Answers) {
        let mut reading = BufReader::new(reading);
        let mut room = Room::default();
        let mut packet = Vec::new();
        let jobs = Arc::new(Semaphore::new(WAITING));
        loop {
            let Ok(Ok(length)) = timeout(self.places.idle(), reading.read_u16()).await else {
                return;
            };
            if usize::from(length) > LONGEST {
                return;
            }
            packet.resize(usize::from(length), 0);
            let Ok(Ok(_)) = timeout(SLOW, reading.read_exact(&mut packet)).await else {
                return;
            };
            match self.server.react(&packet, self.client, &mut room) {
                Reaction::Answer => {
                    if answers.send(&room.out).await.is_none() {
                        return;
                    }
                }
                // Not a question: whoever is there does not speak DNS.
                Reaction::Silence => return,
                Reaction::Later(job) => {
                    let Ok(place) = jobs.clone().acquire_owned().await else {
                        return;
                    };
                    let (server, answers) = (self.server.clone(), answers.clone());
                    tokio::spawn(async move {
                        let mut room = Room::default();
                        job.finish(&server, &mut room).await;
                        // Nobody to take it: the connection is closed.
                        let _ = answers.send(&room.out).await;
                        drop(place);
                    });
                }
            }
        }
    }
}

/// An answer that waits to be taken.
struct Untaken {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Where the answers of a connection go in.
#[derive(Clone)]
struct Answers {
    waiting: mpsc::Sender<Untaken>,
    room: Arc<Semaphore>,
}

fn answers() -> (Answers, mpsc::Receiver<Untaken>) {
    let (waiting, answers) = mpsc::channel(WAITING);
    let room = Arc::new(Semaphore::new(UNTAKEN));
    (Answers { waiting, room }, answers)
}

impl Answers {
    /// Sends an answer when there is room for it; none when the connection is closed.
    async fn send(&self, answer: &[u8]) -> Option<()> {
        let bytes = framed(answer);
        // An answer is at most 65535 bytes.
        let room = self.room.clone().acquire_many_owned(bytes.len() as u32);
        let _room = room.await.ok()?;
        self.waiting.send(Untaken { bytes, _room }).await.ok()
    }
}

/// Writes answers until there are no more, or the client does not take them.
async fn write(mut writing: OwnedWriteHalf, mut waiting: mpsc::Receiver<Untaken>) {
    while let Some(answer) = waiting.recv().await {
        let Ok(Ok(())) = timeout(SLOW, writing.write_all(&answer.bytes)).await else {
            return;
        };
    }
}

/// An answer with its length in front (RFC 1035, 4.2.2).
fn framed(answer: &[u8]) -> Vec<u8> {
    let length = u16::try_from(answer.len()).unwrap_or_default();
    [&length.to_be_bytes(), answer].concat()
}
