//! Every type and constant that crosses the kernel line.
//!
//! Both halves (the programs of proxy-ebpf, and the agent and CNI plugin that load, pin and feed
//! them) are compiled from this text, so a map's layout is said once. Rules of the room:
//! `#[repr(C)]`, no padding, no `bool`, `Option` or enum inside a map value, addresses and ports
//! as big-endian byte arrays behind constructors, and the size of each type asserted.
//! Nothing here does anything: no lookups, no decisions.
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod affinity;
pub mod counter;
pub mod earlier;
pub mod endpoint;
pub mod flow;
pub mod fragment;
pub mod frontend;
pub mod host_port;
pub mod node;
pub mod ownership;
pub mod pod;
pub mod socket;
pub mod source_range;
pub mod trace;
pub mod way;

pub use address::{Ip, Port};
pub use affinity::{Affinity, Client};
pub use counter::Counter;
pub use endpoint::Endpoint;
pub use flow::{Flow, FlowKey, Role};
pub use fragment::{FragmentKey, FragmentPorts};
pub use frontend::{Frontend, FrontendKey, List, Offer, Treatment};
pub use host_port::HostPort;
pub use node::{Cidr, Inside, NodeAddress, ThisNode, Uplink};
pub use pod::Pod;
pub use socket::SocketPeer;
pub use source_range::{Source, SourceRange};
pub use way::{KeptWay, Way};

/// IP protocol numbers of the transport protocols a Service can name (IANA protocol numbers).
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMP6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// Declares that a map type may be handed to the kernel as plain bytes.
macro_rules! plain_bytes {
    ($type:ty, $size:expr) => {
        const _: () = assert!(core::mem::size_of::<$type>() == $size);
        // SAFETY: the type is `repr(C)`, made of integers and byte arrays only, and the size
        // asserted above is the sum of its fields, so there is no padding and every bit pattern
        // is a value.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $type {}
    };
}
pub(crate) use plain_bytes;
