//! The table of pods, after upstream's `printPod`.

use super::{AGE, Column, NAME, age, age::since, name, text_or};
use crate::store::object::{self, items, str_of};
use jiff::Timestamp;
use serde_json::Value;

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    ("Ready", "string", 0),
    ("Status", "string", 0),
    ("Restarts", "string", 0),
    AGE,
    ("IP", "string", 1),
    ("Node", "string", 1),
    ("Nominated Node", "string", 1),
    ("Readiness Gates", "string", 1),
];

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let statuses = items(&pod["status"]["containerStatuses"]);
    let ready = statuses
        .iter()
        .filter(|s| s["ready"] == true && !s["state"]["running"].is_null());
    let total = items(&pod["spec"]["containers"]).len();
    vec![
        name(pod),
        format!("{}/{total}", ready.count()).into(),
        status(pod).into(),
        restarts(statuses, now).into(),
        age(pod, now),
        text_or(&pod["status"]["podIP"], "<none>"),
        text_or(&pod["spec"]["nodeName"], "<none>"),
        text_or(&pod["status"]["nominatedNodeName"], "<none>"),
        gates(pod).into(),
    ]
}

/// One word for how the pod is.
fn status(pod: &Value) -> String {
    if object::is_terminating(pod) {
        let lost = pod["status"]["reason"] == "NodeLost";
        return if lost { "Unknown" } else { "Terminating" }.to_owned();
    }
    let overall = match (
        str_of(&pod["status"]["reason"]),
        str_of(&pod["status"]["phase"]),
    ) {
        ("", "") => "Unknown",
        ("", phase) => phase,
        (reason, _) => reason,
    };
    if let Some(word) = initializing(pod) {
        return word;
    }
    let statuses = items(&pod["status"]["containerStatuses"]);
    let word = statuses
        .iter()
        .find_map(container_word)
        .unwrap_or_else(|| overall.to_owned());
    let running = statuses
        .iter()
        .any(|s| s["ready"] == true && !s["state"]["running"].is_null());
    // A pod of which one container has ended while others go on.
    if word == "Completed" && running {
        let is_ready = condition(pod, "Ready") == "True";
        return if is_ready { "Running" } else { "NotReady" }.to_owned();
    }
    word
}

fn initializing(pod: &Value) -> Option<String> {
    let statuses = items(&pod["status"]["initContainerStatuses"]);
    let total = items(&pod["spec"]["initContainers"]).len();
    let unfinished = |status: &&Value| status["state"]["terminated"]["exitCode"] != 0;
    let (done, status) = statuses
        .iter()
        .enumerate()
        .find(|(_, status)| unfinished(status))?;
    match container_word(status) {
        Some(word) if word != "PodInitializing" => Some(format!("Init:{word}")),
        _ => Some(format!("Init:{done}/{total}")),
    }
}

/// Why a container is not running, if it is not.
fn container_word(status: &Value) -> Option<String> {
    let state = &status["state"];
    let waiting = str_of(&state["waiting"]["reason"]);
    if !waiting.is_empty() {
        return Some(waiting.to_owned());
    }
    let terminated = &state["terminated"];
    if terminated.is_null() {
        return None;
    }
    Some(match str_of(&terminated["reason"]) {
        "" => match terminated["signal"].as_i64() {
            Some(signal) if signal != 0 => format!("Signal:{signal}"),
            _ => format!(
                "ExitCode:{}",
                terminated["exitCode"].as_i64().unwrap_or_default()
            ),
        },
        reason => reason.to_owned(),
    })
}

fn condition<'a>(object: &'a Value, wanted: &str) -> &'a str {
    let conditions = items(&object["status"]["conditions"]).iter();
    conditions
        .filter(|c| c["type"] == wanted)
        .map(|c| str_of(&c["status"]))
        .next()
        .unwrap_or("")
}

/// `3 (5m ago)`: how often, and when last.
fn restarts(statuses: &[Value], now: Timestamp) -> String {
    let count: i64 = statuses
        .iter()
        .filter_map(|s| s["restartCount"].as_i64())
        .sum();
    let ended = |s: &Value| str_of(&s["lastState"]["terminated"]["finishedAt"]).to_owned();
    // RFC 3339 in UTC sorts as time does.
    match statuses.iter().map(ended).max() {
        Some(last) if count > 0 && !last.is_empty() => {
            format!("{count} ({} ago)", since(&last.into(), now))
        }
        _ => count.to_string(),
    }
}

fn gates(pod: &Value) -> String {
    let gates = items(&pod["spec"]["readinessGates"]);
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let open = |gate: &&Value| condition(pod, str_of(&gate["conditionType"])) == "True";
    format!("{}/{}", gates.iter().filter(open).count(), gates.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_word_for_how_the_pod_is() {
        let run = json!({"ready": true, "state": {"running": {}}});
        let done = json!({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        let rows = [
            (json!({"status": {"phase": "Pending"}}), "Pending"),
            (
                json!({"status": {"phase": "Running", "containerStatuses": [run]}}),
                "Running",
            ),
            (
                json!({"metadata": {"deletionTimestamp": "2024-01-01T00:00:00Z"}, "status": {"phase": "Running"}}),
                "Terminating",
            ),
            (
                json!({"status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}}),
                "ContainerCreating",
            ),
            (
                json!({"status": {"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 2}}}]}}),
                "ExitCode:2",
            ),
            (
                json!({"status": {"phase": "Failed", "reason": "Evicted"}}),
                "Evicted",
            ),
            (
                json!({"status": {"phase": "Succeeded", "containerStatuses": [done]}}),
                "Completed",
            ),
            (
                json!({"status": {"phase": "Running", "containerStatuses": [done, run]}}),
                "NotReady",
            ),
            (
                json!({"spec": {"initContainers": [{}, {}]}, "status": {"initContainerStatuses": [
                    {"state": {"terminated": {"exitCode": 0}}}, {"state": {"running": {}}}]}}),
                "Init:1/2",
            ),
        ];
        for (pod, expected) in rows {
            assert_eq!(status(&pod), expected, "{pod}");
        }
    }

    #[test]
    fn a_running_pod() {
        let now = crate::store::clock::now();
        let pod = json!({
            "metadata": {"name": "web", "creationTimestamp": crate::store::clock::timestamp()},
            "spec": {"nodeName": "n1", "containers": [{}, {}]},
            "status": {"phase": "Running", "podIP": "10.244.1.7", "containerStatuses": [
                {"ready": true, "state": {"running": {}}, "restartCount": 2, "lastState":
                    {"terminated": {"finishedAt": crate::store::clock::timestamp()}}},
                {"ready": false, "state": {"running": {}}, "restartCount": 0},
            ]},
        });
        let expected = [
            "web",
            "1/2",
            "Running",
            "2 (0s ago)",
            "0s",
            "10.244.1.7",
            "n1",
            "<none>",
            "<none>",
        ];
        assert_eq!(cells(&pod, now), expected);
    }
}
