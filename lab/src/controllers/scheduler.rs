//! The scheduler: gives every pod without a node one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::inbox::Inbox;
use super::{Dirty, Key};
use crate::objects::{self, Condition, Labels, Meta, Pod, holds};
use crate::store::{ApiError, Kind, Store, clock, object};

/// Places pods for as long as the lab lives.
pub(crate) async fn run(store: Store) -> Result<(), ApiError> {
    let mut inbox = Inbox::open(&store, &[Kind::Pod, Kind::Node])?;
    loop {
        let changes = inbox.next().await?;
        // A node that changes may take any pod that waits.
        let node_changed = changes.iter().any(|(kind, _)| *kind == Kind::Node);
        let waiting: Dirty = if node_changed {
            store
                .list(Kind::Pod, None)
                .items
                .iter()
                .filter(|p| waits(p))
                .map(|p| Key::of(p))
                .collect()
        } else {
            changes
                .iter()
                .map(|(_, c)| &c.object)
                .filter(|p| waits(p))
                .map(|p| Key::of(p))
                .collect()
        };
        for key in waiting {
            if let Err(error) = place(&store, &key) {
                tracing::warn!(?key, %error, "pod not placed");
            }
        }
    }
}

fn waits(pod: &Value) -> bool {
    object::str_of(&pod["spec"]["nodeName"]).is_empty() && !object::is_terminating(pod)
}

fn place(store: &Store, key: &Key) -> Result<(), ApiError> {
    let Some(stored) = store
        .get(Kind::Pod, &key.namespace, &key.name)
        .filter(|pod| waits(pod))
    else {
        return Ok(());
    };
    let unreadable = |error| ApiError::Internal(format!("pod {}: {error}", key.name));
    let pod: Pod = objects::read(&stored).map_err(unreadable)?;
    let nodes = store.list(Kind::Node, None).items;
    let nodes: Vec<Node> = nodes
        .iter()
        .filter_map(|node| objects::read(node).ok())
        .collect();
    let verdict = decide(&pod, &nodes, &load(store));
    let now = clock::timestamp();
    store.modify(
        Kind::Pod,
        &key.namespace,
        &key.name,
        |object| match verdict {
            Ok(node) => {
                object["spec"]["nodeName"] = json!(node);
                set_scheduled(object, "True", "", &now);
            }
            Err(why) => set_scheduled(object, "False", &why, &now),
        },
    )?;
    Ok(())
}

/// What the scheduler reads of a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Node {
    metadata: Meta,
    spec: NodeSpec,
    status: NodeStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    unschedulable: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    conditions: Vec<Condition>,
}

/// Running pods by node: in total, and by what they are replicas of.
#[derive(Debug, Default)]
struct Load {
    pods: BTreeMap<String, usize>,
    replicas: BTreeMap<(String, String), usize>,
}

fn load(store: &Store) -> Load {
    let mut load = Load::default();
    for pod in store.list(Kind::Pod, None).items {
        let node = object::str_of(&pod["spec"]["nodeName"]);
        if node.is_empty() || object::is_terminating(&pod) {
            continue;
        }
        *load.pods.entry(node.to_owned()).or_default() += 1;
        for owner in object::items(&pod["metadata"]["ownerReferences"]) {
            let key = (node.to_owned(), object::str_of(&owner["uid"]).to_owned());
            *load.replicas.entry(key).or_default() += 1;
        }
    }
    load
}

