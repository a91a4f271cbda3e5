//! What a translated socket asked for and what it got.
//!
//! Map `socket_peers`, written by connect4/6 and read by getpeername4/6: socket cookie (u64, host
//! order) -> the frontend that the application dialled, so that getpeername() tells what connect()
//! was told. The endpoint stands beside it because a socket may be disconnected and connected
//! again to something else: only while its peer is that endpoint is the frontend the answer.

use crate::{Ip, Port};

/// Value of the map `socket_peers`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketPeer {
    frontend: Ip,
    endpoint: Ip,
    frontend_port: Port,
    endpoint_port: Port,
    zero: [u8; 4],
}

crate::plain_bytes!(SocketPeer, 40);

impl SocketPeer {
    /// A socket that dialled `frontend` and was connected to `endpoint`.
    #[inline(always)]
    #[must_use]
    pub const fn new(frontend: (Ip, Port), endpoint: (Ip, Port)) -> Self {
        Self {
            frontend: frontend.0,
            endpoint: endpoint.0,
            frontend_port: frontend.1,
            endpoint_port: endpoint.1,
            zero: [0; 4],
        }
    }

    /// What the application dialled.
    #[inline(always)]
    #[must_use]
    pub const fn frontend(&self) -> (Ip, Port) {
        (self.frontend, self.frontend_port)
    }

    /// What the kernel connected it to.
    #[inline(always)]
    #[must_use]
    pub const fn endpoint(&self) -> (Ip, Port) {
        (self.endpoint, self.endpoint_port)
    }
}
