//! Conversations that a test holds open while the Service changes under them: one connection, or
//! one UDP socket on a port of its own, in a pod, a node or outside. They are made past the
//! programs at connect(), so they are translated packet by packet (see `place`).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lab::patience::longer;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::place::Place;

/// For a connection to open: longer than a busy machine stands still.
const PATIENCE: Duration = Duration::from_secs(5);
/// For one answer on an open one, where only a dead connection takes longer.
const ANSWER: Duration = Duration::from_secs(20);
/// For one datagram, which is sent again if need be.
const DATAGRAM: Duration = Duration::from_millis(1_500);

/// A connection to one of the servers, kept open.
#[derive(Debug)]
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects from `place`.
    pub(crate) fn open(place: &Place, to: SocketAddr) -> io::Result<Self> {
        Self::kept(place.inside(|| TcpStream::connect_timeout(&to, longer(PATIENCE)))?)
    }

    /// Connects from a port of choice. When it is dropped it is reset, so that the port is free for
    /// the next one.
    pub(crate) fn open_from(place: &Place, port: u16, to: SocketAddr) -> io::Result<Self> {
        let open = || {
            let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.set_linger(Some(Duration::ZERO))?;
            socket.bind(&SocketAddr::new(any(to), port).into())?;
            socket.connect_timeout(&to.into(), longer(PATIENCE))?;
            Ok::<_, io::Error>(socket)
        };
        Self::kept(place.inside(|| once_free(open))?.into())
    }

    fn kept(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(longer(ANSWER)))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Asks, and returns who answered.
    pub(crate) fn ask(&mut self) -> io::Result<String> {
        let question = b"GET / HTTP/1.1\r\nHost: server\r\n\r\n";
        self.0.get_mut().write_all(question)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_lowercase();
            if let Some(given) = line.strip_prefix("content-length:") {
                length = given.trim().parse().map_err(io::Error::other)?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        answerer(&body)
    }
}

/// A connected UDP socket on one port.
#[derive(Debug)]
pub(crate) struct Datagrams(UdpSocket);

impl Datagrams {
    /// Binds it in `place`, and connects it.
    pub(crate) fn open(place: &Place, port: u16, to: SocketAddr) -> io::Result<Self> {
        let open = || {
            let socket = UdpSocket::bind((any(to), port))?;
            socket.connect(to)?;
            socket.set_read_timeout(Some(longer(DATAGRAM)))?;
            Ok(socket)
        };
        place.inside(|| once_free(open)).map(Self)
    }

    /// Asks, and returns who answered.
    pub(crate) fn ask(&self) -> io::Result<String> {
        let mut answer = [0; 2048];
        self.0.send(b"who?")?;
        let length = self.0.recv(&mut answer)?;
        answerer(&answer[..length])
    }

    /// Asks until `holds` of what comes back; fails after `within`. Returns how long it took.
    pub(crate) fn until(
        &self,
        within: Duration,
        holds: impl Fn(&io::Result<String>) -> bool,
    ) -> Result<Duration, String> {
        let (began, within) = (Instant::now(), longer(within));
        loop {
            let asked = self.ask();
            if holds(&asked) {
                return Ok(began.elapsed());
            }
            if began.elapsed() > within {
                return Err(format!("after {within:?}: {asked:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Opens a socket on a port that was just given back. Where another thread is about to start a
/// program, its child holds what is closed here until it becomes that program.
fn once_free<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let began = Instant::now();
    loop {
        match open() {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && began.elapsed() < longer(PATIENCE) =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

fn any(like: SocketAddr) -> IpAddr {
    match like {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn answerer(body: &[u8]) -> io::Result<String> {
    let answer: Value = serde_json::from_slice(body)?;
    Ok(answer["pod"].as_str().unwrap_or_default().to_owned())
}
