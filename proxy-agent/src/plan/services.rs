//! The difference between what the kernel's maps say of Services and what is wanted, as
//! operations in an order that no packet can see half of (architecture, invariant 1): a list is
//! written into fresh slots, then the one frontend entry is pointed at it.

mod audit;
mod claims;
mod lists;
mod numbers;
mod operation;
mod point;
mod ranges;
mod show;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use cluster_model::ServiceName;
use proxy_abi::{Endpoint, Frontend, FrontendKey, List, Offer, SourceRange, Treatment};

use super::desired::{FrontendWish, PortWish};
pub use audit::Written;
use claims::Claims;
pub use claims::Contest;
use lists::Lists;
use numbers::Numbers;
pub use operation::{Held, NoRoom, Observed, Operation, Planned, Unplaced};
use ranges::Ranges;

/// What each Service wants.
pub type Wishes = BTreeMap<ServiceName, Vec<PortWish>>;

/// The kernel's maps as last observed and since written, and whose entries they are.
#[derive(Debug)]
pub struct Table {
    held: BTreeMap<FrontendKey, Frontend>,
    /// How many fit.
    room: u32,
    /// Those for which there is no room.
    unplaced: BTreeSet<FrontendKey>,
    lists: Lists,
    ranges: Ranges,
    claims: Claims,
    numbers: Numbers,
    next_generation: u32,
}

impl Table {
    /// A table over what was observed in maps with `size` slots.
    ///
    /// `seed` is the first generation of frontends that are new: a value that an earlier frontend
    /// at the same address is unlikely to have had (the clock, say), since a flow of that one may
    /// still be known and would be trusted if the generations were equal.
    #[must_use]
    pub fn new(observed: Observed, size: u32, seed: u32) -> Self {
        let Observed { frontends, ranges } = observed;
        let sides = frontends.values().flat_map(|held| {
            let Offer {
                inside, outside, ..
            } = held.frontend.offer;
            [
                (inside, held.inside.clone()),
                (outside, held.outside.clone()),
            ]
        });
        let lists = Lists::new(sides, size);
        let held = frontends
            .into_iter()
            .map(|(key, held)| (key, held.frontend));
        Self {
            held: held.collect(),
            room: u32::MAX,
            unplaced: BTreeSet::new(),
            lists,
            ranges: Ranges::new(ranges),
            claims: Claims::default(),
            numbers: Numbers::default(),
            next_generation: seed,
        }
    }

    /// The same for a map into which so many frontends fit.
    #[must_use]
    pub fn with_room_for(mut self, frontends: u32) -> Self {
        self.room = frontends;
        self
    }

    /// Plans every Service: what is not among `wanted` goes.
    pub fn plan_all(&mut self, wanted: Wishes, now: Instant) -> Planned {
        self.unplaced.clear();
        self.claims = Claims::default();
        self.numbers = Numbers::default();
        self.claims.claim_all(each_port(&wanted));
        for (service, wish) in each_port(&wanted) {
            let own = wish
                .frontends
                .keys()
                .filter(|key| self.claims.has(service, key));
            let held = own.filter_map(|key| self.held.get(key));
            let held = held.map(|frontend| frontend.offer.service);
            self.numbers.adopt(service, &wish.port, held);
        }
        let of = each_port(&wanted).map(|(service, wish)| self.numbers.of(service, &wish.port));
        let kept: BTreeSet<u32> = of.collect();
        let idle = self
            .ranges
            .numbers()
            .filter(|number| !kept.contains(number));
        let idle: Vec<u32> = idle.collect();
        let unwanted = |key: &&FrontendKey| !self.claims.is_wanted(key);
        let gone = self.held.keys().filter(unwanted).copied().collect();
        let mut planned = self.plan(wanted, gone, idle, now);
        planned.changes.clients.complete();
        planned
    }

    /// Plans the Services that changed; the others keep what they have. The cost is that of the
    /// changed ones alone (architecture, invariant 2).
    ///
    /// The [rivals](Self::rivals) of the changed ones must be among them.
    pub fn plan_changed(&mut self, wanted: Wishes, now: Instant) -> Planned {
        let (mut gone, mut idle) = (BTreeSet::new(), Vec::new());
        for (service, ports) in &wanted {
            gone.extend(self.claims.withdraw(service));
            let kept: Vec<_> = ports.iter().map(|wish| &wish.port).collect();
            idle.extend(self.numbers.keep(service, &kept));
        }
        gone.iter().for_each(|key| _ = self.unplaced.remove(key));
        self.claims.claim_all(each_port(&wanted));
        gone.retain(|key| !self.claims.is_wanted(key) && self.held.contains_key(key));
        self.plan(wanted, gone, idle, now)
    }

