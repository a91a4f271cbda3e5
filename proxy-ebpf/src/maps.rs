//! Every map of the kernel half, and the only code that touches one.
//!
//! | map | key -> value | writer | when full |
//! |---|---|---|---|
//! | `frontends` | address, port, protocol -> endpoint list | agent | the agent reports it |
//! | `endpoints` | slot -> endpoint | agent | the agent reports it |
//! | `flows` | tuple on arrival -> what to rewrite | packet programs | least recently used goes |
//! | `socket_peers` | socket cookie -> frontend and endpoint | connect programs | the same |
//! | `pods` | address -> interface and Ethernet address | CNI plugin | ADD fails |
//! | `host_ports` | address, port, protocol -> pod's address and port | CNI plugin | ADD fails |
//! | `node_addresses` | address -> flags | agent | the agent reports it |
//! | `inside` | prefix -> nothing | agent | the agent reports it |
//! | `source_ranges` | service and prefix -> nothing | agent | the agent reports it |
//! | `uplinks` | interface -> masquerade's address and ports | agent | the agent reports it |
//! | `fragments` | datagram -> its ports | packet programs | least recently used goes |
//! | `counters` | counter -> packets or sockets, per CPU | all programs | fixed |
//!
//! All of these are pinned by name, so that they outlive the agent. Sizes are defaults; the agent
//! may set others when it creates them.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_ANY, BPF_F_NO_PREALLOC, BPF_NOEXIST};
use aya_ebpf::helpers::bpf_get_socket_cookie;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray};
use aya_ebpf::programs::SockAddrContext;
use packet::refusal;
use proxy_abi::{
    Counter, Endpoint, Flow, FlowKey, FragmentKey, FragmentPorts, Frontend, FrontendKey, HostPort,
    Ip, NodeAddress, Pod, SocketPeer, Source, Uplink,
};

/// 65 536 frontends: 10 000 Services with a few ports and addresses each. Not preallocated: the
/// size is a bound, and the memory what is used.
#[map(name = "frontends")]
static FRONTENDS: HashMap<FrontendKey, Frontend> = HashMap::pinned(65_536, BPF_F_NO_PREALLOC);

/// 262 144 slots of 20 bytes: 100 000 endpoints and as many again while lists are replaced.
#[map(name = "endpoints")]
static ENDPOINTS: Array<Endpoint> = Array::pinned(262_144, 0);

/// Two entries a flow: 131 072 flows.
#[map(name = "flows")]
static FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::pinned(262_144, 0);

/// One entry for each socket that dialled a frontend.
#[map(name = "socket_peers")]
static SOCKET_PEERS: LruHashMap<u64, SocketPeer> = LruHashMap::pinned(65_536, 0);

/// 4 096 addresses: 2 048 pods of two families. Not preallocated, as `frontends`.
/// An element that is recycled while it is read sends a packet of a pod that is just going to one
/// that is just coming, which has not its address and drops it.
#[map(name = "pods")]
static PODS: HashMap<Ip, Pod> = HashMap::pinned(4_096, BPF_F_NO_PREALLOC);

/// 4 096 host ports. Not preallocated, as `frontends`.
#[map(name = "host_ports")]
static HOST_PORTS: HashMap<FrontendKey, HostPort> = HashMap::pinned(4_096, BPF_F_NO_PREALLOC);

/// 1 024 addresses of this node's own interfaces.
#[map(name = "node_addresses")]
static NODE_ADDRESSES: HashMap<Ip, NodeAddress> = HashMap::pinned(1_024, BPF_F_NO_PREALLOC);

/// 32 768 prefixes: the pod CIDRs and addresses of 5 000 nodes in two families, and exclusions.
#[map(name = "inside")]
static INSIDE: LpmTrie<Ip, u32> = LpmTrie::pinned(32_768, BPF_F_NO_PREALLOC);

/// 65 536 ranges: 1 000 load balancers' Services of a few ports and a dozen ranges.
#[map(name = "source_ranges")]
static SOURCE_RANGES: LpmTrie<Source, u32> = LpmTrie::pinned(65_536, BPF_F_NO_PREALLOC);

/// 64 uplinks.
#[map(name = "uplinks")]
static UPLINKS: HashMap<u32, Uplink> = HashMap::pinned(64, 0);

