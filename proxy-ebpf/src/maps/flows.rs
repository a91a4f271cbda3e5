//! Conversations under way, and datagrams in pieces.
//!
//! A flow is made in `openings` and moves to `flows` when its client has answered an answer. So a
//! flood of packets that nobody answers, or that answers nobody, pushes out no flow but its own
//! kind (architecture, invariant 6).

use aya_ebpf::bindings::{BPF_ANY, BPF_F_NO_PREALLOC, BPF_NOEXIST};
use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, LruHashMap};
use packet::transport;
use proxy_abi::{Counter, Flow, FlowKey, FragmentKey, FragmentPorts, Role};

/// Two entries a flow: 131 072 flows. Not preallocated: the size is a bound.
#[map(name = "flows")]
static FLOWS: HashMap<FlowKey, Flow> = HashMap::pinned(262_144, BPF_F_NO_PREALLOC);

/// Two entries a flow: 65 536 that have just begun.
#[map(name = "openings")]
static OPENINGS: LruHashMap<FlowKey, Flow> = LruHashMap::pinned(131_072, 0);

/// 16 384 datagrams on their way.
#[map(name = "fragments")]
static FRAGMENTS: LruHashMap<FragmentKey, FragmentPorts> = LruHashMap::pinned(16_384, 0);

/// An entry as it stands in its map.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    entry: *mut Flow,
    /// Whether it is still in `openings`.
    pub(crate) opening: bool,
}

impl Known {
    /// Copies what it says. An element that another flow takes over meanwhile can misdirect one
    /// packet of a flow that is just being removed.
    #[inline(always)]
    pub(crate) fn read(&self, flow: &mut Flow) {
        const WORDS: usize = size_of::<Flow>() / size_of::<u32>();
        let (from, to) = (self.entry.cast::<u32>(), (&raw mut *flow).cast::<u32>());
        for word in 0..WORDS {
            // SAFETY: the pointer is the map's, which keeps the memory while the program runs, of
            // the size and alignment of a flow; every bit pattern is a value. Word by word and
            // volatile, lest the compiler make it a call that copies bytes.
            unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
        }
    }

    /// What it is for.
    #[inline(always)]
    pub(crate) fn role(&self) -> Role {
        // SAFETY: as for `read`.
        unsafe { (*self.entry).role() }
    }

    /// Whether it writes this tuple.
    #[inline(always)]
    pub(crate) fn leads_to(&self, to: &FlowKey) -> bool {
        // SAFETY: as for `read`.
        unsafe { (*self.entry).to == *to }
    }

    /// When it was last used, and what it has sent so far.
    #[inline(always)]
    pub(crate) fn life(&self) -> (u32, u8) {
        // SAFETY: as for `read`.
        unsafe { ((*self.entry).seen, (*self.entry).state) }
    }

    /// Whether a packet of it has passed.
    #[inline(always)]
    pub(crate) fn has_spoken(&self) -> bool {
        // SAFETY: as for `read`.
        unsafe { (*self.entry).state & Flow::SPOKE != 0 }
    }

    /// Notes that a packet with these TCP flags (0 for another protocol) passes; whether it is the
    /// first of its tick.
    #[inline(always)]
    pub(crate) fn touch(&self, tcp_flags: u8) -> bool {
        let mut state = Flow::SPOKE;
        if tcp_flags & transport::FIN != 0 {
            state |= Flow::FINISHED;
        }
        if tcp_flags & transport::RST != 0 {
            state |= Flow::RESET;
        }
        let now = now();
        // SAFETY: as for `read`. Two CPUs that write at once write the same second, and a flag
        // that one of them loses is seen with the next packet; only what changes is written, so
        // that a busy flow does not fight for its cache line.
        unsafe {
            let first = (*self.entry).seen != now;
            if first {
                (*self.entry).seen = now;
            }
            if (*self.entry).state & state != state {
                (*self.entry).state |= state;
            }
            first
        }
    }

    /// Forgets what this half has sent.
    #[inline(always)]
    pub(crate) fn forget_state(&self) {
        // SAFETY: as for `touch`.
        unsafe { (*self.entry).state = 0 };
    }

    /// Notes the generation under which the endpoint was found in the list.
    #[inline(always)]
    pub(crate) fn trust(&self, generation: u32) {
        // SAFETY: as for `touch`; a lost write means one search more.
        unsafe { (*self.entry).generation = generation };
    }
}

/// The time as flows note it, see [`Flow::seen`].
#[inline(always)]
pub(crate) fn now() -> u32 {
    // SAFETY: the helper takes nothing. The coarse clock (Linux 5.11) is a tick old at most.
    Flow::time(unsafe { bpf_ktime_get_coarse_ns() })
}

/// What is known of a packet's flow.
#[inline(always)]
pub(crate) fn flow(key: &FlowKey) -> Option<Known> {
    if let Some(entry) = FLOWS.get_ptr_mut(key) {
        return Some(Known {
            entry,
            opening: false,
        });
    }
    OPENINGS.get_ptr_mut(key).map(|entry| Known {
        entry,
        opening: true,
    })
}

/// Makes an entry that must not exist yet, in `openings`; whether it could.
#[inline(always)]
pub(crate) fn claim_flow(key: &FlowKey, value: &Flow) -> bool {
    // In this order: an entry that moves to `flows` meanwhile is in both maps for a moment, never
    // in none.
    if OPENINGS.insert(key, value, u64::from(BPF_NOEXIST)).is_err() {
        return false;
    }
    // SAFETY: only whether there is an element counts.
    if unsafe { FLOWS.get(key) }.is_none() {
        return true;
    }
    _ = OPENINGS.remove(key);
    false
}

/// Makes or replaces an entry in `openings`; whether it could.
#[inline(always)]
pub(crate) fn put_flow(key: &FlowKey, value: &Flow) -> bool {
    OPENINGS.insert(key, value, u64::from(BPF_ANY)).is_ok()
}

/// Moves an entry from `openings` to `flows`. Where there is no room it stays, and can be pushed
/// out there.
#[inline(always)]
pub(crate) fn establish(key: &FlowKey, value: &Flow) {
    if FLOWS.insert(key, value, u64::from(BPF_ANY)).is_ok() {
        _ = OPENINGS.remove(key);
    } else {
        super::count(Counter::FlowTableFull);
    }
}

/// Removes an entry, if it is there.
#[inline(always)]
pub(crate) fn forget_flow(key: &FlowKey) {
    // Gone already is as good as removed.
    _ = FLOWS.remove(key);
    _ = OPENINGS.remove(key);
}

/// Remembers the ports of a datagram that comes in pieces.
#[inline(always)]
pub(crate) fn remember_ports(key: &FragmentKey, ports: &FragmentPorts) {
    // Without room its other fragments have no ports, and are counted.
    _ = FRAGMENTS.insert(key, ports, u64::from(BPF_ANY));
}

/// The ports that the first fragment of a datagram had.
#[inline(always)]
pub(crate) fn ports_of(key: &FragmentKey) -> Option<FragmentPorts> {
    // SAFETY: the memory stays this map's, and every bit pattern is a value; a recycled element
    // gives another datagram's ports to a fragment whose own were just pushed out.
    unsafe { FRAGMENTS.get(key) }.copied()
}
