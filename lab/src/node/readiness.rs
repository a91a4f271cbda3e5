//! When a node is Ready: once its agent has written the CNI configuration.
//!
//! The agent writes that file last, so its presence says that routes and programs are in place.

use std::time::Duration;

use super::{Node, object};
use crate::kubelet::cni;
use crate::places::Places;
use crate::store::{ApiError, Kind, Store, clock};

/// How often to look. A directory with one file in it costs nothing to read.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Adds the node to the cluster, not ready.
pub(crate) fn register(store: &Store, node: &Node, places: &Places) -> Result<(), ApiError> {
    let mut registration = object::registration(node);
    registration["status"] = object::status(node, &ready(node, places), &clock::timestamp());
    store.create(Kind::Node, registration)?;
    Ok(())
}

/// Keeps the node's status up to date for as long as the lab lives.
pub(crate) async fn watch(store: Store, node: Node, places: Places) {
    let mut known = None;
    loop {
        let now = ready(&node, &places);
        if known.as_ref() != Some(&now) {
            let status = object::status(&node, &now, &clock::timestamp());
            let written = store.modify(Kind::Node, "", &node.name, |object| {
                object["status"] = status;
            });
            // A node that somebody deleted stays deleted, as with a kubelet until it restarts.
            if let Err(error) = written {
                tracing::warn!(node = node.name, %error, "status not written");
            }
            known = Some(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn ready(node: &Node, places: &Places) -> Result<(), String> {
    let dir = places.cni_conf(&node.name);
    let files = std::fs::read_dir(&dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .map_err(|error| format!("{}: {error}", dir.display()))?;
    match cni::first_configuration(files) {
        Some(_) => Ok(()),
        None => Err(format!(
            "container runtime network not ready: no CNI configuration in {}",
            dir.display()
        )),
    }
}