/// 16 384 datagrams on their way.
#[map(name = "fragments")]
static FRAGMENTS: LruHashMap<FragmentKey, FragmentPorts> = LruHashMap::pinned(16_384, 0);

#[map(name = "counters")]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::pinned(Counter::COUNT, 0);

/// Room for frames that do not fit on the stack. Not pinned: it holds nothing between packets.
#[map(name = "scratch")]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The head of a frame, and the frame that answers it.
#[repr(C)]
pub(crate) struct Scratch {
    /// What came.
    pub(crate) question: [u8; refusal::RESET_V6],
    /// What goes back.
    pub(crate) answer: [u8; refusal::UNREACHABLE_V6],
}

/// This CPU's scratch memory, with what it last held.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: the slot is this CPU's own, lives as long as the program, and a packet program is
    // not interrupted by another on one CPU; each run asks for it once.
    SCRATCH
        .get_ptr_mut(0)
        .map(|scratch| unsafe { &mut *scratch })
}

/// The frontend at this address, port and protocol.
#[inline(always)]
pub(crate) fn frontend(key: &FrontendKey) -> Option<Frontend> {
    // An element's memory may be given to another frontend while it is copied; the copy tells,
    // and then the map is asked again. That it happens to one packet more than once is possible
    // and means no more than that the packet is treated as one to no frontend.
    let whole = || {
        // SAFETY: the memory stays this map's while the program runs, and every bit pattern is a
        // value.
        let found = unsafe { FRONTENDS.get(key) };
        found.copied().filter(|found| found.belongs_to(key))
    };
    whole().or_else(whole)
}

/// The endpoint in a slot; `None` outside the array.
#[inline(always)]
pub(crate) fn endpoint(slot: u32) -> Option<Endpoint> {
    ENDPOINTS.get(slot).copied()
}

/// The pod of this node that has an address.
#[inline(always)]
pub(crate) fn pod(address: &Ip) -> Option<Pod> {
    // SAFETY: as for `frontend`.
    unsafe { PODS.get(address) }.copied()
}

/// What is known of a packet's flow.
#[inline(always)]
pub(crate) fn flow(key: &FlowKey) -> Option<Flow> {
    // SAFETY: an LRU element may be given to another flow while it is copied; the kernel hands
    // out such an element only when the table is full of newer ones, and every LRU user lives
    // with it. A torn copy misdirects one packet of a flow that was just evicted.
    unsafe { FLOWS.get(key) }.copied()
}

/// Why a flow entry was not made.
pub(crate) enum Refusal {
    /// Another flow has this key.
    Exists,
    /// No room.
    Full,
}

/// Makes an entry that must not exist yet.
#[inline(always)]
pub(crate) fn claim_flow(key: &FlowKey, value: &Flow) -> Result<(), Refusal> {
    const EEXIST: i32 = -17;
    FLOWS
        .insert(key, value, u64::from(BPF_NOEXIST))
        .map_err(|errno| {
            if errno == EEXIST {
                Refusal::Exists
            } else {
                Refusal::Full
            }
        })
}

/// Makes or replaces an entry.
#[inline(always)]
pub(crate) fn put_flow(key: &FlowKey, value: &Flow) -> Result<(), Refusal> {
    FLOWS
        .insert(key, value, u64::from(BPF_ANY))
        .map_err(|_| Refusal::Full)
}

/// Removes an entry, if it is there.
#[inline(always)]
pub(crate) fn forget_flow(key: &FlowKey) {
    // Gone already is as good as removed.
    _ = FLOWS.remove(key);
}

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
    // SAFETY: as for `flow`: the worst that a recycled element does is show an endpoint that the
    // caller compares with the real peer before it believes it.
    unsafe { SOCKET_PEERS.get(cookie(socket)) }.copied()
}

#[inline(always)]
fn cookie(socket: &SockAddrContext) -> u64 {
    // SAFETY: the helper takes the context of a sock_addr program, which this is.
    unsafe { bpf_get_socket_cookie(socket.as_ptr()) }
}

/// Adds one.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the pointer is this CPU's own slot. A connect program may be preempted by
        // another between reading and writing it, which loses a count and nothing else.
        unsafe { *value += 1 };
    }
}
