//! The controllers a cluster needs to run a Deployment behind a Service, each as a pure decision
//! and a thin loop around it: watch -> which objects are concerned -> decide -> write.
//!
//! Garbage collection (owners and namespaces) is the store's.

pub(crate) mod deployments;
mod rollout;

pub(crate) mod scheduler;

pub(crate) mod endpoint_slices;
mod slice;
mod slice_plan;

mod inbox;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::store::object;

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

/// Objects to be looked at again.
type Dirty = BTreeSet<Key>;
