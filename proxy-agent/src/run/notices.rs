//! Tells operators what they must see, as Events: looks from time to time, beside the passes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster_model::{ClusterIndex, Notice};
use cluster_watch::{Client, Publisher};
use proxy_abi::Counter;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::kernel::counters;
use crate::pass::Node;
use crate::plan::notices::{Facts, Told, standing};
use crate::serve::Serve;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(10);
/// Notices that wait for the API server; while it takes none, more are not worth keeping.
const WAITING: usize = 20;

/// Who looks.
pub(super) struct Notices {
    ticks: Interval,
    told: Told,
    /// What the counters said at the last look. None before the first: what moved them until then
    /// is no news.
    counted: Option<BTreeMap<Counter, u64>>,
    publish: mpsc::Sender<Notice>,
}

impl Notices {
    /// One who looks, and the task that writes what he sees. Must be called within a tokio runtime.
    pub(super) fn new(client: Client, node: &str) -> (Self, impl Future<Output = ()> + use<>) {
        let (publish, waiting) = mpsc::channel(WAITING);
        let publisher = Publisher::new(client, "flatnet-agent", node);
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let this = Self {
            ticks,
            told: Told::new(std::time::Instant::now()),
            counted: None,
            publish,
        };
        (this, write(publisher, waiting))
    }

    /// Until it is time to look.
    pub(super) async fn due(&mut self) {
        self.ticks.tick().await;
    }

    /// Looks, and has written what is new.
    pub(super) fn look(&mut self, index: &ClusterIndex, node: &Node, serve: &Serve) {
        let facts = Facts {
            node: node.name(),
            nodes: index.nodes().map(|node| &*node.name).collect(),
            tables: serve.tables(),
            contested: node.contested(),
            moved: self.moved(counters::read(node.pins())),
            without_local: serve.without_local(),
            checks: serve.unheard_checks(),
            servers: serve.unheard_servers(),
        };
        for notice in self.told.due(standing(&facts), std::time::Instant::now()) {
            tracing::warn!(reason = notice.reason, "{}: {}", notice.about, notice.note);
            // Whoever cannot write an Event has it in the log.
            _ = self.publish.try_send(notice);
        }
    }

    fn moved(&mut self, now: Vec<(Counter, u64)>) -> BTreeSet<Counter> {
        let now: BTreeMap<_, _> = now.into_iter().collect();
        let before = self.counted.replace(now.clone());
        let Some(before) = before else {
            return BTreeSet::new();
        };
        let more = |(counter, count): &(Counter, u64)| before.get(counter) < Some(count);
        let moved = now.into_iter().filter(more);
        moved.map(|(counter, _)| counter).collect()
    }
}

/// Writes one after the other. The first failure of several is logged: an API server that is away
/// is told of elsewhere, and a right that is missing stays missing.
async fn write(publisher: Publisher, mut waiting: mpsc::Receiver<Notice>) {
    let mut fails = false;
    while let Some(notice) = waiting.recv().await {
        match publisher.publish(&notice).await {
            Ok(()) => fails = false,
            Err(error) if !fails => {
                tracing::warn!("{error}");
                fails = true;
            }
            Err(error) => tracing::debug!("{error}"),
        }
    }
}