    /// The Services whose wishes have to be planned anew when `services` change: they go without
    /// a frontend that one of these has.
    pub fn rivals<'a>(
        &'a self,
        services: impl Iterator<Item = &'a ServiceName>,
    ) -> impl Iterator<Item = &'a ServiceName> {
        self.claims.rivals(services)
    }

    /// Frontends and slots in use.
    #[must_use]
    pub fn fill(&self) -> (usize, u32) {
        (self.held.len(), self.lists.used())
    }

    /// Number of frontends for which there is no room.
    #[must_use]
    pub fn unplaced(&self) -> usize {
        self.unplaced.len()
    }

    /// `gone` are frontends that nobody wants, `idle` numbers that no port has any more.
    fn plan(
        &mut self,
        wanted: Wishes,
        gone: BTreeSet<FrontendKey>,
        idle: Vec<u32>,
        now: Instant,
    ) -> Planned {
        let mut planned = Planned::default();
        for key in gone {
            self.remove(key, now, &mut planned);
        }
        let mut surplus = Vec::new();
        for (service, ports) in wanted {
            for mut wish in ports {
                wish.frontends
                    .retain(|key, _| self.claims.has(&service, key));
                let number = self.numbers.of(&service, &wish.port);
                surplus.extend(self.plan_port(number, wish, now, &mut planned));
            }
        }
        // A number that went with one Service may have come back with another.
        for number in idle
            .into_iter()
            .filter(|number| !self.numbers.is_taken(*number))
        {
            surplus.extend(self.ranges.set(number, BTreeSet::new()).1);
        }
        let remove = |range| Operation::RemoveRange { range };
        planned.operations.extend(surplus.into_iter().map(remove));
        planned.contested = self.claims.contests();
        planned
    }

    /// Plans the frontends that a port has; returns the ranges to remove in the end.
    fn plan_port(
        &mut self,
        number: u32,
        wish: PortWish,
        now: Instant,
        planned: &mut Planned,
    ) -> Vec<SourceRange> {
        let limited = |front: &FrontendWish| front.treatment.has(Treatment::SOURCE_RANGES);
        let entries = match wish.frontends.values().any(limited) {
            true => ranges::entries(number, &wish.source_ranges),
            false => BTreeSet::new(),
        };
        let (missing, surplus) = self.ranges.set(number, entries);
        let put = |range| Operation::PutRange { range };
        planned.operations.extend(missing.into_iter().map(put));
        let mut known = self.known(wish.frontends.keys());
        for (key, front) in wish.frontends {
            let offer = |table: &mut Self| {
                let mut side = |list| table.list(list, &mut known, now, &mut planned.operations);
                Ok(Offer {
                    inside: side(front.inside)?,
                    outside: side(front.outside)?,
                    service: number,
                    affinity_seconds: wish.affinity_seconds,
                    treatment: front.treatment,
                })
            };
            let done = self.has_room(&key).and_then(|()| offer(self));
            match done {
                Ok(offer) => {
                    self.unplaced.remove(&key);
                    self.point(key, offer, now, planned);
                }
                Err(reason) => {
                    self.unplaced.insert(key);
                    planned.unplaced.push(Unplaced { key, reason });
                }
            }
        }
        for list in known.into_values() {
            self.lists.release(list, now);
        }
        if wish.affinity_seconds != 0 {
            planned.changes.clients.keep(number);
        }
        surplus
    }

    /// Whether the frontend is there or another one fits.
    fn has_room(&self, key: &FrontendKey) -> Result<(), NoRoom> {
        match self.held.contains_key(key) || self.held.len() < self.room as usize {
            true => Ok(()),
            false => Err(NoRoom::Frontends { room: self.room }),
        }
    }

    /// The lists that these frontends have, by their content; held, so that none goes while the
    /// frontends are planned.
    fn known<'a>(
        &mut self,
        keys: impl Iterator<Item = &'a FrontendKey>,
    ) -> BTreeMap<Arc<[Endpoint]>, List> {
        let mut known = BTreeMap::new();
        for frontend in keys.filter_map(|key| self.held.get(key)) {
            for list in [frontend.offer.inside, frontend.offer.outside] {
                let Some(endpoints) = self.lists.endpoints(list) else {
                    continue;
                };
                if !known.contains_key(endpoints) {
                    known.insert(endpoints.clone(), list);
                    self.lists.hold(list);
                }
            }
        }
        known
    }

    /// A list of these endpoints: one that is known, or one in fresh slots.
    fn list(
        &mut self,
        endpoints: Arc<[Endpoint]>,
        known: &mut BTreeMap<Arc<[Endpoint]>, List>,
        now: Instant,
        operations: &mut Vec<Operation>,
    ) -> Result<List, NoRoom> {
        if endpoints.is_empty() {
            return Ok(List::default());
        }
        if let Some(list) = known.get(&endpoints) {
            return Ok(*list);
        }
        let list = self.lists.place(endpoints.clone(), now)?;
        known.insert(endpoints.clone(), list);
        operations.push(Operation::WriteList {
            first_slot: list.first_slot,
            endpoints,
        });
        Ok(list)
    }
}

fn each_port(wanted: &Wishes) -> impl Iterator<Item = (&ServiceName, &PortWish)> {
    let each = wanted.iter();
    each.flat_map(|(service, ports)| ports.iter().map(move |wish| (service, wish)))
}
