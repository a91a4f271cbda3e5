//! Names of others: asked of the upstreams, through a cache.
//!
//! One question is asked once at a time, however many clients wait for it. Nothing here knows of
//! the cluster.

pub(crate) mod resolv_conf;
pub(crate) mod servers;
pub(crate) mod exchange;
pub(crate) mod cache;
pub(crate) mod follow;
mod probe;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use hickory_proto::op::Query as Question;
use hickory_proto::rr::{Name, RecordType};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::cache::{Cache, Key};
use self::exchange::{Wishes, exchange};
use self::servers::{Routes, Server};
use crate::metrics::Metrics;
use crate::wire::stored::{FAILURE, Stored, StoredKind};

/// How long a client waits while there is an old answer to serve it (RFC 8767, 5: 1.8 s).
const STALE_AFTER: Duration = Duration::from_millis(1800);
/// How long all upstreams together may take. Clients ask again after five seconds.
const TOGETHER: Duration = Duration::from_millis(4500);
/// How often each upstream is asked.
const ROUNDS: usize = 2;

/// How upstreams are asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long one upstream may take.
    pub(crate) patience: Duration,
    /// Questions on their way at once.
    pub(crate) concurrent: usize,
    /// Bytes of the cache.
    pub(crate) cache: u64,
    /// How long past its time an answer is served while the upstreams fail.
    pub(crate) stale: Duration,
}

/// An answer on its way, which many may wait for; none where it cannot be had or written.
type Flight = Shared<BoxFuture<'static, Option<Arc<Stored>>>>;

