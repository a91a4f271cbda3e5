//! What a translated socket asked for and what it got, and whose sockets are not translated.
//!
//! Map `socket_peers`, written by the connect and sendmsg programs and read by getpeername and
//! recvmsg: [`SocketPeer`] (a socket, and the endpoint that it talks to) -> [`crate::Endpoint`], the
//! frontend that the application named, so that getpeername() and recvfrom() tell what connect()
//! and sendto() were told. With the endpoint in the key, a socket that went on to something else
//! is not told the old answer.
//!
//! Map `packet_pods`, the kernel's number of a pod's network namespace (u64, `SO_NETNS_COOKIE`) ->
//! the host end of its veth (u32), written by the CNI plugin alone: pods that said no to the socket
//! path ([`crate::ownership::SOCKET_PATH_ANNOTATION`]). A number is never given twice.

use crate::{Ip, Port};

/// connect() to this address and [`PROBE_PORT`] is refused by the connect program itself: by that the
/// agent knows that its sockets meet the program. (Of TEST-NET-1, RFC 5737: nobody has it.)
pub const PROBE_V4: Ip = Ip::v4([192, 0, 2, 171]);
/// The same for IPv6 (RFC 3849).
pub const PROBE_V6: Ip = Ip::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab]);
/// See [`PROBE_V4`].
pub const PROBE_PORT: Port = Port::new(1);

/// Key of the map `socket_peers`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketPeer {
    /// The kernel's number of the socket (`bpf_get_socket_cookie`), host order.
    pub cookie: u64,
    /// The endpoint's address.
    pub address: Ip,
    /// The endpoint's port.
    pub port: Port,
    zeros: u16,
    more_zeros: u32,
}

crate::plain_bytes!(SocketPeer, 32);

impl SocketPeer {
    /// The socket `cookie` and the endpoint that it talks to.
    #[inline(always)]
    #[must_use]
    pub const fn new(cookie: u64, (address, port): (Ip, Port)) -> Self {
        Self {
            cookie,
            address,
            port,
            zeros: 0,
            more_zeros: 0,
        }
    }
}
