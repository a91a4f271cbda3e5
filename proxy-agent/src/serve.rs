//! What the agent tells others by HTTP, at kube-proxy's ports and paths, so that load balancers,
//! probes and dashboards work unchanged: `/healthz` and `/livez` (and `/readyz`), a port for each Service with a
//! `healthCheckNodePort`, `/metrics` and `/proxyMode`.
//!
//! Nothing here stops the agent: a port that cannot be bound is tried again.

mod checks;
mod flows;
mod health;
mod kernel;
mod listen;
mod metrics;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use cluster_model::{Changes, ClusterIndex, ServiceName};

use crate::args::{Bind, ServiceOptions};
use crate::kernel::pins::Pins;
use crate::plan::services::Wishes;
use checks::{Check, Checks};
pub use flows::FlowMetrics;
use health::Health;
use listen::Listener;
use metrics::{Kind, Metrics};
use tally::{Tally, Without};

/// How full the maps are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Entries of `frontends`.
    pub frontends: usize,
    /// How many of them fit.
    pub room: u32,
    /// Slots of `endpoints` that lists stand in.
    pub endpoints: u32,
    /// All slots of `endpoints`.
    pub slots: u32,
    /// Frontends that a Service wants and another has.
    pub contested: usize,
    /// Frontends for which there is no room.
    pub unplaced: usize,
}

/// The servers, and what they tell.
pub struct Serve {
    started: SystemTime,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    checks: Checks,
    tally: Tally,
    listeners: Vec<Listener>,
}

/// A pass on its way.
pub struct Begun {
    at: Instant,
    kind: Kind,
    changes: Changes,
}

impl Serve {
    /// Starts the servers. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(options: &ServiceOptions, pins: Pins) -> Self {
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::new(pins));
        let ports = [
            (
                options.healthz_bind_address,
                health::routes(&health, &metrics),
            ),
            (options.metrics_bind_address, metrics::routes(&metrics)),
        ];
        let listen = |(bind, routes): (Bind, axum::Router)| Some(Listener::start(bind.0?, routes));
        Self {
            started: SystemTime::now(),
            checks: Checks::new(health.clone()),
            health,
            metrics,
            tally: Tally::default(),
            listeners: ports.into_iter().filter_map(listen).collect(),
        }
    }

    /// Where to tell of conversations.
    #[must_use]
    pub fn flows(&self) -> FlowMetrics {
        self.metrics.flows().clone()
    }

    /// How full the tables are that refuse what is new when they are: entries used, entries that
    /// fit.
    #[must_use]
    pub fn tables(&self) -> BTreeMap<String, (u64, u64)> {
        self.metrics.flows().bounded()
    }

    /// The Services with a port that a `Local` policy leaves no endpoint here.
    #[must_use]
    pub fn without_local(&self) -> Vec<ServiceName> {
        self.tally.services().cloned().collect()
    }

    /// The health check ports that cannot be listened at, and why.
    #[must_use]
    pub fn unheard_checks(&self) -> Vec<(ServiceName, u16, String)> {
        self.checks.unheard()
    }

    /// The agent's own addresses that cannot be listened at, and why.
    #[must_use]
    pub fn unheard_servers(&self) -> Vec<(String, String)> {
        let each = self.listeners.iter();
        each.filter_map(|one| Some((one.address().to_string(), one.trouble()?)))
            .collect()
    }

    /// A full pass begins, also because of these changes.
    #[must_use]
    pub fn begin_full(&self, changes: Changes) -> Begun {
        self.begin(Kind::Full, changes)
    }

    /// A pass for these changes begins.
    #[must_use]
    pub fn begin_changes(&self, changes: Changes) -> Begun {
        self.begin(Kind::Changes, changes)
    }

    fn begin(&self, kind: Kind, changes: Changes) -> Begun {
        let now = SystemTime::now();
        self.health.queued(now);
        self.metrics.queued(&changes, now);
        Begun {
            at: Instant::now(),
            kind,
            changes,
        }
    }

    /// What an audit put right, of each kind how many.
    pub fn repaired(&self, repairs: &[(&'static str, usize)]) {
        for (what, count) in repairs {
            self.metrics.repaired(what, *count);
        }
    }

    /// An audit has read the maps of Services: whether they held what had been written.
    pub fn audited(&self, held: bool) {
        self.metrics.audited(held);
    }

    /// What keeps the node from working, a sentence each.
    pub fn waiting(&self, waiting: Vec<String>) {
        self.health.waiting(waiting);
    }

    /// The pass came to its end. One that failed is not reported, and its changes stay pending.
    pub fn applied(&self, begun: Begun, fill: Fill) {
        let now = SystemTime::now();
        let Begun { at, kind, changes } = begun;
        self.health.applied(now);
        self.metrics.applied(kind, at.elapsed(), now);
        self.metrics.fill(fill);
        // What happened before the agent was there says nothing about it.
        let ours = changes.triggered.iter().filter(|at| **at >= self.started);
        for late in ours.filter_map(|at| now.duration_since(*at).ok()) {
            self.metrics.programmed(late);
        }
    }

    /// Tells what was seen; once the maps say it, so that no client is called to a node that is
    /// not ready for it.
    pub fn tell(&mut self, seen: Seen) {
        let Seen {
            leaving,
            without,
            checks,
        } = seen;
        match leaving {
            Some(leaving) => {
                self.health.node(leaving);
                self.tally = Tally::default();
                self.checks.replace(checks);
            }
            None => self.checks.change(without.keys(), checks),
        }
        self.tally.change(without);
        self.metrics.without_local(self.tally.total());
    }
}

/// What of the cluster is told to others.
#[derive(Debug)]
pub struct Seen {
    /// Whether the node is about to go; `None` where only changed Services were looked at.
    leaving: Option<bool>,
    /// Every Service that was looked at.
    without: BTreeMap<ServiceName, Without>,
    checks: BTreeMap<ServiceName, Check>,
}

impl Seen {
    /// Looks at every Service, with what they want, and at the node.
    #[must_use]
    pub fn all(index: &ClusterIndex, node: &str, wishes: &Wishes) -> Self {
        let leaving = index.node(node).is_some_and(|node| node.leaving);
        Self {
            leaving: Some(leaving),
            ..Self::changed(index, node, wishes)
        }
    }

    /// Looks at the Services that changed, with what they want now.
    #[must_use]
    pub fn changed(index: &ClusterIndex, node: &str, wishes: &Wishes) -> Self {
        Self {
            leaving: None,
            without: tally::of(wishes),
            checks: checks::of(index, wishes.keys(), node),
        }
    }
}
