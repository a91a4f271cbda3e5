//! From a packet at a trace point to an event.

use proxy_abi::trace::{Event, EventKind, Layout};

use crate::memory::{self, read};
use crate::packet::{Start, head};
use crate::program::dropped;
use crate::wanted::wanted;

/// What the trace point says.
pub(crate) struct Fact {
    pub(crate) kind: EventKind,
    pub(crate) location: u64,
    pub(crate) reason: u32,
}

impl Fact {
    /// One of which there is no more to say.
    #[inline(always)]
    pub(crate) const fn of(kind: EventKind) -> Self {
        Self {
            kind,
            location: 0,
            reason: 0,
        }
    }
}

/// The interface of a packet, as far as it has one.
pub(crate) struct Device {
    pub(crate) space: u32,
    pub(crate) name: [u8; 16],
}

/// Tells of a packet, if it is wanted.
#[inline(always)]
pub(crate) fn packet(skb: u64, start: Start, fact: Fact) -> Option<()> {
    let setup = memory::setup()?;
    // Before the packet is looked at: what moved for another's drop is not to stay for this one's.
    let counters = match fact.kind {
        EventKind::Freed => dropped(setup, fact.reason)?,
        _ => 0,
    };
    let head = head(skb, &setup.layout, start)?;
    if !wanted(setup, &head.tuple) {
        return None;
    }
    let device = device(skb, &setup.layout);
    // One that has no interface any more may be anybody's: the agent asks its addresses.
    if device.space != 0 && !memory::has_space(device.space) {
        return None;
    }
    memory::put(&Event {
        nanoseconds: memory::now(),
        took: 0,
        location: fact.location,
        before: head.tuple,
        after: head.tuple,
        interface: device.name,
        space: device.space,
        length: read(skb, setup.layout.len),
        reason: fact.reason,
        counters,
        verdict: 0,
        kind: fact.kind.number(),
        program: 0,
        tcp_flags: head.tcp_flags,
        zero: 0,
    });
    Some(())
}

/// The packet's interface. (A packet in a UDP socket's queue has another thing in that member,
/// which reads as no interface.)
#[inline(always)]
pub(crate) fn device(skb: u64, layout: &Layout) -> Device {
    let dev: u64 = read(skb, layout.dev);
    let net: u64 = read(dev, layout.net);
    Device {
        space: read(net, layout.inum),
        name: read(dev, layout.name),
    }
}
