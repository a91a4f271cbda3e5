//! Sends one packet or connection of the agent's own from a network namespace: what `flatnet trace`
//! compares its model with.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::spaces::Space;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a datagram says unless it is told otherwise; who does not know it answers or not.
const WORDS: &[u8] = b"flatnet trace\n";

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether a TCP connection is taken.
    Connection(SocketAddr),
    /// Whether a datagram is answered.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// What it says.
        words: Vec<u8>,
    },
}

impl Question {
    /// A datagram of so many bytes, or as many as it takes to say something.
    #[must_use]
    pub fn datagram(to: SocketAddr, size: usize) -> Self {
        let mut words = WORDS.to_vec();
        words.resize(size.max(WORDS.len()), b'.');
        Self::Datagram { to, words }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was answered: TCP connected, or a datagram came back.
    Answered,
    /// It was refused: a reset, or an ICMP error.
    Refused,
    /// There is no way: the kernel or a router says so.
    Unreachable,
    /// Nothing came.
    Silent,
    /// It could not be sent.
    Failed,
}

/// Asks, and says what came of it, after what time, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What came.
    pub answer: Answer,
    /// How long it took.
    pub took: Duration,
    /// The port that the kernel chose, with no address: that may change until it is sent.
    pub from: Option<SocketAddr>,
    /// What the answer to a datagram says.
    pub heard: Vec<u8>,
    /// The error, in the kernel's words.
    pub words: Option<String>,
}

/// Asks from a namespace. Blocks for two seconds at most.
///
/// # Errors
/// If the namespace cannot be entered.
pub fn ask(space: &Space, question: Question) -> io::Result<Asked> {
    let pid = space.pids.first().ok_or(ErrorKind::NotFound)?;
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    // A thread of its own, that ends in that namespace.
    let inside = move || {
        enter(&namespace)?;
        let begun = Instant::now();
        let (done, from) = match question {
            Question::Connection(to) => connect(to),
            Question::Datagram { to, words } => send(to, &words),
        };
        let took = begun.elapsed();
        Ok(Asked {
            answer: judged(&done),
            took,
            from,
            words: done.as_ref().err().map(ToString::to_string),
            heard: done.unwrap_or_default(),
        })
    };
    let asked = thread::spawn(inside).join();
    asked.unwrap_or_else(|_| Err(io::Error::other("the thread that asks broke")))
}

/// Moves this thread, which does nothing else from now on, into a network namespace. (To be where it
/// is already takes no rights; to go elsewhere takes CAP_SYS_ADMIN.)
///
/// # Errors
/// The system call's.
pub(super) fn enter(namespace: &File) -> io::Result<()> {
    let here = fs::metadata("/proc/thread-self/ns/net")?;
    if here.ino() == namespace.metadata()?.ino() {
        return Ok(());
    }
    // SAFETY: the descriptor is open; the call changes this thread alone, which does nothing else.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The port that the kernel chose is known whatever comes: the socket is bound first.
fn connect(to: SocketAddr) -> (io::Result<Vec<u8>>, Option<SocketAddr>) {
    let mut from = None;
    let mut exchange = || {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&any(to).into())?;
        from = socket.local_addr()?.as_socket();
        socket.connect_timeout(&to.into(), PATIENCE)?;
        Ok(Vec::new())
    };
    let done = exchange();
    (done, from)
}

fn send(to: SocketAddr, words: &[u8]) -> (io::Result<Vec<u8>>, Option<SocketAddr>) {
    let mut from = None;
    let mut exchange = || {
        let socket = UdpSocket::bind(any(to))?;
        from = socket.local_addr().ok();
        // Connected, so that ICMP errors come back to it.
        socket.connect(to)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(words)?;
        let mut heard = vec![0; 2048];
        let length = socket.recv(&mut heard)?;
        heard.truncate(length);
        Ok(heard)
    };
    let done = exchange();
    (done, from)
}

fn any(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn judged<T>(done: &io::Result<T>) -> Answer {
    let Err(error) = done else {
        return Answer::Answered;
    };
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Answer::Refused,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Answer::Unreachable,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Answer::Silent,
        _ => Answer::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::kernel::spaces;

    fn here(to: SocketAddr, tcp: bool) -> Answer {
        let all = spaces::all();
        let own = spaces::own(&all).expect("this namespace");
        let question = match tcp {
            true => Question::Connection(to),
            false => Question::datagram(to, 0),
        };
        match ask(own, question) {
            Ok(asked) => asked.answer,
            // Entering a namespace, also the own one, is root's.
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn answers_and_refusals_are_told_apart() {
        // SAFETY: the call takes nothing and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            assert!(std::env::var_os("CI").is_none(), "CI runs as root");
            eprintln!("skipped: only root enters network namespaces");
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let at = listener.local_addr().expect("an address");
        assert_eq!(here(at, true), Answer::Answered);
        drop(listener);
        assert_eq!(here(at, true), Answer::Refused);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let at = socket.local_addr().expect("an address");
        let echo = thread::spawn(move || {
            let mut words = [0; 64];
            let (length, from) = socket.recv_from(&mut words).expect("words");
            socket.send_to(&words[..length], from).expect("sent");
        });
        assert_eq!(here(at, false), Answer::Answered);
        echo.join().expect("it ends");
        assert_eq!(here(at, false), Answer::Refused);
    }
}
