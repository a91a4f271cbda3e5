//! What is behind the store's lock: the tables, the revision counter, and the only two functions
//! that change them.
//!
//! Every change goes through [`State::put`] or [`State::remove`], so that revision, history,
//! allocations and wake-ups can never disagree.

use super::allocate::Allocations;
use super::history::{Change, ChangeKind, History};
use super::{Config, Kind, object};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::watch;

/// Where an object lives within its kind; the namespace is empty for cluster-scoped kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// The key of a name in a namespace (empty for cluster-scoped kinds).
    pub fn new(namespace: &str, name: &str) -> Self {
        Key {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Where an object says it lives.
    pub fn of(object: &Value) -> Self {
        Key::new(object::namespace(object), object::name(object))
    }
}

#[derive(Debug)]
struct Table {
    objects: BTreeMap<Key, Arc<Value>>,
    history: History,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    /// One table a kind, in the order of the registry.
    tables: Vec<Table>,
    /// The one counter behind every resource version.
    revision: u64,
    pub(super) allocations: Allocations,
    /// What each uid owns: the reverse of `metadata.ownerReferences`.
    owned: BTreeMap<String, BTreeSet<(Kind, Key)>>,
}

impl State {
    pub(super) fn new(config: &Config) -> Self {
        let table = |_| Table {
            objects: BTreeMap::new(),
            history: History::new(config.history),
            changed: watch::Sender::new(0),
        };
        State {
            tables: Kind::all().map(table).collect(),
            // Not 0: clients say resourceVersion=0 when they mean "any".
            revision: 1,
            allocations: Allocations::new(config),
            owned: BTreeMap::new(),
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn get(&self, kind: Kind, key: &Key) -> Option<&Arc<Value>> {
        self.table(kind).objects.get(key)
    }

    /// Objects of a kind in key order, of one namespace or of all.
    pub(super) fn list(&self, kind: Kind, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let objects = &self.table(kind).objects;
        match namespace {
            None => objects.values().cloned().collect(),
            Some(namespace) => objects
                .range(Key::new(namespace, "")..)
                .take_while(|(key, _)| key.namespace == namespace)
                .map(|(_, object)| Arc::clone(object))
                .collect(),
        }
    }

    /// The objects that name the uid `owner` among their owners.
    pub(super) fn owned_by(&self, owner: &str) -> Vec<(Kind, Key)> {
        self.owned
            .get(owner)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(super) fn history(&self, kind: Kind) -> &History {
        &self.table(kind).history
    }

    pub(super) fn subscribe(&self, kind: Kind) -> watch::Receiver<u64> {
        self.table(kind).changed.subscribe()
    }

    /// Writes an object, new or changed, under a new revision.
    pub(super) fn put(&mut self, kind: Kind, object: Value) -> Arc<Value> {
        let key = Key::of(&object);
        let object = self.stamp(object);
        let previous = self
            .table_mut(kind)
            .objects
            .insert(key, Arc::clone(&object));
        self.note(kind, previous.as_deref(), Some(&object));
        let change = if previous.is_some() {
            ChangeKind::Modified
        } else {
            ChangeKind::Added
        };
        self.record(kind, change, Arc::clone(&object), previous);
        object
    }

    /// Takes an object away; returns its last state under the revision of its removal.
    pub(super) fn remove(&mut self, kind: Kind, key: &Key) -> Option<Arc<Value>> {
        let previous = self.table_mut(kind).objects.remove(key)?;
        self.note(kind, Some(&previous), None);
        let last = self.stamp(previous.as_ref().clone());
        self.record(kind, ChangeKind::Deleted, Arc::clone(&last), Some(previous));
        Some(last)
    }

    /// Keeps what is derived from the objects in step with them.
    fn note(&mut self, kind: Kind, previous: Option<&Value>, next: Option<&Value>) {
        match kind {
            Kind::Service => self.allocations.replace(previous, next),
            Kind::ServiceCidr => self.allocations.replace_range(previous, next),
            _ => {}
        }
        if let Some(object) = previous {
            for owner in object::owners(object) {
                let Some(owned) = self.owned.get_mut(owner) else {
                    continue;
                };
                owned.remove(&(kind, Key::of(object)));
                if owned.is_empty() {
                    self.owned.remove(owner);
                }
            }
        }
        if let Some(object) = next {
            for owner in object::owners(object) {
                let owned = self.owned.entry(owner.to_owned()).or_default();
                owned.insert((kind, Key::of(object)));
            }
        }
    }

    fn stamp(&mut self, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        let revision = self.revision.to_string().into();
        object::metadata_mut(&mut object).insert("resourceVersion".to_owned(), revision);
        Arc::new(object)
    }

    fn record(
        &mut self,
        kind: Kind,
        change: ChangeKind,
        object: Arc<Value>,
        previous: Option<Arc<Value>>,
    ) {
        let revision = self.revision;
        let table = self.table_mut(kind);
        table.history.push(Change {
            revision,
            kind: change,
            object,
            previous,
        });
        table.changed.send_replace(revision);
    }

    fn table(&self, kind: Kind) -> &Table {
        &self.tables[kind as usize]
    }

    fn table_mut(&mut self, kind: Kind) -> &mut Table {
        &mut self.tables[kind as usize]
    }
}
