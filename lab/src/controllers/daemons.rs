//! Which nodes of a DaemonSet get a pod next, and which lose one (pure).
//!
//! As upstream's controller without surge: a pod of an old template goes, and the new one comes
//! once it is gone; no more than maxUnavailable nodes are without a ready pod for it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::rollout::{Amount, RollingUpdate};
use super::template::TEMPLATE_HASH;
use crate::objects::{Labels, Meta, Pod};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct DaemonSet {
    pub(super) metadata: Meta,
    pub(super) spec: Spec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) template: Value,
    pub(super) update_strategy: Strategy,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Strategy {
    #[serde(rename = "type")]
    kind: String,
    rolling_update: Option<RollingUpdate>,
}

/// What to do next, and what there is now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The nodes that get a pod.
    pub(super) create: Vec<String>,
    /// The names of the pods that go.
    pub(super) delete: Vec<String>,
    counts: Counts,
}

/// The numbers of a DaemonSet's status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    desired: usize,
    current: usize,
    ready: usize,
    updated: usize,
}

/// The nodes that a template is for.
pub(super) fn eligible(template: &Value, nodes: &[(String, Labels)]) -> Vec<String> {
    let selector = template["spec"]["nodeSelector"].as_object();
    let fits = |labels: &Labels| {
        selector.into_iter().flatten().all(|(key, value)| {
            let has = labels.get(key).map(String::as_str);
            has.is_some() && has == value.as_str()
        })
    };
    let fitting = nodes.iter().filter(|(_, labels)| fits(labels));
    fitting.map(|(name, _)| name.clone()).collect()
}

/// Decides for the pods that the set controls, also those that are going.
pub(super) fn decide(set: &DaemonSet, hash: &str, nodes: &[String], pods: &[Pod]) -> Plan {
    let mut on: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in pods {
        on.entry(&pod.spec.node_name).or_default().push(pod);
    }
    let mut plan = Plan::default();
    plan.counts.desired = nodes.len();
    let mut old = Vec::new();
    for node in nodes {
        let mut there = on.remove(node.as_str()).unwrap_or_default();
        let has_pod = !there.is_empty();
        there.retain(|pod| !pod.metadata.terminating());
        let mut alive = there.into_iter();
        match alive.next() {
            None if !has_pod => plan.create.push(node.clone()),
            None => {}
            Some(pod) if pod.ended() => plan.delete.push(pod.metadata.name.clone()),
            Some(pod) => {
                let new = pod.metadata.labels.get(TEMPLATE_HASH).map(String::as_str) == Some(hash);
                plan.counts.current += 1;
                plan.counts.ready += usize::from(pod.ready());
                plan.counts.updated += usize::from(new);
                if !new {
                    old.push(pod);
                }
            }
        }
        plan.delete
            .extend(alive.map(|pod| pod.metadata.name.clone()));
    }
    // Pods on nodes that are gone or no longer meant.
    let strays = on.into_values().flatten();
    let strays = strays.filter(|pod| !pod.metadata.terminating());
    plan.delete
        .extend(strays.map(|pod| pod.metadata.name.clone()));
    if set.spec.update_strategy.kind != "OnDelete" {
        let may = unavailable(set, nodes.len());
        // One that does not serve is missed by nobody, so it goes at once.
        old.sort_by_key(|pod| pod.ready());
        let missing = nodes.len() - plan.counts.ready;
        let mut room = may.saturating_sub(missing);
        for pod in old {
            if pod.ready() {
                if room == 0 {
                    break;
                }
                room -= 1;
            }
            plan.delete.push(pod.metadata.name.clone());
        }
    }
    plan
}

/// How many nodes may be without a ready pod: at least one, or nothing would ever change.
fn unavailable(set: &DaemonSet, nodes: usize) -> usize {
    let rolling = set.spec.update_strategy.rolling_update.as_ref();
    let amount = rolling.and_then(|rolling| rolling.max_unavailable.clone());
    let hundredths = amount.unwrap_or(Amount::Number(1)).hundredths(nodes);
    hundredths.div_ceil(100).max(1)
}

