//! The node: its pods, its addresses, what is inside the cluster and where the outside begins.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use proxy_abi::{Inside, Ip, NodeAddress, Pod, Uplink};

/// 4 096 addresses: 2 048 pods of two families. Not preallocated, as `frontends`.
/// An element that is recycled while it is read sends a packet of a pod that is just going to one
/// that is just coming, which has not its address and drops it.
#[map(name = "pods")]
static PODS: HashMap<Ip, Pod> = HashMap::pinned(4_096, BPF_F_NO_PREALLOC);

/// 1 024 addresses of this node's own interfaces.
#[map(name = "node_addresses")]
static NODE_ADDRESSES: HashMap<Ip, NodeAddress> = HashMap::pinned(1_024, BPF_F_NO_PREALLOC);

/// 32 768 prefixes: the pod CIDRs and addresses of 5 000 nodes in two families, and exclusions.
#[map(name = "inside")]
static INSIDE: LpmTrie<Ip, Inside> = LpmTrie::pinned(32_768, BPF_F_NO_PREALLOC);

/// 64 uplinks.
#[map(name = "uplinks")]
static UPLINKS: HashMap<u32, Uplink> = HashMap::pinned(64, 0);

/// The pod of this node that has an address.
#[inline(always)]
pub(crate) fn pod(address: &Ip) -> Option<Pod> {
    // SAFETY: the memory stays this map's while the program runs, and every bit pattern is a
    // value.
    unsafe { PODS.get(address) }.copied()
}

/// Whether an address is one of this node's own.
#[inline(always)]
pub(crate) fn is_nodes(address: &Ip) -> bool {
    // SAFETY: as for `pod`; only whether there is an element counts.
    unsafe { NODE_ADDRESSES.get(address) }.is_some()
}

/// What an address is to the cluster; nothing: it is outside.
#[inline(always)]
pub(crate) fn inside(address: &Ip) -> Option<Inside> {
    INSIDE.get(Key::new(128, *address)).copied()
}

/// Whether pods talk to an address under their own.
#[inline(always)]
pub(crate) fn is_inside(address: &Ip) -> bool {
    inside(address) == Some(Inside::CLUSTER)
}

/// With what a pod's packet leaves the cluster by an interface.
#[inline(always)]
pub(crate) fn uplink(ifindex: u32) -> Option<Uplink> {
    // SAFETY: as for `pod`. The map is preallocated and its elements replaced as a whole.
    unsafe { UPLINKS.get(ifindex) }.copied()
}
