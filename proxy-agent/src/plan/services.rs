//! The difference between the endpoint lists that the kernel holds and those that are wanted, as
//! operations in an order that no packet can see half of (architecture, invariant 1): a list is
//! written into fresh slots, then the one frontend entry is pointed at it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use cluster_model::ServiceName;
use proxy_abi::{Endpoint, Frontend, FrontendKey, List, Offer};

use super::desired::Lists;
use super::slots::{OutOfSlots, Run, Slots};

/// One write to the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Writes a list into slots that no frontend points at.
    WriteList {
        /// Where the list begins.
        first_slot: u32,
        /// The list, in slot order.
        endpoints: Vec<Endpoint>,
    },
    /// Points a frontend at a list: the commit.
    PointFrontend {
        /// The frontend.
        key: FrontendKey,
        /// Its new value.
        frontend: Frontend,
    },
    /// Removes a frontend.
    RemoveFrontend {
        /// The frontend.
        key: FrontendKey,
    },
}

/// What the kernel holds for one frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The entry.
    pub frontend: Frontend,
    /// What stands in its slots.
    pub endpoints: Vec<Endpoint>,
}

/// A list for which there was no room. The frontend keeps what it had, or stays away.
#[derive(Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// The frontend.
    pub key: FrontendKey,
    /// Why.
    pub reason: OutOfSlots,
}

/// What a plan came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// What to write, in this order.
    pub operations: Vec<Operation>,
    /// What has no place; tried again with the next full plan.
    pub unplaced: Vec<Unplaced>,
}

/// The kernel's lists as last observed and since written, and whose they are.
#[derive(Debug)]
pub struct Table {
    held: BTreeMap<FrontendKey, Held>,
    slots: Slots,
    /// The frontends that each Service wanted when last planned.
    owned: BTreeMap<ServiceName, BTreeSet<FrontendKey>>,
    next_generation: u32,
}

impl Table {
    /// A table over what was observed in maps with `size` slots.
    ///
    /// `seed` is the first generation of frontends that are new: a value that an earlier frontend
    /// at the same address is unlikely to have had (the clock, say), since a flow of that one may
    /// still be known and would be trusted if the generations were equal.
    #[must_use]
    pub fn new(held: BTreeMap<FrontendKey, Held>, size: u32, seed: u32) -> Self {
        let used = held.values().filter_map(|held| run_of(&held.frontend));
        let slots = Slots::new(size, used);
        Self {
            held,
            slots,
            owned: BTreeMap::new(),
            next_generation: seed,
        }
    }

    /// Plans every Service: what is not among `wanted` goes.
    pub fn plan_all(&mut self, wanted: BTreeMap<ServiceName, Lists>, now: Instant) -> Planned {
        self.owned = owners(&wanted);
        let lists = merged(wanted.into_values());
        let gone = self
            .held
            .keys()
            .filter(|key| !lists.contains_key(*key))
            .copied()
            .collect();
        self.plan(lists, gone, now)
    }

    /// Plans the Services that changed; the others keep what they have. The cost is that of the
    /// changed ones alone (architecture, invariant 2).
    pub fn plan_changed(&mut self, wanted: BTreeMap<ServiceName, Lists>, now: Instant) -> Planned {
        let mut gone = BTreeSet::new();
        for service in wanted.keys() {
            gone.extend(self.owned.remove(service).unwrap_or_default());
        }
        self.owned.extend(owners(&wanted));
        let lists = merged(wanted.into_values());
        gone.retain(|key| !lists.contains_key(key) && self.held.contains_key(key));
        self.plan(lists, gone, now)
    }

    fn plan(&mut self, lists: Lists, gone: BTreeSet<FrontendKey>, now: Instant) -> Planned {
        let mut planned = Planned::default();
        for key in gone {
            planned.operations.push(Operation::RemoveFrontend { key });
            if let Some(held) = self.held.remove(&key) {
                self.retire(&held.frontend, now);
            }
        }
        for (key, endpoints) in lists {
            if let Err(reason) = self.plan_list(key, endpoints, now, &mut planned.operations) {
                planned.unplaced.push(Unplaced { key, reason });
            }
        }
        planned
    }

