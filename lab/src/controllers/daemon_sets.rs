//! The DaemonSet controller: keeps one pod of each set on every node that it is for. The pods are
//! bound to their node from the start, so that one runs also where nothing else may yet.

use std::collections::BTreeSet;

use serde_json::json;

use super::daemons::{self, DaemonSet};
use super::inbox::Inbox;
use super::{Dirty, Key, owned_pods, owners, template};
use crate::objects;
use crate::store::{ApiError, Change, DeleteOptions, Kind, Store, object};

/// Keeps DaemonSets for as long as the lab lives.
pub(crate) async fn run(store: Store) -> Result<(), ApiError> {
    let mut inbox = Inbox::open(&store, &[Kind::DaemonSet, Kind::Pod, Kind::Node])?;
    loop {
        for key in concerned(&store, &inbox.next().await?) {
            if let Err(error) = reconcile(&store, &key) {
                tracing::warn!(?key, %error, "DaemonSet not reconciled");
            }
        }
    }
}

/// A DaemonSet itself, that of a pod, or every one where a node changed.
fn concerned(store: &Store, changes: &[(Kind, Change)]) -> Dirty {
    let mut dirty = BTreeSet::new();
    for (kind, change) in changes {
        match kind {
            Kind::DaemonSet => drop(dirty.insert(Key::of(&change.object))),
            Kind::Pod => dirty.extend(owners(&change.object, "DaemonSet")),
            _ => {
                let sets = store.list(Kind::DaemonSet, None).items;
                dirty.extend(sets.iter().map(|set| Key::of(set)));
            }
        }
    }
    dirty
}

fn reconcile(store: &Store, key: &Key) -> Result<(), ApiError> {
    let Some(stored) = store.get(Kind::DaemonSet, &key.namespace, &key.name) else {
        return Ok(());
    };
    if object::is_terminating(&stored) {
        return Ok(());
    }
    let set: DaemonSet = objects::read(&stored)
        .map_err(|error| ApiError::Internal(format!("DaemonSet {}: {error}", key.name)))?;
    let nodes: Vec<_> = store
        .list(Kind::Node, None)
        .items
        .iter()
        .filter_map(|node| objects::read::<objects::Pod>(node).ok())
        .map(|node| (node.metadata.name, node.metadata.labels))
        .collect();
    let nodes = daemons::eligible(&set.spec.template, &nodes);
    let pods = owned_pods(store, &key.namespace, object::uid(&stored));
    let hash = template::hash(&set.spec.template);
    let plan = daemons::decide(&set, &hash, &nodes, &pods);
    let generation = set.metadata.generation;
    store.modify(Kind::DaemonSet, &key.namespace, &key.name, |object| {
        object["status"] = daemons::status(&plan, generation);
    })?;
    for node in &plan.create {
        let mut pod = template::new_pod(&stored, &set.spec.template, &hash);
        pod["spec"]["nodeName"] = json!(node);
        store.create(Kind::Pod, pod)?;
    }
    for name in &plan.delete {
        match store.delete(Kind::Pod, &key.namespace, name, &DeleteOptions::default()) {
            Ok(_) | Err(ApiError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
