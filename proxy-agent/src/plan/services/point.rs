//! The one write that commits a change, and what it means for conversations under way.

use std::time::Instant;

use proxy_abi::{Frontend, FrontendKey, Offer};

use super::{Operation, Planned, Table};
use crate::plan::flows::Change;

impl Table {
    /// Makes `offer` the frontend's, if it is not yet.
    pub(super) fn point(
        &mut self,
        key: FrontendKey,
        offer: Offer,
        now: Instant,
        planned: &mut Planned,
    ) {
        let before = self.held.get(&key).copied();
        if before.is_some_and(|held| held.offer == offer && held.belongs_to(&key)) {
            return;
        }
        let served = before.map(|before| self.lists.serving(&before.offer));
        let serving = self.lists.serving(&offer);
        let change = Change::pointed(key, served.as_ref(), serving);
        planned.changes.frontends.push(change);
        let generation = match before {
            Some(before) => before.generation.wrapping_add(1),
            None => self.fresh_generation(),
        };
        let frontend = Frontend::new(&key, offer, generation);
        self.lists.hold(offer.inside);
        self.lists.hold(offer.outside);
        self.held.insert(key, frontend);
        if let Some(before) = before {
            self.let_go(&before, now);
            if before.offer.affinity_seconds != 0 {
                planned.changes.clients.lose(before.offer.service);
            }
        }
        let operation = Operation::PointFrontend { key, frontend };
        planned.operations.push(operation);
    }

    /// A generation for a new frontend, far from those that one at its address may have had.
    fn fresh_generation(&mut self) -> u32 {
        self.next_generation = self.next_generation.wrapping_add(0x9e37_79b9);
        self.next_generation
    }

    fn let_go(&mut self, frontend: &Frontend, now: Instant) {
        self.lists.release(frontend.offer.inside, now);
        self.lists.release(frontend.offer.outside, now);
    }

    /// Removes a frontend.
    pub(super) fn remove(&mut self, key: FrontendKey, now: Instant, planned: &mut Planned) {
        let operation = Operation::RemoveFrontend { key };
        planned.operations.push(operation);
        planned.changes.frontends.push(Change::removed(key));
        if let Some(frontend) = self.held.remove(&key) {
            self.let_go(&frontend, now);
            if frontend.offer.affinity_seconds != 0 {
                planned.changes.clients.lose(frontend.offer.service);
            }
        }
    }
}
