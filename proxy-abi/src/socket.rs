//! What a translated socket asked for.
//!
//! Map `socket_peers`, written by connect4/6 and read by getpeername4/6: socket cookie (u64, host
//! order) -> the frontend that the program dialled, so that getpeername() tells what connect()
//! was told.

use crate::{Ip, Port};

/// Value of the map `socket_peers`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketPeer {
    /// The frontend's address.
    pub address: Ip,
    /// The frontend's port.
    pub port: Port,
    zero: [u8; 2],
}

crate::plain_bytes!(SocketPeer, 20);

impl SocketPeer {
    /// The frontend at `address`:`port`.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Ip, port: Port) -> Self {
        Self { address, port, zero: [0; 2] }
    }
}
