//! The node's keeper: which pass is due, and over how much.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use cluster_model::{Changes, Dirty, Here};
use cluster_watch::Feed;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use super::RETRY_FIRST;
use super::audits::Audits;
use super::flows::Pending;
use super::notices::Notices;
use crate::kernel::events::Events;
use crate::kernel::probe;
use crate::local::Local;
use crate::pass::{self, Node, PassError, Plan, Waiting, Wish};
use crate::plan::services::Observed;
use crate::serve::{Seen, Serve};

/// Longest pause after a failed pass.
const RETRY_LAST: Duration = Duration::from_secs(30);
/// Changes of interfaces come in flocks: one pass for what comes within this time.
const SETTLE: Duration = Duration::from_millis(100);

/// What a full pass has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Services and the maps that hold them, too.
    Everything,
    /// The node; and Services only if they are seen from it in another way than before.
    Node,
}

/// From where Services are seen: what all of them follow from.
pub(super) type Seat = (Here, Option<cluster_model::Node>);

/// The node, the cluster's view, and how the last full pass went.
pub(super) struct Keeper {
    pub(super) here: Here,
    /// From where every Service was seen when all were last planned.
    pub(super) seat: Option<Seat>,
    pub(super) flows: Arc<Pending>,
    pub(super) serve: Serve,
    pub(super) local: Local,
    /// Changes that the next full pass is for.
    pub(super) unplanned: Dirty,
    pub(super) node: Node,
    pub(super) feed: Feed,
    pub(super) events: Events,
    pub(super) notices: Notices,
    pub(super) audits: Audits,
    pub(super) retry: Duration,
    pub(super) waiting: Vec<Waiting>,
    /// Whether all was as the cluster says when the last pass ended.
    pub(super) settled: bool,
}

impl Keeper {
    /// A full pass. Returns when the next one is due: soon, if something failed. Until then
    /// changes are followed all the same.
    pub(super) async fn full(&mut self, scope: Scope) -> Instant {
        match self.pass(scope).await {
            Ok((plan, mut waiting)) => {
                self.retry = RETRY_FIRST;
                if !probe::socket_programs_work() {
                    waiting.push(Waiting::SocketPrograms);
                }
                if mem::replace(&mut self.settled, true) {
                    self.serve.repaired(&plan.repairs());
                }
                if !plan.is_empty() {
                    tracing::info!(operations = plan.len(), "the node is as the cluster says");
                }
                self.announce(waiting);
                self.audits.due()
            }
            Err(error) => {
                self.settled = false;
                let retry = self.retry;
                tracing::error!(retry_in = ?retry, "{error}");
                self.retry = (retry * 2).min(RETRY_LAST);
                Instant::now() + retry
            }
        }
    }

    /// A pass over as much as it takes: a cluster's Services are many, and most changes of nodes
    /// and interfaces do not concern them.
    async fn pass(&mut self, scope: Scope) -> Result<(Plan, Vec<Waiting>), PassError> {
        self.here = self.node.here().await?;
        // The pass sees these changes, too; they need none of their own.
        self.unplanned.merge(self.feed.take_changes());
        if !self.unplanned.is_empty() {
            // What differs now need not have been changed by somebody else.
            self.settled = false;
        }
        let dirty = mem::take(&mut self.unplanned);
        let own = self.feed.read().node(&self.here.node).cloned();
        let seat = Some((self.here.clone(), own));
        let same = self.seat == seat && self.node.knows_services();
        self.seat = seat;
        if scope == Scope::Everything || !same {
            return self.everything(dirty.changes).await;
        }
        match dirty.services.is_empty() || self.changed(dirty) {
            true => self.node_alone().await,
            false => self.everything(Changes::default()).await,
        }
    }

    async fn node_alone(&mut self) -> Result<(Plan, Vec<Waiting>), PassError> {
        let begun = self.serve.begin_full(Changes::default());
        let wish = Wish::of_node(&self.feed.read());
        let done = self.node.full(wish).await;
        if done.is_ok() {
            self.serve.applied(begun, self.node.fill());
        }
        done
    }

    async fn everything(&mut self, changes: Changes) -> Result<(Plan, Vec<Waiting>), PassError> {
        let begun = self.serve.begin_full(changes);
        let (wish, seen) = {
            let index = self.feed.read();
            let wish = Wish::of(&index, &self.here);
            let all = wish.services.as_ref();
            let seen = all.map(|all| Seen::all(&index, &self.here.node, all));
            (wish, seen)
        };
        let done = self.node.full(wish).await;
        self.flows.note(self.node.take_changes());
        seen.into_iter().for_each(|seen| self.serve.tell(seen));
        if done.is_ok() {
            self.audits.full_pass_done();
            self.serve.applied(begun, self.node.fill());
        }
        done
    }

    /// A pass for each change until it is time for one over more: when an audit has read the maps,
    /// when a node, a ServiceCIDR or an interface changed, or when a pass failed. What is `due` is an
    /// audit, or to try again.
    pub(super) async fn follow_until(&mut self, due: Instant) -> Scope {
        loop {
            let dirty = tokio::select! {
                dirty = self.feed.changed() => dirty,
                () = sleep_until(due), if !self.audits.is_reading() => {
                    if self.settled && self.audits.begin(&mut self.node) {
                        continue;
                    }
                    return Scope::Everything;
                }
                observed = self.audits.read() => return self.audited(observed),
                () = self.notices.due() => {
                    self.notices.look(&self.feed.read(), &self.node, &self.serve);
                    continue;
                }
                () = self.events.changed() => {
                    sleep(SETTLE).await;
                    self.events.forget();
                    return Scope::Node;
                }
            };
            if dirty.nodes || dirty.service_cidrs {
                self.unplanned.merge(dirty);
                return Scope::Node;
            }
            if !self.changed(dirty) {
                self.settled = false;
                return Scope::Everything;
            }
        }
    }

    /// An audit has read the maps of Services: what is to be looked at after that.
    fn audited(&mut self, observed: Option<Observed>) -> Scope {
        let Some(observed) = observed else {
            return Scope::Everything;
        };
        let held = self.node.end_audit(&observed);
        // As large as it is, it takes its time to be freed.
        spawn_blocking(move || drop(observed));
        self.serve.audited(held);
        if !(held && self.settled) {
            return Scope::Everything;
        }
        self.audits.done();
        Scope::Node
    }

    fn changed(&mut self, dirty: Dirty) -> bool {
        let begun = self.serve.begin_changes(dirty.changes);
        let services = self.node.with_rivals(dirty.services);
        let (wanted, seen) = {
            let index = self.feed.read();
            let wanted = pass::wishes(&index, services.iter(), &self.here);
            let seen = Seen::changed(&index, &self.here.node, &wanted);
            (wanted, seen)
        };
        let done = self.node.changed(wanted);
        self.flows.note(self.node.take_changes());
        self.serve.tell(seen);
        match done {
            Ok(operations) => {
                tracing::debug!(services = services.len(), operations, "changes applied");
                self.serve.applied(begun, self.node.fill());
                true
            }
            Err(error) => {
                tracing::error!("{error}");
                false
            }
        }
    }

    /// Says what the node waits for, once.
    fn announce(&mut self, waiting: Vec<Waiting>) {
        let blocking = waiting.iter().filter(|waiting| waiting.blocks());
        self.serve
            .waiting(blocking.map(ToString::to_string).collect());
        for new in waiting.iter().filter(|new| !self.waiting.contains(new)) {
            tracing::warn!("waiting: {new}");
        }
        self.local
            .waits_for(waiting.iter().map(ToString::to_string));
        self.waiting = waiting;
    }
}
