//! Following the changes of one kind.
//!
//! A watch is a position in the history ring: it holds no queue of its own that a slow reader
//! could fill. A reader so slow that the ring has passed it by gets Expired and lists again.

use super::history::{Change, ChangeKind};
use super::{ApiError, Kind, Store, object};
use futures::Stream;
use std::collections::VecDeque;
use tokio::sync::watch;

/// A watch on one kind; see [`Store::watch`].
#[derive(Debug)]
pub struct Watch {
    store: Store,
    kind: Kind,
    namespace: Option<String>,
    /// Every change up to this revision is in `pending` or has been given out.
    position: u64,
    pending: VecDeque<Change>,
    changed: watch::Receiver<u64>,
}

impl Watch {
    pub(super) fn open(
        store: Store,
        kind: Kind,
        namespace: Option<&str>,
        since: Option<u64>,
    ) -> Result<Watch, ApiError> {
        let (position, pending, changed) = {
            let state = store.lock();
            let now = state.revision();
            let pending = match since {
                None => state
                    .list(kind, namespace)
                    .into_iter()
                    .map(present)
                    .collect(),
                // From another life of the lab: this history knows nothing of it.
                Some(since) if since > now => return Err(expired(since, now)),
                Some(_) => VecDeque::new(),
            };
            (since.unwrap_or(now), pending, state.subscribe(kind))
        };
        let namespace = namespace.map(str::to_owned);
        let mut watch = Watch {
            store,
            kind,
            namespace,
            position,
            pending,
            changed,
        };
        watch.refill()?;
        Ok(watch)
    }

    /// The next change; waits for one without polling. Safe to cancel.
    ///
    /// Fails with Expired once the history no longer reaches back to where this watch stands.
    pub async fn next(&mut self) -> Result<Change, ApiError> {
        loop {
            if let Some(change) = self.try_next()? {
                return Ok(change);
            }
            self.ready().await;
        }
    }

    /// Waits until something has changed since this watch last looked. Safe to cancel.
    pub async fn ready(&mut self) {
        // The sender lives in the store this watch holds: it cannot be gone.
        let _ = self.changed.changed().await;
    }

    /// The next change if there is one already.
    pub fn try_next(&mut self) -> Result<Option<Change>, ApiError> {
        if self.pending.is_empty() {
            self.refill()?;
        }
        Ok(self.pending.pop_front())
    }

    /// A resource version to resume from, if everything up to it has been given out.
    pub fn bookmark(&mut self) -> Result<Option<u64>, ApiError> {
        if self.pending.is_empty() {
            self.refill()?;
        }
        Ok(self.pending.is_empty().then_some(self.position))
    }

    /// The changes as a stream; it ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Change, ApiError>> {
        futures::stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(change) => Some((Ok(change), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn refill(&mut self) -> Result<(), ApiError> {
        // Marked as seen before reading: a change in between wakes once too often, never too few.
        self.changed.mark_unchanged();
        let state = self.store.lock();
        let now = state.revision();
        let news = state
            .history(self.kind)
            .since(self.position)
            .map_err(|_floor| expired(self.position, now))?;
        let wanted = |change: &&Change| match &self.namespace {
            None => true,
            Some(namespace) => object::namespace(&change.object) == namespace,
        };
        self.pending.extend(news.filter(wanted).cloned());
        self.position = now;
        Ok(())
    }
}

/// An object that was there before the watch began.
fn present(object: std::sync::Arc<serde_json::Value>) -> Change {
    let revision = object::resource_version(&object)
        .parse()
        .unwrap_or_default();
    Change {
        revision,
        kind: ChangeKind::Added,
        object,
        previous: None,
    }
}

fn expired(asked: u64, now: u64) -> ApiError {
    ApiError::Expired(format!("too old resource version: {asked} ({now})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Config, DeleteOptions};
    use serde_json::json;

    fn map(name: &str) -> serde_json::Value {
        json!({"metadata": {"name": name, "namespace": "default"}})
    }

    fn drain(watch: &mut Watch) -> Vec<(ChangeKind, String)> {
        std::iter::from_fn(|| watch.try_next().expect("not expired"))
            .map(|change| (change.kind, object::name(&change.object).to_owned()))
            .collect()
    }

    #[test]
    fn without_a_version_it_begins_with_what_is_there() {
        let store = Store::new(&Config::default());
        store.create(Kind::ConfigMap, map("a")).expect("created");
        let mut watch = store.watch(Kind::ConfigMap, None, None).expect("opens");
        assert_eq!(drain(&mut watch), [(ChangeKind::Added, "a".into())]);
        store.create(Kind::ConfigMap, map("b")).expect("created");
        store
            .modify(Kind::ConfigMap, "default", "b", |o| {
                o["data"] = json!({"k": "v"})
            })
            .expect("modified");
        store
            .modify(Kind::ConfigMap, "default", "b", |_| ())
            .expect("nothing changed");
        store
            .delete(Kind::ConfigMap, "default", "a", &DeleteOptions::default())
            .expect("deleted");
        let expected = [
            (ChangeKind::Added, "b".into()),
            (ChangeKind::Modified, "b".into()),
            (ChangeKind::Deleted, "a".into()),
        ];
        assert_eq!(drain(&mut watch), expected);
    }

    #[test]
    fn from_a_list_it_repeats_nothing_and_sees_only_its_namespace() {
        let store = Store::new(&Config::default());
        store.create(Kind::ConfigMap, map("a")).expect("created");
        let since = store.list(Kind::ConfigMap, None).resource_version;
        let other = json!({"metadata": {"name": "c", "namespace": "kube-system"}});
        store.create(Kind::ConfigMap, other).expect("created");
        store.create(Kind::ConfigMap, map("b")).expect("created");
        let mut watch = store
            .watch(Kind::ConfigMap, Some("default"), Some(since))
            .expect("opens");
        assert_eq!(watch.bookmark(), Ok(None), "changes are waiting");
        assert_eq!(drain(&mut watch), [(ChangeKind::Added, "b".into())]);
        let bookmark = watch
            .bookmark()
            .expect("not expired")
            .expect("nothing is waiting");
        let mut resumed = store
            .watch(Kind::ConfigMap, None, Some(bookmark))
            .expect("opens");
        assert_eq!(drain(&mut resumed), []);
    }

    #[test]
    fn too_old_and_unknown_versions_are_expired() {
        let store = Store::new(&Config {
            history: 2,
            ..Config::default()
        });
        let since = store.list(Kind::ConfigMap, None).resource_version;
        let mut slow = store
            .watch(Kind::ConfigMap, None, Some(since))
            .expect("opens");
        for name in ["a", "b", "c"] {
            store.create(Kind::ConfigMap, map(name)).expect("created");
        }
        for since in [since, 1_000_000] {
            let refused = store.watch(Kind::ConfigMap, None, Some(since));
            assert!(matches!(refused, Err(ApiError::Expired(_))), "{since}");
        }
        assert!(matches!(slow.try_next(), Err(ApiError::Expired(_))));
    }

    #[tokio::test]
    async fn a_waiting_watch_wakes() {
        let store = Store::new(&Config::default());
        let mut watch = store.watch(Kind::ConfigMap, None, None).expect("opens");
        let waiting = tokio::spawn(async move { watch.next().await });
        tokio::task::yield_now().await;
        store.create(Kind::ConfigMap, map("a")).expect("created");
        let change = waiting.await.expect("no panic").expect("a change");
        assert_eq!(change.kind, ChangeKind::Added);
    }
}
