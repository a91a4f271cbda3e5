//! Who listens at an address in a network namespace, and where a connection goes: `/proc/PID/net/tcp`
//! and its like, and the processes that hold the sockets.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proxy_abi::protocol;

use super::spaces::Space;

/// Somebody who listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address that the socket is bound to.
    pub address: IpAddr,
    /// The process, if one of this namespace holds the socket.
    pub pid: Option<u32>,
    /// Its name (`/proc/PID/comm`).
    pub name: Option<String>,
    /// Whether it is stopped.
    pub stopped: bool,
}

/// A line of the kernel's table.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    address: IpAddr,
    port: u16,
    remote: SocketAddr,
    state: u8,
    inode: u64,
}

/// States of the table (include/net/tcp_states.h): TCP_LISTEN, and TCP_CLOSE, which a UDP socket
/// that is not connected has.
const LISTEN: u8 = 10;
const CLOSE: u8 = 7;

/// Who takes what comes to an address and port in this namespace; `None` where nobody does.
#[must_use]
pub fn at(space: &Space, number: u8, address: IpAddr, port: u16) -> Option<Listener> {
    let (tables, state) = match number {
        protocol::TCP => (["tcp", "tcp6"], LISTEN),
        protocol::UDP => (["udp", "udp6"], CLOSE),
        _ => return None,
    };
    let pid = space.pids.first()?;
    let lines = tables.into_iter().filter_map(|table| {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok()?;
        Some(text.lines().filter_map(line).collect::<Vec<_>>())
    });
    let lines: Vec<Line> = lines.flatten().collect();
    let found = best(&lines, state, address, port)?;
    let pid = space
        .pids
        .iter()
        .copied()
        .find(|pid| holds(*pid, found.inode));
    Some(Listener {
        address: found.address,
        name: pid.and_then(name),
        stopped: pid.is_some_and(is_stopped),
        pid,
    })
}

/// Where the connection goes that this port of this thread's namespace has, as the kernel has it:
/// what getpeername() says may be another address (`None`: it has none).
#[must_use]
pub fn remote(port: u16) -> Option<SocketAddr> {
    let tables = ["tcp", "tcp6"].into_iter().filter_map(|table| {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok()?;
        let mut lines = text.lines().filter_map(line);
        lines.find(|line| line.port == port && line.state != LISTEN)
    });
    tables.map(|line| line.remote).next()
}

/// The socket bound to the address itself, else one bound to any. (One to `::` takes IPv4, too,
/// unless IPV6_V6ONLY is set, which the table does not tell.)
fn best(lines: &[Line], state: u8, address: IpAddr, port: u16) -> Option<&Line> {
    let own = || {
        lines
            .iter()
            .filter(|line| line.state == state && line.port == port)
    };
    let any = |line: &&Line| match line.address {
        IpAddr::V4(bound) => bound.is_unspecified() && address.is_ipv4(),
        IpAddr::V6(bound) => bound.is_unspecified(),
    };
    own()
        .find(|line| line.address == address)
        .or_else(|| own().find(any))
}

fn line(text: &str) -> Option<Line> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let end = |at: usize| -> Option<SocketAddr> {
        let (address, port) = words.get(at)?.split_once(':')?;
        Some(SocketAddr::new(
            parse(address)?,
            u16::from_str_radix(port, 16).ok()?,
        ))
    };
    let own = end(1)?;
    Some(Line {
        address: own.ip(),
        port: own.port(),
        remote: end(2)?,
        state: u8::from_str_radix(words.get(3)?, 16).ok()?,
        inode: words.get(9)?.parse().ok()?,
    })
}

/// An address as the table writes it: words of four bytes, each as the machine holds it.
fn parse(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip(words.concat()) {
                *to = from;
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

fn holds(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let files = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| target.as_os_str() == wanted.as_str())
}

/// Whether no thread of it runs until somebody says so: `T` or `t` behind the name, which may have
/// any character in it (proc_pid_stat(5)).
fn is_stopped(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    state.starts_with(['T', 't'])
}

fn name(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::kernel::spaces;

    #[test]
    fn a_table_is_read_as_the_machine_writes_it() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt";
        assert_eq!(line(head), None);
        if cfg!(target_endian = "little") {
            let text = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 \
                        00000000     0        0 4711 1 0000000000000000 100 0 0 10 0";
            let expected = Line {
                address: IpAddr::from([127, 0, 0, 1]),
                port: 8080,
                remote: ([0, 0, 0, 0], 0).into(),
                state: LISTEN,
                inode: 4711,
            };
            assert_eq!(line(text), Some(expected));
            let v6 = parse("000080FE000000000000000001000000");
            assert_eq!(v6, "fe80::1".parse().ok());
        }
    }

    #[test]
    fn the_own_address_comes_before_any() {
        let at = |address: &str, state| Line {
            address: address.parse().expect("an address"),
            port: 80,
            remote: ([0, 0, 0, 0], 0).into(),
            state,
            inode: 1,
        };
        let lines = [
            at("0.0.0.0", LISTEN),
            at("::", LISTEN),
            at("10.0.0.1", LISTEN),
        ];
        let who = |address: &str, lines| {
            let address = address.parse().expect("an address");
            best(lines, LISTEN, address, 80).map(|line| line.address.to_string())
        };
        assert_eq!(who("10.0.0.1", &lines).as_deref(), Some("10.0.0.1"));
        assert_eq!(who("10.0.0.2", &lines).as_deref(), Some("0.0.0.0"));
        assert_eq!(who("fd00::2", &lines).as_deref(), Some("::"));
        assert_eq!(who("10.0.0.2", &[at("10.0.0.2", CLOSE)]), None);
    }

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let at = listener.local_addr().expect("an address");
        let all = spaces::all();
        let own = spaces::own(&all).expect("this namespace");
        let client = std::net::TcpStream::connect(at).expect("taken");
        let port = client.local_addr().expect("an address").port();
        assert_eq!(remote(port), Some(at));
        let found = super::at(own, protocol::TCP, at.ip(), at.port()).expect("it listens");
        assert_eq!(
            (found.address, found.pid),
            (at.ip(), Some(std::process::id()))
        );
        drop(listener);
        assert_eq!(super::at(own, protocol::TCP, at.ip(), at.port()), None);
    }
}
