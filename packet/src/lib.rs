//! What can be decided from bytes alone: header views, checksums, the hash of a flow, the choice
//! of an endpoint, the packets that refuse. Pure and `no_std`; the kernel half is built from it
//! and the host tests it. Nothing here touches a map or an skb, nothing allocates or panics on
//! what came from the wire.
#![cfg_attr(not(test), no_std)]

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

pub mod checksum;
pub mod choice;
pub mod ethernet;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod life;
pub mod refusal;
pub mod sctp;
pub mod transport;