/// The node with the fewest replicas of the same owner, then the fewest pods, then by name.
fn decide(pod: &Pod, nodes: &[Node], load: &Load) -> Result<String, String> {
    let why_not = |node: &Node| {
        if node.spec.unschedulable {
            Some("unschedulable")
        } else if !holds(&node.status.conditions, "Ready") {
            Some("not ready")
        } else if !selects(&pod.spec.node_selector, &node.metadata.labels) {
            Some("not matching the pod's nodeSelector")
        } else {
            None
        }
    };
    let owner = pod
        .metadata
        .owner_references
        .first()
        .map(|owner| owner.uid.clone());
    let rank = |node: &&Node| {
        let name = node.metadata.name.clone();
        let replicas = owner
            .clone()
            .and_then(|owner| load.replicas.get(&(name.clone(), owner)));
        let pods = load.pods.get(&name).copied().unwrap_or_default();
        (replicas.copied().unwrap_or_default(), pods, name)
    };
    let fitting = nodes.iter().filter(|node| why_not(node).is_none());
    fitting
        .min_by_key(rank)
        .map(|node| node.metadata.name.clone())
        .ok_or_else(|| {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for why in nodes.iter().filter_map(why_not) {
                *counts.entry(why).or_default() += 1;
            }
            let reasons: Vec<_> = counts.iter().map(|(why, n)| format!("{n} {why}")).collect();
            format!(
                "0/{} nodes are available: {}.",
                nodes.len(),
                reasons.join(", ")
            )
        })
}

fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// Writes the condition unless it says the same already: the write would be seen as a change of a
/// waiting pod, and the scheduler would chase its own tail.
fn set_scheduled(pod: &mut Value, status: &str, why: &str, now: &str) {
    let mut condition = json!({
        "type": "PodScheduled", "status": status, "lastProbeTime": null,
        "lastTransitionTime": now,
    });
    if !why.is_empty() {
        condition["reason"] = json!("Unschedulable");
        condition["message"] = json!(why);
    }
    let status = object::map_mut(pod, "status");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else {
        return;
    };
    let same = |known: &Value| {
        known["status"] == condition["status"] && known["message"] == condition["message"]
    };
    match conditions
        .iter_mut()
        .find(|known| known["type"] == "PodScheduled")
    {
        Some(known) if same(known) => {}
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, ready: &str, zone: &str) -> Node {
        objects::read(&json!({
            "metadata": {"name": name, "labels": {"zone": zone}},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .expect("a node")
    }

    fn load(rows: &[(&str, usize, usize)]) -> Load {
        let mut load = Load::default();
        for (node, pods, replicas) in rows {
            load.pods.insert((*node).to_owned(), *pods);
            load.replicas
                .insert(((*node).to_owned(), "u".to_owned()), *replicas);
        }
        load
    }

    fn pod(selector: Value) -> Pod {
        objects::read(&json!({
            "metadata": {"ownerReferences": [{"uid": "u", "controller": true}]},
            "spec": {"nodeSelector": selector},
        }))
        .expect("a pod")
    }

    #[test]
    fn a_pod_goes_where_it_is_missed_most() {
        let nodes = [
            node("n1", "True", "a"),
            node("n2", "True", "b"),
            node("n3", "False", "b"),
        ];
        let rows = [
            // (selector, load, answer)
            (json!({}), load(&[]), Ok("n1")),
            (json!({}), load(&[("n1", 1, 1)]), Ok("n2")),
            (json!({}), load(&[("n1", 1, 1), ("n2", 9, 0)]), Ok("n2")),
            (json!({}), load(&[("n1", 2, 1), ("n2", 1, 1)]), Ok("n2")),
            (json!({"zone": "a"}), load(&[("n1", 9, 9)]), Ok("n1")),
            (
                json!({"zone": "c"}),
                load(&[]),
                Err("0/3 nodes are available: 2 not matching the pod's nodeSelector, 1 not ready."),
            ),
        ];
        for (selector, load, answer) in rows {
            let decided = decide(&pod(selector.clone()), &nodes, &load);
            assert_eq!(
                decided.as_deref().map_err(String::as_str),
                answer,
                "{selector} {load:?}"
            );
        }
    }

    #[test]
    fn the_same_refusal_twice_is_no_change() {
        let mut pod = json!({});
        set_scheduled(&mut pod, "False", "full", "1");
        let first = pod.clone();
        set_scheduled(&mut pod, "False", "full", "2");
        assert_eq!(pod, first);
        set_scheduled(&mut pod, "True", "", "3");
        assert_eq!(
            pod["status"]["conditions"].as_array().map(Vec::len),
            Some(1)
        );
        assert_eq!(pod["status"]["conditions"][0]["lastTransitionTime"], "3");
    }
}
