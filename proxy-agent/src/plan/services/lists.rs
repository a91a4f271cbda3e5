//! The endpoint lists that stand in slots, and how many frontend entries lead to each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use proxy_abi::{Endpoint, List, Offer};

use crate::plan::flows::Serving;
use crate::plan::slots::{OutOfSlots, Run, Slots};

/// A list in its slots.
#[derive(Debug)]
struct Placed {
    endpoints: Arc<[Endpoint]>,
    /// Sides of frontends that lead here.
    users: u32,
}

/// All lists.
#[derive(Debug)]
pub(super) struct Lists {
    slots: Slots,
    placed: BTreeMap<Run, Placed>,
    /// Slots that lists stand in.
    used: u32,
}

impl Lists {
    /// The lists that the kernel holds, each as often as a frontend leads to it, in `size` slots.
    pub(super) fn new(held: impl Iterator<Item = (List, Arc<[Endpoint]>)>, size: u32) -> Self {
        let mut placed: BTreeMap<Run, Placed> = BTreeMap::new();
        for (list, endpoints) in held {
            if let Some(run) = run(list) {
                let first = Placed {
                    endpoints,
                    users: 0,
                };
                placed.entry(run).or_insert(first).users += 1;
            }
        }
        Self {
            slots: Slots::new(size, placed.keys().copied()),
            used: placed
                .keys()
                .fold(0, |used, run| used.saturating_add(run.len)),
            placed,
        }
    }

    /// Finds slots for a list that nobody leads to yet; the caller holds it.
    pub(super) fn place(
        &mut self,
        endpoints: Arc<[Endpoint]>,
        now: Instant,
    ) -> Result<List, OutOfSlots> {
        let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
        let run = self.slots.take(count, now)?;
        self.used = self.used.saturating_add(count);
        self.placed.insert(
            run,
            Placed {
                endpoints,
                users: 1,
            },
        );
        Ok(List {
            first_slot: run.first,
            count,
        })
    }

    /// What stands in the slots of a list, if it is whole: an entry of another version's may point
    /// beyond the slots.
    pub(super) fn endpoints(&self, list: List) -> Option<&Arc<[Endpoint]>> {
        let placed = self.placed.get(&run(list)?)?;
        (placed.endpoints.len() == list.count as usize).then_some(&placed.endpoints)
    }

    /// Who serves by an offer.
    pub(super) fn serving(&self, offer: &Offer) -> Serving {
        let of = |list| self.endpoints(list).cloned().unwrap_or_default();
        [of(offer.inside), of(offer.outside)]
    }

    /// One more leads to the list.
    pub(super) fn hold(&mut self, list: List) {
        if let Some(placed) = run(list).and_then(|run| self.placed.get_mut(&run)) {
            placed.users += 1;
        }
    }

    /// One less leads to the list; after the last its slots rest.
    pub(super) fn release(&mut self, list: List, now: Instant) {
        let Some(run) = run(list) else { return };
        let Some(placed) = self.placed.get_mut(&run) else {
            return;
        };
        placed.users = placed.users.saturating_sub(1);
        if placed.users == 0 {
            self.placed.remove(&run);
            self.used = self.used.saturating_sub(run.len);
            self.slots.retire(run, now);
        }
    }

    /// Slots that lists stand in.
    pub(super) const fn used(&self) -> u32 {
        self.used
    }
}

/// The slots of a list; an empty one takes none.
fn run(list: List) -> Option<Run> {
    let List { first_slot, count } = list;
    (count > 0).then_some(Run {
        first: first_slot,
        len: count,
    })
}
