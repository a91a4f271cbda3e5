//! One look at the whole table: the halves of each conversation, which come in any order, brought
//! together and judged.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;

use proxy_abi::{Flow, FlowKey};

use super::{Conversation, Half, Keys, Reason, State, Table, Timeouts, Touched};

/// A conversation that is to be forgotten, if it still is as it was when looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Its entries.
    pub keys: Keys,
    /// Why.
    pub reason: Reason,
}

/// What a look came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Conversations by protocol number and state.
    pub counts: BTreeMap<(u8, State), u64>,
    /// Those that are to be forgotten.
    pub doomed: Vec<Doomed>,
}

/// Takes entry after entry.
pub struct Join<'a> {
    timeouts: &'a Timeouts,
    touched: &'a Touched,
    now: u32,
    /// Halves whose other one has not come yet, by a hash of their keys: a table of a million
    /// entries costs tens of megabytes less so. Should two conversations have the same (one in
    /// 2^64), they are counted wrong once, and each is judged anew before anything is removed.
    waiting: HashMap<u64, Half>,
    hasher: RandomState,
    looked: Looked,
}

impl<'a> Join<'a> {
    /// A look at the time `now` (see [`Flow::time`]).
    #[must_use]
    pub fn new(timeouts: &'a Timeouts, touched: &'a Touched, now: u32) -> Self {
        Self {
            timeouts,
            touched,
            now,
            waiting: HashMap::new(),
            hasher: RandomState::new(),
            looked: Looked::default(),
        }
    }

    /// Takes an entry that stands in this table.
    pub fn take(&mut self, key: &FlowKey, flow: &Flow, table: Table) {
        let (keys, half) = (Keys::of(key, flow), Half::of(flow, table));
        if keys.is_single() {
            return self.judge(keys, flow, half, None);
        }
        match self.waiting.entry(self.hasher.hash_one(keys)) {
            Entry::Vacant(place) => {
                place.insert(half);
            }
            Entry::Occupied(place) => {
                let other = place.remove();
                self.judge(keys, flow, half, Some(other));
            }
        }
    }

    /// Whether there are halves that have waited for their other one in vain, so that the entries
    /// should be [looked at again](Self::take_again).
    #[must_use]
    pub fn has_single(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes an entry for the second time.
    pub fn take_again(&mut self, key: &FlowKey, flow: &Flow, table: Table) {
        let keys = Keys::of(key, flow);
        if self.waiting.remove(&self.hasher.hash_one(keys)).is_some() {
            self.judge(keys, flow, Half::of(flow, table), None);
        }
    }

    /// What all that was taken comes to.
    #[must_use]
    pub fn end(self) -> Looked {
        self.looked
    }

    fn judge(&mut self, keys: Keys, flow: &Flow, one: Half, other: Option<Half>) {
        let conversation = Conversation::of(&keys, one, other);
        let place = (conversation.protocol, conversation.state);
        *self.looked.counts.entry(place).or_default() += 1;
        let reason = match conversation.is_over(self.timeouts, self.now) {
            true => Some(Reason::Idle(conversation.state)),
            false => self.touched.ends(&keys, flow.role(), conversation.state),
        };
        let doomed = reason.map(|reason| Doomed { keys, reason });
        self.looked.doomed.extend(doomed);
    }
}
