//! What sockets dialled.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_get_socket_cookie;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::programs::SockAddrContext;
use proxy_abi::SocketPeer;

/// One entry for each socket that dialled a frontend.
#[map(name = "socket_peers")]
static SOCKET_PEERS: LruHashMap<u64, SocketPeer> = LruHashMap::pinned(65_536, 0);

/// Remembers what a socket asked for.
#[inline(always)]
pub(crate) fn remember_peer(socket: &SockAddrContext, peer: &SocketPeer) {
    // A full table can only mean a lost race for an LRU element; getpeername() then shows the
    // endpoint, and the connection is as good as any.
    _ = SOCKET_PEERS.insert(cookie(socket), peer, u64::from(BPF_ANY));
}

/// What a socket asked for.
#[inline(always)]
pub(crate) fn peer(socket: &SockAddrContext) -> Option<SocketPeer> {
    // SAFETY: the memory stays this map's, and every bit pattern is a value. The worst that a
    // recycled element does is show an endpoint that the caller compares with the real peer before
    // it believes it.
    unsafe { SOCKET_PEERS.get(cookie(socket)) }.copied()
}

#[inline(always)]
fn cookie(socket: &SockAddrContext) -> u64 {
    // SAFETY: the helper takes the context of a sock_addr program, which this is.
    unsafe { bpf_get_socket_cookie(socket.as_ptr()) }
}