/// The status fields that `kubectl get ds` and `rollout status` read.
pub(super) fn status(plan: &Plan, generation: i64) -> Value {
    let Counts {
        desired,
        current,
        ready,
        updated,
    } = plan.counts;
    json!({
        "observedGeneration": generation,
        "desiredNumberScheduled": desired,
        "currentNumberScheduled": current,
        "numberMisscheduled": 0,
        "numberReady": ready,
        "numberAvailable": ready,
        "numberUnavailable": desired - ready,
        "updatedNumberScheduled": updated,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(unavailable: Value) -> DaemonSet {
        let strategy =
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable}});
        serde_json::from_value(json!({"spec": {"updateStrategy": strategy}})).expect("a set")
    }

    /// A pod named after node, template and state: `n1-new`, `n1-old!` (not ready), `n1-old-` (going).
    fn pod(text: &str) -> Pod {
        let name = text.trim_end_matches(['!', '-']);
        let (node, hash) = name.split_once('-').expect("node-template");
        let ready = if text.ends_with('!') { "False" } else { "True" };
        let mut meta = json!({"name": name, "labels": {TEMPLATE_HASH: hash}});
        if text.ends_with('-') {
            meta["deletionTimestamp"] = json!("t");
        }
        let status = json!({"conditions": [{"type": "Ready", "status": ready}]});
        serde_json::from_value(
            json!({"metadata": meta, "spec": {"nodeName": node}, "status": status}),
        )
        .expect("a pod")
    }

    #[test]
    fn every_node_has_one_pod_and_changes_over_in_turn() {
        let nodes = ["n1", "n2", "n3"].map(str::to_owned);
        type Row<'a> = (&'a [&'a str], Value, &'a [&'a str], &'a [&'a str]);
        let rows: [Row<'_>; 9] = [
            (&[], json!(1), &["n1", "n2", "n3"], &[]),
            (&["n1-new", "n2-new!", "n3-new"], json!(1), &[], &[]),
            (&["n1-old", "n2-old", "n3-old"], json!(1), &[], &["n1-old"]),
            (
                &["n1-old", "n2-old", "n3-old"],
                json!("50%"),
                &[],
                &["n1-old", "n2-old"],
            ),
            (&["n1-old-", "n2-old", "n3-old"], json!(1), &[], &[]),
            (&["n2-old", "n3-old"], json!(1), &["n1"], &[]),
            (&["n1-new!", "n2-old", "n3-old"], json!(1), &[], &[]),
            (&["n1-old", "n2-old!", "n3-new"], json!(1), &[], &["n2-old"]),
            (
                &["n1-new", "n2-new", "n3-new", "n9-new"],
                json!(1),
                &[],
                &["n9-new"],
            ),
        ];
        for (pods, unavailable, create, delete) in rows {
            let found: Vec<Pod> = pods.iter().map(|text| pod(text)).collect();
            let plan = decide(&set(unavailable), "new", &nodes, &found);
            assert_eq!(plan.create, create, "{pods:?}");
            assert_eq!(plan.delete, delete, "{pods:?}");
        }
    }

    #[test]
    fn a_set_is_for_the_nodes_that_its_selector_fits() {
        let labels = |os: &str| Labels::from([("os".to_owned(), os.to_owned())]);
        let nodes = [
            ("a".to_owned(), labels("linux")),
            ("b".to_owned(), labels("x")),
        ];
        let template = |selector: Value| json!({"spec": {"nodeSelector": selector}});
        assert_eq!(eligible(&template(json!({"os": "linux"})), &nodes), ["a"]);
        assert_eq!(eligible(&template(json!({"none": "x"})), &nodes), [""; 0]);
        assert_eq!(eligible(&json!({}), &nodes), ["a", "b"]);
    }
}
