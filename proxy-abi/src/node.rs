//! What the programs must know of the node and its cluster to tell inside from outside.
//!
//! Four maps, all written by the agent:
//! `node_addresses`, [`crate::Ip`] -> [`NodeAddress`]: every address of this node's own interfaces;
//! `inside`, [`Cidr`] -> [`Inside`]: prefixes to which a pod's packet goes with the pod's own address
//! (pod CIDRs, addresses of nodes, what the operator excludes from masquerade), and those of cluster
//! IPs;
//! `uplinks`, interface index -> [`Uplink`]: with what address and ports a pod's packet leaves the
//! cluster there;
//! `this_node`, an array of one [`ThisNode`].

use crate::Ip;

/// Value of the map `node_addresses`: flags.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeAddress(u32);

crate::plain_bytes!(NodeAddress, 4);

impl NodeAddress {
    /// An address at which NodePorts answer (`--nodeport-addresses`).
    const NODE_PORTS: u32 = 1;

    /// An address of this node; whether NodePorts answer there.
    #[inline(always)]
    #[must_use]
    pub const fn new(node_ports: bool) -> Self {
        Self(if node_ports { Self::NODE_PORTS } else { 0 })
    }

    /// Whether NodePorts answer here.
    #[inline(always)]
    #[must_use]
    pub const fn node_ports(self) -> bool {
        self.0 & Self::NODE_PORTS != 0
    }
}

/// Key of the map `inside`, a longest-prefix trie (`BPF_MAP_TYPE_LPM_TRIE`): what the kernel calls
/// `struct bpf_lpm_trie_key`. An IPv4 prefix is one of its mapped form, 96 bits longer.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// Bits that count, 0 to 128; host order.
    pub bits: u32,
    /// The address; bits behind the prefix are zero.
    pub address: Ip,
}

crate::plain_bytes!(Cidr, 20);

/// Value of the map `inside`: what a prefix is to the cluster. Of prefixes that overlap the longest
/// counts.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inside(u32);

crate::plain_bytes!(Inside, 4);

impl Inside {
    /// Pods, nodes, or what is treated as they are.
    pub const CLUSTER: Self = Self(0);
    /// Cluster IPs (ServiceCIDR): nobody is there but through a Service, so what begins at one that
    /// no Service has is refused.
    pub const SERVICES: Self = Self(1);
}

/// Value of the map `uplinks`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uplink {
    /// The IPv4 address that masqueraded packets carry; the zero [`Ip`] (`::`): none, no
    /// masquerade in this family.
    pub v4: Ip,
    /// The same for IPv6.
    pub v6: Ip,
    /// First port (for ICMP: identifier) of the range that is masquerade's own, host order.
    pub first_port: u16,
    /// Last port of the range, host order, not below `first_port`.
    pub last_port: u16,
}

crate::plain_bytes!(Uplink, 36);

impl Uplink {
    /// The address for packets of the same family as `destination`, if there is one.
    #[inline(always)]
    #[must_use]
    pub fn address(&self, destination: &Ip) -> Option<Ip> {
        let address = if destination.is_v4() {
            self.v4
        } else {
            self.v6
        };
        (address != Ip::default()).then_some(address)
    }
}

/// The one value of the map `this_node`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThisNode {
    /// The kernel's number of the node's own network namespace (`SO_NETNS_COOKIE`), host order; 0:
    /// not known.
    pub netns_cookie: u64,
    flags: u32,
    zeros: u32,
}

crate::plain_bytes!(ThisNode, 16);

impl ThisNode {
    /// TCP sockets are pointed at endpoints when they connect.
    const SOCKET_PATH: u32 = 1;

    /// A node whose own network namespace is `netns_cookie`; whether TCP sockets are pointed at
    /// endpoints when they connect.
    #[inline(always)]
    #[must_use]
    pub const fn new(netns_cookie: u64, socket_path: bool) -> Self {
        Self {
            netns_cookie,
            flags: if socket_path { Self::SOCKET_PATH } else { 0 },
            zeros: 0,
        }
    }

    /// Whether TCP sockets are pointed at endpoints when they connect.
    #[inline(always)]
    #[must_use]
    pub const fn socket_path(&self) -> bool {
        self.flags & Self::SOCKET_PATH != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uplink_has_an_address_a_family_or_none() {
        let own = Ip::v4([172, 30, 0, 11]);
        let uplink = Uplink {
            v4: own,
            ..Uplink::default()
        };
        assert_eq!(uplink.address(&Ip::v4([1, 1, 1, 1])), Some(own));
        assert_eq!(uplink.address(&Ip::v6([0x20; 16])), None);
    }
}
