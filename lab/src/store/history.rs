//! The recent past of one kind: a bounded ring of changes that watches read from.
//!
//! A watch that asks for a revision the ring has dropped must list again (410 Expired), exactly as
//! after etcd's compaction.

use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new (or, at the start of a watch, it was there already).
    Added,
    /// It is different from before.
    Modified,
    /// It is gone.
    Deleted,
}

/// One change of one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// Revision the change made; the object carries it as its resource version.
    pub revision: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The object after the change; for Deleted its last state.
    pub object: Arc<Value>,
    /// The object before the change, so that a filtered watch knows what it had shown.
    pub previous: Option<Arc<Value>>,
}

/// Changes of one kind, oldest first.
#[derive(Debug)]
pub(super) struct History {
    ring: VecDeque<Change>,
    capacity: usize,
    /// Highest revision that has been dropped: watches may start here or later.
    floor: u64,
}

impl History {
    pub(super) fn new(capacity: usize) -> Self {
        History {
            ring: VecDeque::new(),
            capacity: capacity.max(1),
            floor: 0,
        }
    }

    pub(super) fn push(&mut self, change: Change) {
        if self.ring.len() == self.capacity
            && let Some(dropped) = self.ring.pop_front()
        {
            self.floor = dropped.revision;
        }
        self.ring.push_back(change);
    }

    /// Changes after `revision`, oldest first; the lowest possible revision if that is too old.
    pub(super) fn since(&self, revision: u64) -> Result<impl Iterator<Item = &Change>, u64> {
        if revision < self.floor {
            return Err(self.floor);
        }
        let start = self
            .ring
            .partition_point(|change| change.revision <= revision);
        Ok(self.ring.range(start..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(revision: u64) -> Change {
        Change {
            revision,
            kind: ChangeKind::Modified,
            object: Arc::new(Value::Null),
            previous: None,
        }
    }

    fn revisions(history: &History, since: u64) -> Result<Vec<u64>, u64> {
        Ok(history.since(since)?.map(|c| c.revision).collect())
    }

    #[test]
    fn ring_answers_what_it_holds_and_refuses_what_it_dropped() {
        let mut history = History::new(3);
        assert_eq!(revisions(&history, 0), Ok(vec![]));
        for revision in [2, 5, 9] {
            history.push(change(revision));
        }
        // (asked since, answer)
        let full = [
            (0, vec![2, 5, 9]),
            (2, vec![5, 9]),
            (4, vec![5, 9]),
            (9, vec![]),
            (50, vec![]),
        ];
        for (since, expected) in full {
            assert_eq!(revisions(&history, since), Ok(expected), "since {since}");
        }
        history.push(change(11));
        assert_eq!(revisions(&history, 1), Err(2), "2 has been dropped");
        assert_eq!(revisions(&history, 2), Ok(vec![5, 9, 11]));
    }
}
