//! What sockets asked for, and whose they are.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_ANY, BPF_F_NO_PREALLOC};
use aya_ebpf::helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap};
use aya_ebpf::programs::SockAddrContext;
use proxy_abi::{Endpoint, Ip, Port, SocketPeer, ThisNode};

/// One entry for each socket that named a frontend, and each endpoint that it was given.
#[map(name = "socket_peers")]
static SOCKET_PEERS: LruHashMap<SocketPeer, Endpoint> = LruHashMap::pinned(65_536, 0);

/// 2 048 pods whose sockets are left alone. Not preallocated: mostly there are none.
#[map(name = "packet_pods")]
static PACKET_PODS: HashMap<u64, u32> = HashMap::pinned(2_048, BPF_F_NO_PREALLOC);

/// This node.
#[map(name = "this_node")]
static THIS_NODE: Array<ThisNode> = Array::pinned(1, 0);

/// What the agent says of this node; zeros until it has.
#[inline(always)]
pub(crate) fn this_node() -> ThisNode {
    THIS_NODE.get(0).copied().unwrap_or_default()
}

/// Whether a socket is in the node's own network namespace, rather than a pod's.
#[inline(always)]
pub(crate) fn is_nodes_own(socket: &SockAddrContext, node: &ThisNode) -> bool {
    // SAFETY: the helper takes the context of a sock_addr program, which this is.
    unsafe { bpf_get_netns_cookie(socket.as_ptr()) == node.netns_cookie }
}

/// Whether a socket is a pod's that said no to the socket path.
#[inline(always)]
pub(crate) fn is_packet_pods(socket: &SockAddrContext) -> bool {
    // SAFETY: as for `is_nodes_own`.
    let namespace = unsafe { bpf_get_netns_cookie(socket.as_ptr()) };
    // SAFETY: only whether there is an element counts.
    unsafe { PACKET_PODS.get(namespace) }.is_some()
}

/// Remembers what a socket asked for, and which endpoint it was given.
#[inline(always)]
pub(crate) fn remember_peer(socket: &SockAddrContext, asked: (Ip, Port), given: (Ip, Port)) {
    // A full table can only mean a lost race for an LRU element; getpeername() then shows the
    // endpoint, and the connection is as good as any.
    _ = SOCKET_PEERS.insert(
        SocketPeer::new(cookie(socket), given),
        Endpoint::new(asked.0, asked.1),
        u64::from(BPF_ANY),
    );
}

/// What a socket asked for when it was given this endpoint.
#[inline(always)]
pub(crate) fn asked_for(socket: &SockAddrContext, given: (Ip, Port)) -> Option<Endpoint> {
    // SAFETY: the memory stays this map's, and every bit pattern is a value. A recycled element
    // shows another frontend while the table is full of newer ones.
    unsafe { SOCKET_PEERS.get(SocketPeer::new(cookie(socket), given)) }.copied()
}

/// The kernel's number of a socket, never given twice.
#[inline(always)]
pub(crate) fn cookie(socket: &SockAddrContext) -> u64 {
    // SAFETY: as for `is_nodes_own`.
    unsafe { bpf_get_socket_cookie(socket.as_ptr()) }
}
