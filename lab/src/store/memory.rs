//! The store's public face: get, list, watch, create, update, modify, delete.
//!
//! Methods are synchronous and short: the lock is never held across a wait.

use super::deletion::{self, DeleteOptions};
use super::state::{Key, State};
use super::write::{self, WriteOptions};
use super::{ApiError, Config, Kind, Watch};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Objects as they stood at one revision.
#[derive(Debug, Clone)]
pub struct List {
    /// In order of namespace and name.
    pub items: Vec<Arc<Value>>,
    /// A watch from here misses nothing and repeats nothing.
    pub resource_version: u64,
}

/// The cluster's objects; clones share them.
#[derive(Debug, Clone)]
pub struct Store {
    state: Arc<Mutex<State>>,
}

impl Store {
    /// A store that holds the namespaces `default` and `kube-system` and nothing else.
    pub fn new(config: &Config) -> Store {
        let mut state = State::new(config);
        for name in ["default", "kube-system"] {
            let namespace = json!({"metadata": {"name": name}});
            // Cannot fail: the names are valid and the store is empty.
            let _ = write::create(&mut state, Kind::Namespace, namespace, false);
        }
        Store {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// One object; `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.lock().get(kind, &Key::new(namespace, name)).cloned()
    }

    /// All objects of a kind, of one namespace or (`None`) of all.
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> List {
        let state = self.lock();
        List {
            items: state.list(kind, namespace),
            resource_version: state.revision(),
        }
    }

    /// Adds an object, with defaults filled in; `metadata.generateName` may stand for a name.
    ///
    /// A status in `object` is kept, so that controllers can create objects complete.
    /// The result is the object as stored.
    /// Fails with AlreadyExists, Invalid, NotFound (its namespace) or Forbidden (its namespace is
    /// going away).
    pub fn create(&self, kind: Kind, object: Value) -> Result<Arc<Value>, ApiError> {
        self.create_with(kind, object, false)
    }

    /// As [`Store::create`]; with `dry_run` everything is checked and nothing is stored.
    pub fn create_with(
        &self,
        kind: Kind,
        object: Value,
        dry_run: bool,
    ) -> Result<Arc<Value>, ApiError> {
        write::create(&mut self.lock(), kind, object, dry_run)
    }

    /// Replaces an object, spec and status alike.
    ///
    /// If `object` carries a resource version, the stored object must still have it (Conflict).
    pub fn update(&self, kind: Kind, object: Value) -> Result<Arc<Value>, ApiError> {
        let key = Key::of(&object);
        self.change(kind, &key, WriteOptions::default(), |_| Ok(object))
    }

    /// Edits an object in place, spec and status alike; nobody else writes in between.
    ///
    /// If nothing changes there is no new resource version and no watch event.
    pub fn modify(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, ApiError> {
        self.change(
            kind,
            &Key::new(namespace, name),
            WriteOptions::default(),
            |current| {
                let mut next = current.clone();
                edit(&mut next);
                Ok(next)
            },
        )
    }

    /// As [`Store::modify`], but the edit may fail and `options` say what it may touch.
    pub fn change(
        &self,
        kind: Kind,
        key: &Key,
        options: WriteOptions,
        edit: impl FnOnce(&Value) -> Result<Value, ApiError>,
    ) -> Result<Arc<Value>, ApiError> {
        write::change(&mut self.lock(), kind, key, options, edit)
    }

    /// Deletes an object and what it owns.
    ///
    /// A pod on a node only begins to go: it gets a `deletionTimestamp` and stays until it is
    /// deleted again with a grace period of 0, which is the kubelet's to do.
    /// Everything else is gone on return, unless finalizers hold it.
    /// The result is the object as it now stands, or its last state.
    pub fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Arc<Value>, ApiError> {
        deletion::delete(&mut self.lock(), kind, &Key::new(namespace, name), options)
    }

    /// Watches a kind, in one namespace or (`None`) in all.
    ///
    /// `since` is the resource version of a list, an object or a bookmark: the watch gives every
    /// change after it, or fails with Expired if that is too long ago.
    /// Without it the watch begins with all present objects as Added.
    pub fn watch(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        since: Option<u64>,
    ) -> Result<Watch, ApiError> {
        Watch::open(self.clone(), kind, namespace, since)
    }

    /// Whether an object of this kind is there.
    pub fn exists(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        self.get(kind, namespace, name).is_some()
    }

    /// A panic under the lock cannot leave the state half changed (values are built aside and put
    /// in last), so a poisoned lock is as good as any.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
