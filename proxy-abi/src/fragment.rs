//! Fragments: the ports that the first fragment of a datagram showed, for those that follow it.
//!
//! Map `fragments`, [`FragmentKey`] -> [`FragmentPorts`], written by the programs; the least recently
//! used goes when it is full. Where the first fragment has not been seen, the later ones have no
//! flow.

use crate::{Ip, Port};

/// Key of the map `fragments`: what all fragments of a datagram share (RFC 791 section 3.2, RFC
/// 8200 section 4.5), as they show it before translation.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FragmentKey {
    /// Source address.
    pub source: Ip,
    /// Destination address.
    pub destination: Ip,
    /// Identification; 16 bits in IPv4, 32 in IPv6, as on the wire.
    pub identification: u32,
    /// IP protocol number, see [`crate::protocol`].
    pub protocol: u8,
    zero: u8,
    zeros: u16,
}

crate::plain_bytes!(FragmentKey, 40);

impl FragmentKey {
    /// The key of the datagram `identification` from `source` to `destination`.
    #[inline(always)]
    #[must_use]
    pub const fn new(source: Ip, destination: Ip, identification: u32, protocol: u8) -> Self {
        Self {
            source,
            destination,
            identification,
            protocol,
            zero: 0,
            zeros: 0,
        }
    }
}

/// Value of the map `fragments`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentPorts {
    /// Source port; or what stands for it, see [`crate::FlowKey`].
    pub source: Port,
    /// Destination port.
    pub destination: Port,
}

crate::plain_bytes!(FragmentPorts, 4);
