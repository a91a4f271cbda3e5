//! Sends one packet or connection of the agent's own from a network namespace: what `flatnet trace`
//! compares its model with.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::listeners;
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
    /// Where the kernel has a connection go that was taken, and where it goes as the program is
    /// told: two addresses where a socket program has chosen.
    pub towards: Option<(SocketAddr, SocketAddr)>,
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
    ask_in(File::open(format!("/proc/{pid}/ns/net"))?, question)
}

/// The same from a namespace that a file stands for.
///
/// # Errors
/// If it cannot be entered.
pub fn ask_in(namespace: File, question: Question) -> io::Result<Asked> {
    inside(namespace, move || {
        let begun = Instant::now();
        let (done, from, towards) = match question {
            Question::Connection(to) => connect(to),
            Question::Datagram { to, words } => send(to, &words),
        };
        let took = begun.elapsed();
        Ok(Asked {
            answer: judged(&done),
            took,
            from,
            towards,
            words: done.as_ref().err().map(ToString::to_string),
            heard: done.unwrap_or_default(),
        })
    })
}

/// The address from which something would be sent there from a namespace. Sends nothing.
///
/// # Errors
/// If it cannot be entered, or has no way there.
pub fn source_in(namespace: File, to: SocketAddr) -> io::Result<IpAddr> {
    inside(namespace, move || {
        let socket = UdpSocket::bind(any(to))?;
        socket.connect(to)?;
        Ok(socket.local_addr()?.ip())
    })
}

/// On a thread of its own, that ends in that namespace.
fn inside<T: Send + 'static>(
    namespace: File,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = thread::spawn(move || enter(&namespace).and_then(|()| work())).join();
    done.unwrap_or_else(|_| Err(io::Error::other("the thread that asks broke")))
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

/// What was heard, the end from which was asked, and [`Asked::towards`].
type Done = (
    io::Result<Vec<u8>>,
    Option<SocketAddr>,
    Option<(SocketAddr, SocketAddr)>,
);

/// The port that the kernel chose is known whatever comes: the socket is bound first.
fn connect(to: SocketAddr) -> Done {
    let (mut from, mut towards) = (None, None);
    let mut exchange = || {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&any(to).into())?;
        from = socket.local_addr()?.as_socket();
        socket.connect_timeout(&to.into(), PATIENCE)?;
        let kernels = from.and_then(|from| listeners::remote(from.port()));
        let told = socket.peer_addr().ok().and_then(|told| told.as_socket());
        towards = kernels.zip(told);
        Ok(Vec::new())
    };
    let done = exchange();
    (done, from, towards)
}

fn send(to: SocketAddr, words: &[u8]) -> Done {
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
    (done, from, None)
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
