//! A host port: a port of this node that belongs to one pod (`hostPort` of a container).
//!
//! Map `host_ports`, [`crate::FrontendKey`] -> [`HostPort`], written by the CNI plugin alone: made
//! by ADD, removed by DEL, so that it works whether an agent runs or not. The address of the key is
//! the mapping's `hostIP`, or the unspecified address of a family for every address of the node.

use crate::{Endpoint, Ip};

/// Value of the map `host_ports`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The pod's address and the container's port.
    pub endpoint: Endpoint,
    /// Index of the host end of the pod's veth: whose entry this is.
    pub ifindex: u32,
}

crate::plain_bytes!(HostPort, 24);

impl HostPort {
    /// `endpoint`, a pod's behind interface `ifindex`.
    #[inline(always)]
    #[must_use]
    pub const fn new(endpoint: Endpoint, ifindex: u32) -> Self {
        Self { endpoint, ifindex }
    }
}

/// The key's address that stands for every IPv4 address of the node.
pub const ANY_V4: Ip = Ip::v4([0; 4]);
/// The key's address that stands for every IPv6 address of the node.
pub const ANY_V6: Ip = Ip::v6([0; 16]);
