//! Looks at the conversations that the kernel knows from time to time, and soon after a change of
//! Services that ends some; beside the passes, which it does not keep waiting.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proxy_abi::ownership::map;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use crate::kernel::pins::Pins;
use crate::kernel::walk::{self, Use};
use crate::pass::flows::{Swept, sweep};
use crate::plan::flows::{Alarm, Changes, Timeouts, Touched, interval, rest};
use crate::serve::FlowMetrics;

/// Changes come in flocks: one look for what comes within this time.
const SETTLE: Duration = Duration::from_millis(100);
/// After a look that failed.
const RETRY: Duration = Duration::from_secs(10);
/// How often the other tables are counted.
const COUNT: Duration = Duration::from_secs(60);

/// Tables that refuse what is new when they are full; how full those of Services are, each pass says.
const BOUNDED: [&str; 4] = [
    map::SOURCE_RANGES,
    map::PODS,
    map::PACKET_PODS,
    map::HOST_PORTS,
];
/// Tables that then forget what is oldest, as they are meant to.
const FORGETFUL: [&str; 4] = [map::WAYS, map::SOCKET_PEERS, map::FRAGMENTS, map::AFFINITY];

/// What changed since the last look.
#[derive(Debug, Default)]
pub(super) struct Pending {
    touched: Mutex<Touched>,
    due: Notify,
}

impl Pending {
    /// Tells what changed; there will be a look if it ends anything.
    pub(super) fn note(&self, changes: Vec<Changes>) {
        for changes in changes {
            if self.with(|touched| touched.note(changes)) {
                self.due.notify_one();
            }
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Touched) -> T) -> T {
        act(&mut self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Looks again and again.
pub(super) struct Sweeper {
    pins: Pins,
    timeouts: Timeouts,
    pending: Arc<Pending>,
    metrics: FlowMetrics,
    alarm: Alarm,
    /// When the other tables are next counted.
    count: Instant,
}

impl Sweeper {
    pub(super) fn new(
        pins: Pins,
        timeouts: Timeouts,
        pending: Arc<Pending>,
        metrics: FlowMetrics,
    ) -> Self {
        Self {
            pins,
            timeouts,
            pending,
            metrics,
            alarm: Alarm::default(),
            count: Instant::now(),
        }
    }

    /// Never ends.
    pub(super) async fn keep(mut self) {
        loop {
            let (next, rest) = match self.look().await {
                Some(swept) => {
                    let Use { used, size } = swept.flows;
                    (interval(used, size, swept.took), rest(swept.took))
                }
                None => (RETRY, RETRY),
            };
            let ended = Instant::now();
            tokio::select! {
                () = sleep_until(ended + next) => {}
                () = self.pending.due.notified() => {
                    sleep_until((ended + rest).max(Instant::now() + SETTLE)).await;
                }
            }
        }
    }

    async fn look(&mut self) -> Option<Swept> {
        let touched = self.pending.with(mem::take);
        let (pins, timeouts) = (self.pins.clone(), self.timeouts);
        let looked = spawn_blocking(move || {
            let swept = sweep(&pins, &timeouts, &touched);
            (swept, touched)
        });
        let Ok((swept, touched)) = looked.await else {
            // It panicked, which is logged by whoever catches panics.
            return None;
        };
        match swept {
            Ok(swept) => {
                self.report(&swept);
                self.count_others().await;
                Some(swept)
            }
            Err(error) => {
                tracing::error!(retry_in = ?RETRY, "cannot look at the flows: {error}");
                self.pending.with(|newer| newer.restore(touched));
                None
            }
        }
    }

    fn report(&mut self, swept: &Swept) {
        self.metrics.swept(swept);
        for (reason, count) in &swept.removed {
            tracing::debug!(reason = reason.name(), count, "flows forgotten");
        }
        self.table(map::FLOWS, swept.flows, true);
        self.table(map::OPENINGS, swept.openings, true);
    }

    async fn count_others(&mut self) {
        if Instant::now() < self.count {
            return;
        }
        self.count = Instant::now() + COUNT;
        let pins = self.pins.clone();
        let all = || BOUNDED.into_iter().chain(FORGETFUL);
        let count = move || -> Vec<_> {
            let each = all().map(|name| (name, walk::count(&pins, name)));
            each.collect()
        };
        for (name, counted) in spawn_blocking(count).await.unwrap_or_default() {
            match counted {
                Ok(used) => self.table(name, used, BOUNDED.contains(&name)),
                Err(error) => tracing::warn!("{error}"),
            }
        }
    }

    fn table(&mut self, name: &'static str, fill: Use, alarming: bool) {
        let Use { used, size } = fill;
        match alarming {
            true => self.metrics.bounded_table(name, fill),
            false => self.metrics.table(name, fill),
        }
        let now = std::time::Instant::now();
        if alarming && self.alarm.is_due(name, used, size, now) {
            tracing::warn!(table = name, used, size, "a table is nearly full");
        }
    }
}
