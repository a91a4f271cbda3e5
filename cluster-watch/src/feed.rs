//! The index and the tasks that fill it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use cluster_model::{ClusterIndex, Dirty};
use kube::Client;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::contact::Contact;
use crate::watch::follow;
use crate::wire::{NodeObject, PodObject, ServiceCidrObject, ServiceObject, SliceObject};

/// What to watch besides Services and their slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// Nodes: the agent's routes come from them.
    pub nodes: bool,
    /// Slices of headless Services: DNS answers from them, the proxy has no use for them.
    pub headless: bool,
    /// ServiceCIDRs: the agent refuses what goes to a cluster IP that no Service has. Done without
    /// where the API server does not have the kind (before Kubernetes 1.33).
    pub service_cidrs: bool,
    /// Pods: DNS verifies pods' names by them, and tells clients' namespaces.
    pub pods: bool,
}

/// The cluster as the API server last told it, kept up to date by tasks in the background.
///
/// Clones share one index. The tasks end with the last clone. When the API server goes away the
/// index stays as it is, and [`Feed::age`] grows.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
    _tasks: Arc<JoinSet<()>>,
}

/// What the watches write and the feed's owners read.
pub(crate) struct Shared {
    index: RwLock<ClusterIndex>,
    changed: Notify,
    /// How many kinds have not been listed in full yet.
    unsynced: watch::Sender<usize>,
    /// One a kind.
    contacts: BTreeMap<&'static str, Arc<Contact>>,
}

/// Starts to watch what `selection` says. Must be called within a tokio runtime.
pub fn spawn(client: Client, selection: Selection) -> Feed {
    let Selection {
        nodes,
        headless,
        service_cidrs,
        pods,
    } = selection;
    let kinds = ["services", "endpointslices"]
        .into_iter()
        .chain(nodes.then_some("nodes"))
        .chain(service_cidrs.then_some("servicecidrs"))
        .chain(pods.then_some("pods"));
    let shared = Arc::new(Shared::new(kinds));
    let slices = (!headless).then_some("!service.kubernetes.io/headless");

    let mut tasks = JoinSet::new();
    tasks.spawn(follow::<ServiceObject>(
        client.clone(),
        None,
        shared.clone(),
    ));
    tasks.spawn(follow::<SliceObject>(
        client.clone(),
        slices,
        shared.clone(),
    ));
    if nodes {
        tasks.spawn(follow::<NodeObject>(client.clone(), None, shared.clone()));
    }
    if service_cidrs {
        let cidrs = follow::<ServiceCidrObject>(client.clone(), None, shared.clone());
        tasks.spawn(cidrs);
    }
    if pods {
        tasks.spawn(follow::<PodObject>(client, None, shared.clone()));
    }
    Feed {
        shared,
        _tasks: Arc::new(tasks),
    }
}

impl Feed {
    /// The index as it is now. Hold it briefly and never across an await: the watches wait for it.
    pub fn read(&self) -> RwLockReadGuard<'_, ClusterIndex> {
        self.shared
            .index
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every kind has been listed in full at least once: what is not in the index then
    /// does not exist.
    pub fn is_synced(&self) -> bool {
        *self.shared.unsynced.borrow() == 0
    }

    /// Waits until [`Feed::is_synced`].
    pub async fn synced(&self) {
        let mut unsynced = self.shared.unsynced.subscribe();
        // An error would say that the sender is gone; it lives in `self`.
        let _ = unsynced.wait_for(|kinds| *kinds == 0).await;
    }

    /// Waits until something changed since the last call, and says what. Changes add up until
    /// they are asked for, also during the first list. For one caller: each change is handed out
    /// once. A call that is cancelled loses nothing.
    pub async fn changed(&self) -> Dirty {
        loop {
            let wake = self.shared.changed.notified();
            let dirty = self.shared.write(ClusterIndex::take_dirty);
            if !dirty.is_empty() {
                return dirty;
            }
            wake.await;
        }
    }

    /// What changed since the last call, without waiting: for a caller that is about to look at
    /// everything.
    pub fn take_changes(&self) -> Dirty {
        self.shared.write(ClusterIndex::take_dirty)
    }

    /// How old the index may be: the time since the API server was last heard of on the watch
    /// that has been silent longest. None until each was heard of once. A healthy server sends a
    /// bookmark about once a minute, so that a quiet cluster's feed is up to that old.
    pub fn age(&self) -> Option<Duration> {
        self.shared
            .contacts
            .values()
            .filter(|contact| !contact.is_missing())
            .map(|contact| contact.age())
            .try_fold(Duration::ZERO, |oldest, age| age.map(|age| oldest.max(age)))
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unsynced = *self.shared.unsynced.borrow();
        f.debug_struct("Feed")
            .field("unsynced", &unsynced)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn new(kinds: impl Iterator<Item = &'static str>) -> Self {
        let contacts: BTreeMap<_, _> = kinds.map(|kind| (kind, Arc::new(Contact::new()))).collect();
        Self {
            index: RwLock::default(),
            changed: Notify::new(),
            unsynced: watch::Sender::new(contacts.len()),
            contacts,
        }
    }

    /// The clock of a kind, by its plural.
    pub(crate) fn contact(&self, kind: &str) -> Arc<Contact> {
        self.contacts
            .get(kind)
            .cloned()
            .unwrap_or_else(|| Arc::new(Contact::new()))
    }

    /// Changes the index and wakes who waits for changes.
    pub(crate) fn update(&self, change: impl FnOnce(&mut ClusterIndex)) {
        self.write(change);
        self.changed.notify_one();
    }

    /// Notes that the server does not have a kind.
    pub(crate) fn missing(&self, kind: &str) {
        self.contact(kind).miss();
    }

    /// Counts a kind as listed in full.
    pub(crate) fn kind_synced(&self) {
        self.unsynced
            .send_modify(|kinds| *kinds = kinds.saturating_sub(1));
    }

    fn write<T>(&self, change: impl FnOnce(&mut ClusterIndex) -> T) -> T {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Feeds without an API server, for tests.
#[cfg(any(test, feature = "testing"))]
impl Feed {
    /// A feed of this index: synced, and changed by nobody but [`Feed::edit`].
    pub fn offline(index: ClusterIndex) -> Self {
        let feed = Self::silent();
        feed.edit(|held| *held = index);
        feed.shared.kind_synced();
        feed
    }

    /// A feed that has not heard of its API server and never will: not synced, empty.
    pub fn silent() -> Self {
        let shared = Shared::new(["nothing"].into_iter());
        Self {
            shared: Arc::new(shared),
            _tasks: Arc::default(),
        }
    }

    /// Changes the index as a watch would.
    pub fn edit(&self, change: impl FnOnce(&mut ClusterIndex)) {
        self.shared.update(change);
    }
}
