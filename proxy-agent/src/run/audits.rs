//! When the maps of Services are looked at, and by which means: beside the passes, or by a full one,
//! for which every change waits.

use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use crate::kernel::maps::MapsError;
use crate::pass::Node;
use crate::plan::services::Observed;

/// How often all that is wanted is worked out anew, whatever the audits find. They compare the maps
/// with what the agent wrote; this compares what it wrote with the cluster.
const WHOLE: Duration = Duration::from_secs(60 * 60);

/// The audits of one node.
pub(super) struct Audits {
    interval: Duration,
    /// When the next one begins, whatever passes for the node come until then.
    due: Instant,
    /// From when on only a full pass will do.
    whole: Instant,
    reading: Option<JoinHandle<Result<Observed, MapsError>>>,
}

impl Audits {
    /// None yet; a full pass is due at once.
    pub(super) fn every(interval: Duration) -> Self {
        let now = Instant::now();
        Self {
            interval,
            due: now,
            whole: now,
            reading: None,
        }
    }

    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// A full pass has seen to everything.
    pub(super) fn full_pass_done(&mut self) {
        self.done();
        self.whole = Instant::now() + WHOLE;
        self.reading = None;
    }

    /// All was as it should be.
    pub(super) fn done(&mut self) {
        self.due = Instant::now() + self.interval;
    }

    /// Begins one beside the passes, or says that only a full pass will do.
    pub(super) fn begin(&mut self, node: &mut Node) -> bool {
        if Instant::now() >= self.whole {
            return false;
        }
        let look = node.begin_audit();
        self.reading = look.map(|look| spawn_blocking(|| look.take()));
        self.reading.is_some()
    }

    /// Whether one is under way.
    pub(super) const fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// What the maps hold, once they are read; nothing if that failed, which a full pass will say,
    /// too. Never, where no audit is under way. It may be left and come back to.
    pub(super) async fn read(&mut self) -> Option<Observed> {
        let Some(reading) = &mut self.reading else {
            return std::future::pending().await;
        };
        let read = reading.await;
        self.reading = None;
        read.ok()?.ok()
    }
}
