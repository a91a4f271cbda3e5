//! How many pods of which template a Deployment should have next (pure).
//!
//! As upstream's deployment controller with its two ReplicaSets folded into pods: the same bounds
//! (never more than replicas + maxSurge pods, never fewer than replicas - maxUnavailable
//! available ones), the same order of victims.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/deployment/rolling.go>

use std::cmp::Reverse;

use serde::Deserialize;
use serde_json::{Value, json};

use super::template::TEMPLATE_HASH;
use crate::objects::{Meta, Pod};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Deployment {
    pub(super) metadata: Meta,
    pub(super) spec: Spec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    pub(super) replicas: Option<u32>,
    pub(super) template: Value,
    pub(super) strategy: Strategy,
    pub(super) paused: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Strategy {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) rolling_update: Option<RollingUpdate>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RollingUpdate {
    pub(super) max_surge: Option<Amount>,
    pub(super) max_unavailable: Option<Amount>,
}

/// A number or a percentage of the replicas.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Amount {
    Number(usize),
    Percent(String),
}

impl Amount {
    /// In hundredths, so that the caller may round up or down.
    pub(super) fn hundredths(&self, replicas: usize) -> usize {
        match self {
            Self::Number(number) => number * 100,
            Self::Percent(text) => {
                text.trim_end_matches('%').parse().unwrap_or(25_usize) * replicas
            }
        }
    }
}

/// What to do next, and what there is now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// How many pods of the current template to make.
    pub(super) create: usize,
    /// Names of pods to delete, in this order.
    pub(super) delete: Vec<String>,
    pub(super) counts: Counts,
}

/// The numbers of a Deployment's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    desired: usize,
    total: usize,
    updated: usize,
    available: usize,
}

/// Decides for the pods that `deployment` controls; those that are going already count for
/// nothing.
pub(super) fn decide(deployment: &Deployment, hash: &str, pods: &[Pod]) -> Plan {
    let desired = deployment.spec.replicas.unwrap_or(1) as usize;
    let alive = || {
        pods.iter()
            .filter(|pod| !pod.metadata.terminating() && !pod.ended())
    };
    let is_new = |pod: &&Pod| {
        pod.metadata
            .labels
            .get(TEMPLATE_HASH)
            .is_some_and(|h| h == hash)
    };
    let mut new: Vec<_> = alive().filter(is_new).collect();
    let mut old: Vec<_> = alive().filter(|pod| !is_new(pod)).collect();
    for group in [&mut new, &mut old] {
        group.sort_by_key(|pod| victim_rank(pod));
    }
    let available = new.iter().chain(&old).filter(|pod| pod.ready()).count();
    let counts = Counts {
        desired,
        total: new.len() + old.len(),
        updated: new.len(),
        available,
    };
    let (create, from_old) = match deployment.spec.strategy.kind.as_str() {
        _ if old.is_empty() => (desired.saturating_sub(new.len()), 0),
        _ if deployment.spec.paused => (0, 0),
        "Recreate" => (0, old.len()),
        _ => roll(deployment, desired, &new, &old),
    };
    // Ended pods of a Deployment are replaced, and must not be left lying about.
    let ended = pods
        .iter()
        .filter(|pod| pod.ended() && !pod.metadata.terminating());
    let surplus = new.len().saturating_sub(desired);
    let victims = ended
        .chain(new.into_iter().take(surplus))
        .chain(old.into_iter().take(from_old));
    let delete = victims.map(|pod| pod.metadata.name.clone()).collect();
    Plan {
        create,
        delete,
        counts,
    }
}

/// One step of a rolling update: how many new pods to make, how many old ones to delete.
fn roll(deployment: &Deployment, desired: usize, new: &[&Pod], old: &[&Pod]) -> (usize, usize) {
    let (surge, unavailable) = bounds(deployment, desired);
    let total = new.len() + old.len();
    let room = (desired + surge).saturating_sub(total);
    let create = desired.saturating_sub(new.len()).min(room);
    let ready = |pods: &[&Pod]| pods.iter().filter(|pod| pod.ready()).count();
    let must_stay = desired.saturating_sub(unavailable);
    // Old pods that do not serve are never missed, as long as the new ones are given time.
    let new_not_ready = new.len() - ready(new);
    let may_go = total.saturating_sub(must_stay + new_not_ready);
    let broken = (old.len() - ready(old)).min(may_go);
    let surplus = (ready(new) + ready(old)).saturating_sub(must_stay);
    (create, broken + surplus.min(ready(old)))
}

fn bounds(deployment: &Deployment, desired: usize) -> (usize, usize) {
    let rolling = deployment
        .spec
        .strategy
        .rolling_update
        .clone()
        .unwrap_or_default();
    let quarter = || Amount::Percent("25%".to_owned());
    let hundredths = |amount: Option<Amount>| amount.unwrap_or_else(quarter).hundredths(desired);
    let surge = hundredths(rolling.max_surge).div_ceil(100);
    let unavailable = hundredths(rolling.max_unavailable) / 100;
    // With neither there would be no way to begin.
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

/// Who goes first: not on a node, then not ready, then the newest (and by name, to be certain).
fn victim_rank(pod: &Pod) -> (bool, bool, Reverse<String>, String) {
    let meta = &pod.metadata;
    let placed = !pod.spec.node_name.is_empty();
    (
        placed,
        pod.ready(),
        Reverse(meta.creation_timestamp.clone()),
        meta.name.clone(),
    )
}

/// The status fields that `kubectl get deploy`, `rollout status` and `wait` read.
pub(super) fn status(counts: Counts, generation: i64, previous: &Value, now: &str) -> Value {
    let Counts {
        desired,
        total,
        updated,
        available,
    } = counts;
    let complete = updated == desired && total == desired && available == desired;
    let (reason, message) = if complete {
        (
            "NewReplicaSetAvailable",
            "all pods are of the current template and available",
        )
    } else {
        (
            "ReplicaSetUpdated",
            "pods are being made, replaced or waited for",
        )
    };
    let enough = available >= desired;
    let minimum = if enough {
        "MinimumReplicasAvailable"
    } else {
        "MinimumReplicasUnavailable"
    };
    let conditions = [
        condition("Available", enough, minimum, "", (previous, now)),
        condition("Progressing", true, reason, message, (previous, now)),
    ];
    json!({
        "observedGeneration": generation,
        "replicas": total,
        "updatedReplicas": updated,
        "readyReplicas": available,
        "availableReplicas": available,
        "unavailableReplicas": desired.saturating_sub(available),
        "conditions": conditions,
    })
}

fn condition(
    kind: &str,
    holds: bool,
    reason: &str,
    message: &str,
    (previous, now): (&Value, &str),
) -> Value {
    let status = if holds { "True" } else { "False" };
    let before = previous["conditions"].as_array().into_iter().flatten();
    let same = before.filter(|condition| condition["type"] == kind);
    let same: Vec<_> = same
        .filter(|c| c["status"] == status && c["reason"] == reason)
        .collect();
    let since = |field: &str| same.first().and_then(|c| c[field].as_str()).unwrap_or(now);
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since("lastTransitionTime"),
        "lastUpdateTime": since("lastUpdateTime"),
    })
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
