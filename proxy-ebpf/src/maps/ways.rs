//! The ways of established connections.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_jiffies64;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use proxy_abi::{FlowKey, Way};

/// 65 536 connections at a time.
#[map(name = "ways")]
static WAYS: LruHashMap<FlowKey, Way> = LruHashMap::pinned(65_536, 0);

/// Ticks for which a way is believed: between a quarter of a second and two and a half, as the
/// kernel was built. For so long a route that has changed may still be taken.
const BELIEVED: u32 = 256;

/// The kernel's ticks, the low half.
#[inline(always)]
pub(crate) fn ticks() -> u32 {
    // SAFETY: the helper takes nothing (Linux 5.6).
    unsafe { bpf_jiffies64() as u32 }
}

/// The way of a connection's segments, if it is still believed.
#[inline(always)]
pub(crate) fn way(key: &FlowKey) -> Option<&'static Way> {
    // SAFETY: the memory stays this map's while the program runs, and every bit pattern is a
    // value. An element that another connection takes over meanwhile sends one segment of a
    // connection that has been silent, in a full table, to the wrong pod or neighbour, which
    // drops it.
    let way = unsafe { WAYS.get(key) }?;
    // Ticks wrap; the distance does not.
    (way.until.wrapping_sub(ticks()) <= BELIEVED).then_some(way)
}

/// Remembers a way for a moment.
#[inline(always)]
pub(crate) fn remember_way(key: &FlowKey, way: &mut Way) {
    way.until = ticks().wrapping_add(BELIEVED);
    // Without room the next segment takes the whole walk again.
    _ = WAYS.insert(key, way, u64::from(BPF_ANY));
}

/// Forgets a way: its segments are translated from now on.
#[inline(always)]
pub(crate) fn forget_way(key: &FlowKey) {
    // None there is as good as removed.
    _ = WAYS.remove(key);
}
