//! A pod's status from what its node knows of it (pure).

use std::net::IpAddr;

use serde_json::{Value, json};

use super::state::{ContainerState, Ended, Phase};
use crate::objects::Pod;

/// What the node knows of a pod.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    /// The cluster's first family first, as the pod's.
    pub(super) host_ips: &'a [IpAddr],
    /// Empty until the pod has its network.
    pub(super) pod_ips: &'a [IpAddr],
    /// Why there is no network yet.
    pub(super) network_problem: Option<&'a str>,
    /// One for each container of the spec, in its order.
    pub(super) containers: &'a [ContainerState],
    /// The same of the init containers.
    pub(super) init: &'a [ContainerState],
    /// When the node took the pod (RFC 3339).
    pub(super) start_time: &'a str,
    /// The present moment (RFC 3339).
    pub(super) now: &'a str,
}

/// The status to be written; `previous` says since when its conditions hold.
pub(super) fn status(pod: &Pod, observed: &Observed<'_>, previous: &Value) -> Value {
    let containers = || pod.spec.containers.iter().zip(observed.containers);
    let not_ready: Vec<_> = containers()
        .filter(|(_, state)| !state.ready)
        .map(|(container, _)| container.name.as_str())
        .collect();
    let ready = not_ready.is_empty();
    let unready = format!("containers with unready status: [{}]", not_ready.join(" "));
    let network = !observed.pod_ips.is_empty();
    let succeeded =
        |state: &ContainerState| matches!(&state.phase, Phase::Terminated(e) if e.exit_code == 0);
    let initialized = observed.init.iter().all(succeeded);
    let conditions = [
        (
            "PodReadyToStartContainers",
            network,
            observed.network_problem.unwrap_or_default(),
        ),
        (
            "Initialized",
            initialized,
            "init containers have not succeeded",
        ),
        ("Ready", ready, unready.as_str()),
        ("ContainersReady", ready, unready.as_str()),
        ("PodScheduled", true, ""),
    ]
    .map(|(kind, holds, why)| condition(kind, holds, why, previous, observed.now));
    let mut status = json!({
        "phase": phase(&pod.spec.restart_policy, observed.containers),
        "conditions": conditions,
        "hostIP": observed.host_ips.first(),
        "hostIPs": ips(observed.host_ips),
        "startTime": observed.start_time,
        "qosClass": "BestEffort",
        "containerStatuses": containers()
            .map(|(container, state)| container_status(container, state, observed))
            .collect::<Vec<_>>(),
    });
    if !observed.init.is_empty() {
        let both = pod.spec.init_containers.iter().zip(observed.init);
        status["initContainerStatuses"] = both
            .map(|(container, state)| container_status(container, state, observed))
            .collect();
    }
    if let Some(first) = observed.pod_ips.first() {
        status["podIP"] = json!(first);
        status["podIPs"] = ips(observed.pod_ips);
    }
    status
}

fn ips(addresses: &[IpAddr]) -> Value {
    addresses.iter().map(|ip| json!({"ip": ip})).collect()
}

fn condition(kind: &str, holds: bool, why: &str, previous: &Value, now: &str) -> Value {
    let status = if holds { "True" } else { "False" };
    let before = previous["conditions"].as_array().into_iter().flatten();
    let unchanged = before
        .filter(|condition| condition["type"] == kind && condition["status"] == status)
        .find_map(|condition| condition["lastTransitionTime"].as_str());
    let mut condition = json!({
        "type": kind, "status": status, "lastProbeTime": null,
        "lastTransitionTime": unchanged.unwrap_or(now),
    });
    if !holds {
        let reason = if kind.ends_with("Ready") {
            "ContainersNotReady"
        } else {
            "FailedCreatePodSandBox"
        };
        condition["reason"] = json!(reason);
        condition["message"] = json!(why);
    }
    condition
}

/// As a kubelet's `getPhase`. (Until the init containers are done the others never ran.)
fn phase(restart_policy: &str, containers: &[ContainerState]) -> &'static str {
    let ended = |state: &ContainerState| match &state.phase {
        Phase::Terminated(ended) => Some(ended.exit_code),
        Phase::Waiting { .. } | Phase::Running { .. } => None,
    };
    let never_ran = |state: &ContainerState| {
        matches!(state.phase, Phase::Waiting { .. }) && state.last.is_none()
    };
    if containers.iter().any(never_ran) {
        return "Pending";
    }
    let codes: Option<Vec<_>> = containers.iter().map(ended).collect();
    match (restart_policy, codes) {
        ("Never", Some(codes)) if codes.iter().any(|code| *code != 0) => "Failed",
        ("Never" | "OnFailure", Some(codes)) if codes.iter().all(|code| *code == 0) => "Succeeded",
        _ => "Running",
    }
}

