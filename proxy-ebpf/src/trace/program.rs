//! A run of one of our packet programs: what it got, what it made of it, and which counters it
//! moved, which says why it dropped the packet without one more instruction in the program itself.

use core::hint::black_box;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::programs::FExitContext;
use proxy_abi::Counter;
use proxy_abi::trace::{Counts, DROPS, Event, EventKind, Setup};

use crate::memory::{self, read};
use crate::packet::{Start, head};
use crate::tell::device;
use crate::wanted::wanted;

/// tcx: the packet ends here (TCX_DROP, linux/bpf.h).
const DROP: i32 = 2;
/// What a program counts when it answers in the place of who is not there.
const REFUSED: u32 = 1 << Counter::NoEndpoint as u32;

/// Notes what it gets.
#[inline(always)]
pub(crate) fn before(skb: u64) -> Option<()> {
    let begun = memory::begun()?;
    (begun.known, begun.wanted) = (0, 0);
    let setup = memory::setup()?;
    let head = head(skb, &setup.layout, Start::Header)?;
    begun.tuple = head.tuple;
    begun.known = 1;
    if wanted(setup, &head.tuple) {
        begun.wanted = 1;
        note(&mut begun.counters)?;
    }
    begun.nanoseconds = memory::now();
    Some(())
}

/// Tells what came of it, if the packet is wanted as it was or as it is.
#[inline(always)]
pub(crate) fn after(context: &FExitContext, skb: u64) -> Option<()> {
    let now = memory::now();
    let begun = memory::begun()?;
    if begun.known == 0 {
        return None;
    }
    let setup = memory::setup()?;
    // What a program answers itself is another packet: the question is what is told.
    let after = head(skb, &setup.layout, Start::Header);
    let tuple = after.map_or(begun.tuple, |head| head.tuple);
    if begun.wanted == 0 && !wanted(setup, &tuple) {
        return None;
    }
    let verdict: i32 = context.ret().ok()?;
    let counters = memory::carried(match begun.wanted {
        0 => 0,
        _ => grown(&begun.counters)?,
    })?;
    let dropped = verdict == DROP || counters & REFUSED != 0;
    if setup.flags & Setup::ONLY_DROPS != 0 && !dropped {
        return None;
    }
    let device = device(skb, &setup.layout);
    memory::put(&Event {
        nanoseconds: begun.nanoseconds,
        took: now.saturating_sub(begun.nanoseconds),
        location: 0,
        before: begun.tuple,
        after: tuple,
        interface: device.name,
        space: device.space,
        length: read(skb, setup.layout.len),
        reason: 0,
        counters,
        verdict,
        kind: EventKind::Program.number(),
        program: memory::cookie(context.as_ptr()) as u8,
        tcp_flags: after.map_or(0, |head| head.tcp_flags),
        zero: 0,
    });
    Some(())
}

/// Why a program has had a packet dropped that the kernel frees now for this reason: the counters
/// of drops that grew since the last one, a bit each. None only where a map lacks an element, which
/// ends the program: the verifier is not to walk on from each such end.
#[inline(always)]
pub(crate) fn dropped(setup: &Setup, reason: u32) -> Option<u32> {
    let [ingress, egress] = setup.dropped_by_program;
    let ours = reason == ingress || reason == egress;
    let moved = match ours {
        true => since_last()?,
        false => 0,
    };
    memory::carried(moved)
}

#[inline(always)]
fn since_last() -> Option<u32> {
    let last = memory::last()?;
    let grown = grown(last)?;
    note(last)?;
    Some(grown & DROPS)
}

#[inline(always)]
fn note(counts: &mut Counts) -> Option<()> {
    let mut index = 0_u64;
    while index < u64::from(Counter::COUNT) {
        *counts.get_mut(index as usize)? = memory::counter(index as u32)?;
        index = black_box(index + 1);
    }
    Some(())
}

/// The counters that have grown since, a bit each. Without a branch a counter: the verifier of 6.1
/// would walk each of two ways anew for each. And a loop that the compiler cannot unroll: it would
/// keep what each round has found on the stack, which has no room for that. (Its index is as wide as
/// a slot of the stack, where it is kept: of half a slot 6.1 forgets the value when somebody writes
/// to the other half.)
#[inline(always)]
fn grown(counts: &Counts) -> Option<u32> {
    let (mut index, mut grown) = (0_u64, 0);
    while index < u64::from(Counter::COUNT) {
        let by = memory::counter(index as u32)?.wrapping_sub(*counts.get(index as usize)?);
        let any = (by | by.wrapping_neg()) >> 63;
        grown |= (any as u32) << index;
        index = black_box(index + 1);
    }
    Some(grown)
}
