//! When the API server was last heard of, per watch.
//!
//! kube's watcher swallows bookmarks, so the clock sits below it, where the bytes pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use kube::Client;
use tower::service_fn;

/// The time of the last sign of life of one watch.
#[derive(Debug)]
pub(crate) struct Contact {
    started: Instant,
    /// Milliseconds from `started` to the last contact, plus one; zero while there was none.
    last: AtomicU64,
    /// Whether nothing is to be heard of, because the server does not have the kind.
    missing: AtomicBool,
}

impl Contact {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            last: AtomicU64::new(0),
            missing: AtomicBool::new(false),
        }
    }

    /// How long ago the last contact was; none if there never was one.
    pub(crate) fn age(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(
            self.started
                .elapsed()
                .saturating_sub(Duration::from_millis(last)),
        )
    }

    /// Notes that nothing is to be heard of.
    pub(crate) fn miss(&self) {
        self.missing.store(true, Ordering::Relaxed);
    }

    /// Whether nothing is to be heard of.
    pub(crate) fn is_missing(&self) -> bool {
        self.missing.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        self.missing.store(false, Ordering::Relaxed);
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(now + 1, Ordering::Relaxed);
    }
}

/// `client`, whose every successful response and every piece of its body touches `contact`.
pub(crate) fn observed(client: &Client, contact: Arc<Contact>) -> Client {
    let inner = client.clone();
    let service = service_fn(move |request| {
        let (client, contact) = (inner.clone(), contact.clone());
        async move {
            let response = client.send(request).await?;
            let heard = response.status().is_success();
            if heard {
                contact.touch();
            }
            Ok::<_, kube::Error>(response.map(|body| {
                body.map_frame(move |frame| {
                    if heard {
                        contact.touch();
                    }
                    frame
                })
            }))
        }
    });
    Client::new(service, client.default_namespace())
}
