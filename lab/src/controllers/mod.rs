//! The controllers a cluster needs to run Deployments and DaemonSets behind Services, each as a pure decision
//! and a thin loop around it: watch -> which objects are concerned -> decide -> write.
//!
//! Garbage collection (owners and namespaces) is the store's.

pub(crate) mod deployments;
mod rollout;

pub(crate) mod daemon_sets;
mod daemons;

mod template;

pub(crate) mod scheduler;

pub(crate) mod endpoint_slices;
mod slice;
mod slice_plan;

mod inbox;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::objects::{self, Pod};
use crate::store::{Kind, Store, object};

/// Namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    namespace: String,
    name: String,
}

impl Key {
    fn of(object: &Value) -> Self {
        Self::new(object::namespace(object), object::name(object))
    }

    fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// The objects of a kind that own `object`.
fn owners(object: &Value, kind: &str) -> Dirty {
    let namespace = object::namespace(object);
    let owners = object::items(&object["metadata"]["ownerReferences"]).iter();
    owners
        .filter(|owner| owner["kind"] == kind)
        .map(|owner| Key::new(namespace, object::str_of(&owner["name"])))
        .collect()
}

/// The pods that the object with this uid controls.
fn owned_pods(store: &Store, namespace: &str, uid: &str) -> Vec<Pod> {
    let items = store.list(Kind::Pod, Some(namespace)).items;
    let readable = items
        .iter()
        .filter_map(|pod| objects::read::<Pod>(pod).ok());
    readable
        .filter(|pod| pod.metadata.is_controlled_by(uid))
        .collect()
}

/// Objects to be looked at again.
type Dirty = BTreeSet<Key>;