fn container_status(
    container: &crate::objects::Container,
    state: &ContainerState,
    observed: &Observed<'_>,
) -> Value {
    let current = match &state.phase {
        Phase::Waiting { reason, message } => {
            let message = match observed.network_problem {
                Some(problem) if message.is_empty() => problem,
                _ => message,
            };
            json!({"waiting": {"reason": reason, "message": message}})
        }
        Phase::Running { since } => json!({"running": {"startedAt": since}}),
        Phase::Terminated(ended) => json!({"terminated": terminated(ended)}),
    };
    let last = state
        .last
        .as_ref()
        .map_or(json!({}), |ended| json!({"terminated": terminated(ended)}));
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": "",
        "ready": state.ready,
        "started": state.started,
        "restartCount": state.restarts,
        "state": current,
        "lastState": last,
    })
}

fn terminated(ended: &Ended) -> Value {
    let reason = if ended.exit_code == 0 {
        "Completed"
    } else {
        "Error"
    };
    let mut state = json!({
        "exitCode": ended.exit_code, "reason": reason, "message": ended.message,
        "startedAt": ended.started_at, "finishedAt": ended.finished_at,
    });
    if let Some(signal) = ended.signal {
        state["signal"] = json!(signal);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects;

    fn pod(restart_policy: &str) -> Pod {
        objects::read(&json!({"spec": {
            "restartPolicy": restart_policy,
            "containers": [{"name": "a", "image": "i"}],
        }}))
        .expect("a pod")
    }

    fn ended(exit_code: i32) -> Ended {
        let time = || "t".to_owned();
        Ended {
            exit_code,
            signal: None,
            message: String::new(),
            started_at: time(),
            finished_at: time(),
        }
    }

    fn states() -> [(&'static str, ContainerState); 5] {
        let creating = ContainerState::creating();
        let mut running = creating.clone();
        running.running("t".into(), true, true);
        let (mut done, mut failed) = (running.clone(), running.clone());
        done.terminated(ended(0));
        failed.terminated(ended(1));
        let mut again = failed.clone();
        again.waiting("CrashLoopBackOff", String::new());
        [
            ("creating", creating),
            ("running", running),
            ("done", done),
            ("failed", failed),
            ("again", again),
        ]
    }

    #[test]
    fn the_phase_follows_containers_and_restart_policy() {
        let expected = |policy: &str, state: &str| match (policy, state) {
            (_, "creating") => "Pending",
            ("Never" | "OnFailure", "done") => "Succeeded",
            ("Never", "failed") => "Failed",
            _ => "Running",
        };
        for policy in ["Always", "OnFailure", "Never"] {
            for (name, state) in states() {
                assert_eq!(
                    phase(policy, &[state]),
                    expected(policy, name),
                    "{policy} {name}"
                );
            }
        }
    }

    #[test]
    fn conditions_keep_their_time_until_they_turn() {
        let [(_, creating), (_, running), ..] = states();
        let ips = [
            IpAddr::from([10, 244, 1, 2]),
            [0xfd00, 0, 0, 0, 0, 0, 0, 2].into(),
        ];
        let mut observed = Observed {
            host_ips: &[[172, 30, 0, 11].into()],
            pod_ips: &[],
            network_problem: Some("no CNI configuration"),
            containers: std::slice::from_ref(&creating),
            init: &[],
            start_time: "0",
            now: "1",
        };
        let first = status(&pod("Always"), &observed, &Value::Null);
        let get = |status: &Value, kind: &str| {
            let conditions = status["conditions"].as_array().expect("conditions").clone();
            conditions
                .into_iter()
                .find(|c| c["type"] == kind)
                .expect("the condition")
        };
        assert_eq!(first["phase"], "Pending");
        assert_eq!(
            get(&first, "PodReadyToStartContainers")["message"],
            "no CNI configuration"
        );
        assert_eq!(
            first["containerStatuses"][0]["state"]["waiting"]["message"],
            "no CNI configuration"
        );
        assert_eq!(first.get("podIP"), None);

        observed.pod_ips = &ips;
        observed.network_problem = None;
        observed.containers = std::slice::from_ref(&running);
        observed.now = "2";
        let second = status(&pod("Always"), &observed, &first);
        assert_eq!(second["podIP"], "10.244.1.2");
        assert_eq!(second["podIPs"][1]["ip"], "fd00::2");
        assert_eq!(get(&second, "Ready")["status"], "True");
        assert_eq!(get(&second, "Ready")["lastTransitionTime"], "2");
        assert_eq!(get(&second, "PodScheduled")["lastTransitionTime"], "1");
    }
}
