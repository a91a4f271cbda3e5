//! Which network namespace the node's own processes live in: the agent's.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

/// The kernel's number of this process's network namespace (socket option `SO_NETNS_COOKIE`,
/// Linux 5.14), which the socket programs compare with that of a socket.
///
/// # Errors
/// No socket can be made, or the kernel does not know the option.
pub fn cookie() -> io::Result<u64> {
    // Any socket will do; this one is bound to nothing that others could see.
    let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::]:0"))?;
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes to `cookie`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    match result {
        0 => Ok(cookie),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_namespace_has_one_number() {
        let cookie = super::cookie().expect("Linux 5.14");
        assert_ne!(cookie, 0);
        assert_eq!(super::cookie().expect("again"), cookie);
    }
}