/// The upstreams and what they answered.
pub(crate) struct Upstream {
    routes: RwLock<Arc<Routes>>,
    search: RwLock<Arc<[Name]>>,
    cache: Cache,
    flights: Mutex<HashMap<Key, Flight>>,
    /// Until when not to ask again what failed, of the questions with an old answer.
    resting: Mutex<HashMap<Key, Instant>>,
    permits: Arc<Semaphore>,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// What the cache says.
pub(crate) enum Kept {
    /// This holds.
    Fresh(Arc<Stored>),
    /// Nothing, or something out of date.
    Old,
}

impl Upstream {
    pub(crate) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            routes: RwLock::default(),
            search: RwLock::new(Arc::from([])),
            cache: Cache::new(limits.cache),
            flights: Mutex::default(),
            resting: Mutex::default(),
            permits: Arc::new(Semaphore::new(limits.concurrent)),
            limits,
            metrics,
        }
    }

    /// Asks these from now on.
    pub(crate) fn set_routes(&self, routes: Routes, search: &[Name]) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
        *self.search.write().unwrap_or_else(PoisonError::into_inner) = search.into();
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        self.routes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The node's own search list.
    pub(crate) fn search(&self) -> Arc<[Name]> {
        self.search
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Answers in the cache, and their bytes.
    pub(crate) fn cached(&self) -> (usize, u64) {
        (self.cache.len(), self.cache.bytes())
    }

    /// What is known without asking. `key` is room to work in.
    pub(crate) fn kept(
        &self,
        (name, kind, wishes): (&[u8], RecordType, Wishes),
        key: &mut Vec<u8>,
        now: Instant,
    ) -> Kept {
        key.clear();
        Key::write(name, kind, wishes, key);
        match self.cache.get(key) {
            Some(answer) if answer.overdue(now).is_none() => {
                self.metrics.cache_hit(answer.kind);
                Kept::Fresh(answer)
            }
            _ => {
                self.metrics.cache_miss();
                Kept::Old
            }
        }
    }

    /// Leave to ask, if not too many are asking already.
    pub(crate) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = self.permits.clone().try_acquire_owned().ok();
        if permit.is_none() {
            self.metrics.forward_rejected();
        }
        permit
    }

    /// The answer for `name`: from the cache, from the upstreams, or an old one where they fail
    /// or take long. None without upstreams.
    pub(crate) async fn resolve(
        self: &Arc<Self>,
        name: &Name,
        kind: RecordType,
        wishes: Wishes,
    ) -> Option<Arc<Stored>> {
        let name = name.to_lowercase();
        let key = Key::of(&name, kind, wishes);
        let now = Instant::now();
        let old = self.cache.get(key.bytes());
        let old = match old {
            Some(answer) => match answer.overdue(now) {
                None => return Some(answer),
                Some(overdue) => (overdue < self.limits.stale
                    && answer.kind != StoredKind::Failure)
                    .then_some(answer),
            },
            None => None,
        };
        let Some(old) = old else {
            return self.fly(key, Question::query(name, kind), wishes).await;
        };
        if self.rests(&key, now) {
            self.metrics.served_stale();
            return Some(old);
        }
        let flight = self.fly(key, Question::query(name, kind), wishes);
        match tokio::time::timeout(STALE_AFTER, flight).await {
            Ok(Some(new)) if new.kind != StoredKind::Failure => Some(new),
            _ => {
                self.metrics.served_stale();
                Some(old)
            }
        }
    }

    /// Whether the upstreams failed with this a moment ago.
    fn rests(&self, key: &Key, now: Instant) -> bool {
        lock(&self.resting)
            .get(key)
            .is_some_and(|until| now < *until)
    }

    /// Asks, or waits with those who asked already.
    fn fly(self: &Arc<Self>, key: Key, question: Question, wishes: Wishes) -> Flight {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let (this, own) = (self.clone(), key.clone());
        // A task of its own: it goes on when whoever asked first has gone.
        let task = tokio::spawn(async move {
            let answer = this.ask(&question, wishes).await.map(Arc::new);
            this.keep(&own, answer.clone());
            answer
        });
        let flight = task.map(|ended| ended.ok().flatten()).boxed().shared();
        flights.insert(key, flight.clone());
        flight
    }

    fn keep(&self, key: &Key, answer: Option<Arc<Stored>>) {
        let now = Instant::now();
        let failed = answer
            .as_ref()
            .is_none_or(|a| a.kind == StoredKind::Failure);
        let useful = |old: &Arc<Stored>| {
            let overdue = old.overdue(now).unwrap_or_default();
            old.kind != StoredKind::Failure && overdue < self.limits.stale
        };
        let mut resting = lock(&self.resting);
        resting.remove(key);
        if failed && self.cache.get(key.bytes()).as_ref().is_some_and(useful) {
            resting.retain(|_, until| now < *until);
            // No more of these than questions can be asked in that time.
            if resting.len() < self.limits.concurrent {
                resting.insert(key.clone(), now + FAILURE);
            }
        } else if let Some(answer) = answer {
            self.cache.insert(key.clone(), answer);
        }
        lock(&self.flights).remove(key);
    }

    /// Asks the upstreams in turn. One that answers with a failure of its own is the last word
    /// only if no other says more.
    async fn ask(&self, question: &Question, wishes: Wishes) -> Option<Stored> {
        let mut last = None;
        let deadline = Instant::now() + TOGETHER;
        let servers = self.routes().servers(question.name(), Instant::now());
        if servers.is_empty() {
            return None;
        }
        for round in 0..ROUNDS {
            for server in &servers {
                let left = deadline.saturating_duration_since(Instant::now());
                // Who refused once would refuse twice.
                if left.is_zero() || (round > 0 && last.is_some()) {
                    break;
                }
                let patience = self.limits.patience.min(left);
                if let Some(answer) = self.ask_one(server, question, wishes, patience).await {
                    if answer.kind != StoredKind::Failure {
                        return Some(answer);
                    }
                    last = Some(answer);
                }
            }
        }
        last.or_else(|| Stored::failure(question, Instant::now()))
    }

    async fn ask_one(
        &self,
        server: &Server,
        question: &Question,
        wishes: Wishes,
        patience: Duration,
    ) -> Option<Stored> {
        let begun = Instant::now();
        let outcome = exchange(server.address, question, wishes, patience).await;
        let now = Instant::now();
        match outcome {
            Ok(answer) => {
                server.answered();
                let code = answer.metadata.response_code;
                self.metrics
                    .forwarded(server.address, Some(code), now - begun);
                Stored::new(question, answer, now)
            }
            Err(error) => {
                server.failed(now);
                self.metrics.forwarded(server.address, None, now - begun);
                tracing::debug!(upstream = %server.address, name = %question.name(), %error, "no answer");
                None
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