    fn plan_list(
        &mut self,
        key: FrontendKey,
        endpoints: Vec<Endpoint>,
        now: Instant,
        operations: &mut Vec<Operation>,
    ) -> Result<(), OutOfSlots> {
        let before = self.held.get(&key);
        if before.is_some_and(|held| held.endpoints == endpoints && held.frontend.belongs_to(&key))
        {
            return Ok(());
        }
        let before = before.map(|held| held.frontend);
        let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
        let first_slot = if count == 0 {
            0
        } else {
            self.slots.take(count, now)?.first
        };
        let generation = match before {
            Some(before) => before.generation.wrapping_add(1),
            None => self.fresh_generation(),
        };
        if count != 0 {
            operations.push(Operation::WriteList {
                first_slot,
                endpoints: endpoints.clone(),
            });
        }
        let offer = Offer::to_all(List { first_slot, count });
        let frontend = Frontend::new(&key, offer, generation);
        operations.push(Operation::PointFrontend { key, frontend });
        self.held.insert(
            key,
            Held {
                frontend,
                endpoints,
            },
        );
        if let Some(before) = before {
            self.retire(&before, now);
        }
        Ok(())
    }

    /// A generation for a new frontend, far from those that one at its address may have had.
    fn fresh_generation(&mut self) -> u32 {
        self.next_generation = self.next_generation.wrapping_add(0x9e37_79b9);
        self.next_generation
    }

    fn retire(&mut self, frontend: &Frontend, now: Instant) {
        if let Some(run) = run_of(frontend) {
            self.slots.retire(run, now);
        }
    }
}

fn run_of(frontend: &Frontend) -> Option<Run> {
    let List { first_slot, count } = frontend.offer.inside;
    (count > 0).then_some(Run {
        first: first_slot,
        len: count,
    })
}

fn owners(wanted: &BTreeMap<ServiceName, Lists>) -> BTreeMap<ServiceName, BTreeSet<FrontendKey>> {
    wanted
        .iter()
        .filter(|(_, lists)| !lists.is_empty())
        .map(|(service, lists)| (service.clone(), lists.keys().copied().collect()))
        .collect()
}

/// All lists in one map. Two Services can want one frontend only while one of them is being
/// replaced by the other; the later name wins until the next change.
fn merged(lists: impl Iterator<Item = Lists>) -> Lists {
    lists.flatten().collect()
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteList {
                first_slot,
                endpoints,
            } => {
                write!(out, "write endpoints from slot {first_slot}:")?;
                endpoints.iter().try_for_each(|endpoint| {
                    write!(
                        out,
                        " {}:{}",
                        IpAddr::from(endpoint.address),
                        endpoint.port.number()
                    )
                })
            }
            Self::PointFrontend { key, frontend } => {
                let List { first_slot, count } = frontend.offer.inside;
                let generation = frontend.generation;
                write!(
                    out,
                    "point {} at {count} endpoints from slot {first_slot}, generation {generation}",
                    Key(key)
                )
            }
            Self::RemoveFrontend { key } => write!(out, "remove {}", Key(key)),
        }
    }
}

impl fmt::Display for Unplaced {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", Key(&self.key), self.reason)
    }
}

/// A frontend as people write it: `10.96.0.10:53/udp`.
struct Key<'a>(&'a FrontendKey);

impl fmt::Display for Key<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrontendKey {
            address,
            port,
            protocol,
            ..
        } = self.0;
        let protocol = match *protocol {
            proxy_abi::protocol::TCP => "tcp",
            proxy_abi::protocol::UDP => "udp",
            proxy_abi::protocol::SCTP => "sctp",
            _ => "?",
        };
        write!(
            out,
            "frontend {}:{}/{protocol}",
            IpAddr::from(*address),
            port.number()
        )
    }
}

#[cfg(test)]
mod tests;
