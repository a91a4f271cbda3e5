//! What is offered where: Services and host ports.

use aya_ebpf::bindings::{BPF_ANY, BPF_F_NO_PREALLOC};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, LruHashMap};
use proxy_abi::{
    Affinity, Client, Endpoint, Frontend, FrontendKey, HostPort, Ip, Source, SourceRange,
};

/// 262 144 frontends: 10 000 load balancers' Services of three ports and two families come to
/// 200 000. Not preallocated: the size is a bound, and the memory what is used, but for 4 MiB.
#[map(name = "frontends")]
static FRONTENDS: HashMap<FrontendKey, Frontend> = HashMap::pinned(262_144, BPF_F_NO_PREALLOC);

/// 262 144 slots of 20 bytes: 100 000 endpoints and as many again while lists are replaced.
#[map(name = "endpoints")]
static ENDPOINTS: Array<Endpoint> = Array::pinned(262_144, 0);

/// 4 096 host ports. Not preallocated, as `frontends`.
#[map(name = "host_ports")]
static HOST_PORTS: HashMap<FrontendKey, HostPort> = HashMap::pinned(4_096, BPF_F_NO_PREALLOC);

/// 65 536 ranges: 1 000 load balancers' Services of a few ports and a dozen ranges.
#[map(name = "source_ranges")]
static SOURCE_RANGES: LpmTrie<Source, u32> = LpmTrie::pinned(65_536, BPF_F_NO_PREALLOC);

/// 131 072 clients that keep their endpoint.
#[map(name = "affinity")]
static AFFINITY: LruHashMap<Client, Affinity> = LruHashMap::pinned(131_072, 0);

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

/// Whether an address is a Service's cluster IP, whatever the port.
#[inline(always)]
pub(crate) fn is_cluster_ip(address: &Ip) -> bool {
    // SAFETY: only whether there is an element counts.
    unsafe { FRONTENDS.get(FrontendKey::whole(*address)) }.is_some()
}

/// The endpoint in a slot; `None` outside the array.
#[inline(always)]
pub(crate) fn endpoint(slot: u32) -> Option<Endpoint> {
    ENDPOINTS.get(slot).copied()
}

/// The pod that has this host port. A torn copy, possible only while the pod goes, sends a packet
/// to an address or port that answers nobody.
#[inline(always)]
pub(crate) fn host_port(key: &FrontendKey) -> Option<HostPort> {
    // SAFETY: as for `frontend`.
    unsafe { HOST_PORTS.get(key) }.copied()
}

/// Whether a client is in the source ranges of a Service port.
#[inline(always)]
pub(crate) fn is_in_ranges(service: u32, client: &Ip) -> bool {
    let key = Key::new(SourceRange::ALL, Source::new(service, *client));
    SOURCE_RANGES.get(key).is_some()
}

/// The endpoint that a client had last.
#[inline(always)]
pub(crate) fn affinity(client: &Client) -> Option<Affinity> {
    // SAFETY: as for `frontend`; whether the endpoint serves is asked anyway.
    unsafe { AFFINITY.get(client) }.copied()
}

/// Notes that a client still uses an endpoint, if that is the one it keeps.
#[inline(always)]
pub(crate) fn renew_client(client: &Client, endpoint: &Endpoint) {
    let Some(entry) = AFFINITY.get_ptr_mut(client) else {
        return;
    };
    // SAFETY: the memory stays this map's while the program runs, of the size and alignment of its
    // type. An element that another client takes over meanwhile is used by that one just now.
    unsafe {
        if (*entry).endpoint == *endpoint {
            (*entry).used = super::now();
        }
    }
}

/// Remembers the endpoint that a client has now.
#[inline(always)]
pub(crate) fn keep_client(client: &Client, endpoint: Endpoint) {
    let affinity = Affinity {
        endpoint,
        used: super::now(),
    };
    // Without room the client's next conversation goes anywhere, as everybody's first.
    _ = AFFINITY.insert(client, affinity, u64::from(BPF_ANY));
}
