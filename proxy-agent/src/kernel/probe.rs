//! Whether the socket programs are effective where this process runs, proved by a connect() rather
//! than assumed from what is attached: a container runtime may have put the agent, or everything,
//! into a cgroup outside the one that they hang on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use proxy_abi::socket::{PROBE_PORT, PROBE_V4, PROBE_V6};

/// Whether connect() of each family meets our programs. (A host without IPv6 has nothing to
/// prove there.)
#[must_use]
pub fn socket_programs_work() -> bool {
    [PROBE_V4, PROBE_V6].into_iter().all(|address| {
        let to = SocketAddr::new(IpAddr::from(address), PROBE_PORT.number());
        matches!(
            connect_error(to).and_then(|error| error.raw_os_error()),
            Some(libc::ECONNREFUSED | libc::EAFNOSUPPORT)
        )
    })
}

/// What a connect() that does not wait comes back with. Nobody has this address, so without the
/// programs it is "in progress" or "unreachable".
fn connect_error(to: SocketAddr) -> Option<io::Error> {
    let family = if to.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket() takes numbers; a descriptor that it returns is nobody else's.
    let socket = unsafe {
        match libc::socket(family, kind, 0) {
            -1 => return Some(io::Error::last_os_error()),
            descriptor => OwnedFd::from_raw_fd(descriptor),
        }
    };
    let (storage, len) = sockaddr(to);
    // SAFETY: `storage` holds an address of `len` bytes and lives through the call.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const storage).cast(), len) };
    (result == -1).then(io::Error::last_os_error)
}

fn sockaddr(to: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: the struct is plain integers; zero is a value of each.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let at = &raw mut storage;
    let len = match to {
        SocketAddr::V4(v4) => {
            let address = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(v4.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is large enough for, and aligned as, any socket address.
            unsafe { at.cast::<libc::sockaddr_in>().write(address) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let address = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: 0,
            };
            // SAFETY: as above.
            unsafe { at.cast::<libc::sockaddr_in6>().write(address) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, len as libc::socklen_t)
}
