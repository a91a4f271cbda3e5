//! Whether the maps hold what the agent wrote, as far as one that reads them meanwhile can tell.

use std::collections::BTreeSet;

use proxy_abi::{Endpoint, FrontendKey, List};

use super::ranges::Ranges;
use super::{Held, Observed, Operation, Table};

/// What was written while the maps were read: of that nobody knows whether it was read as it was
/// before or as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    frontends: BTreeSet<FrontendKey>,
    /// The numbers of the ports whose source ranges changed.
    ports: BTreeSet<u32>,
}

impl Written {
    /// That was carried out. A list is written into slots to which no frontend leads that is not
    /// written after it, so it needs no mention.
    pub fn note(&mut self, operation: &Operation) {
        match operation {
            Operation::PointFrontend { key, .. } | Operation::RemoveFrontend { key } => {
                self.frontends.insert(*key);
            }
            Operation::PutRange { range } | Operation::RemoveRange { range } => {
                self.ports.insert(range.source.service());
            }
            Operation::WriteList { .. } => {}
        }
    }
}

impl Table {
    /// Whether `observed` is what was written last, but for what has been `written` since somebody
    /// began to observe. Says nothing of whether that is what is wanted.
    #[must_use]
    pub fn is_held(&self, observed: &Observed, written: &Written) -> bool {
        let settled = |key: &&FrontendKey| !written.frontends.contains(*key);
        let Observed { frontends, ranges } = observed;
        let ours = self.held.keys().filter(settled).count();
        let theirs = frontends.keys().filter(settled).count();
        // As many, and each of theirs is one of ours: the same.
        ours == theirs
            && frontends
                .iter()
                .filter(|(key, _)| settled(key))
                .all(|(key, held)| self.is_as_written(key, held))
            && self
                .ranges
                .are(&Ranges::new(ranges.iter().copied()), &written.ports)
    }

    fn is_as_written(&self, key: &FrontendKey, held: &Held) -> bool {
        let Held {
            frontend,
            inside,
            outside,
        } = held;
        self.held.get(key) == Some(frontend)
            && *self.written_at(frontend.offer.inside) == **inside
            && *self.written_at(frontend.offer.outside) == **outside
    }

    fn written_at(&self, list: List) -> &[Endpoint] {
        self.lists.endpoints(list).map_or(&[], |all| &**all)
    }
}
