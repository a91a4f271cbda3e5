//! Why a Service has no endpoint, beyond what its slices say: what it selects, and what keeps those
//! pods from being ready. Only the API server knows.

use super::kube::{self, Pod};
use super::path::Outcome;

/// Adds to the words of a path that ends at a Service without endpoints.
pub(super) async fn explain(
    outcome: &mut Outcome,
    client: Option<&cluster_watch::Client>,
    pods: &[Pod],
) {
    let Outcome::NotReached {
        reason,
        words,
        object,
    } = outcome
    else {
        return;
    };
    let named = object
        .strip_prefix("Service ")
        .and_then(|name| name.split_once('/'));
    let (Some((namespace, name)), Some(client)) = (named, client) else {
        return;
    };
    if !["no-endpoint", "none-ready"].contains(&reason.as_str()) {
        return;
    }
    if let Ok(selector) = kube::selector(client, "svc", namespace, name).await {
        *words += &format!("; {}", because(&selector, namespace, pods));
    }
}

/// What is wrong with what a Service selects.
fn because(selector: &[(String, String)], namespace: &str, pods: &[Pod]) -> String {
    if selector.is_empty() {
        return "it has no selector: whoever made it makes its EndpointSlices".to_owned();
    }
    let selects = |pod: &&Pod| pod.metadata.namespace == namespace && kube::selects(selector, pod);
    let selected: Vec<&Pod> = pods.iter().filter(selects).collect();
    let labels: Vec<String> = selector
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if selected.is_empty() {
        let labels = labels.join(",");
        return format!("no pod of namespace {namespace} has the labels {labels}");
    }
    let mut unready = selected.iter().filter(|pod| !pod.is_ready());
    match unready.next() {
        Some(pod) => format!("pod {} is not ready: {}", pod.metadata.name, state(pod)),
        None => format!(
            "{} pods are selected and ready: their EndpointSlice is not written or has not come yet",
            selected.len()
        ),
    }
}

/// What keeps a pod from being ready.
fn state(pod: &Pod) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "it is being deleted".to_owned();
    }
    let fails = |kind: &str| {
        let mut conditions = pod.status.conditions.iter();
        conditions.find(|one| one.kind == kind && one.status != "True")
    };
    let order = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];
    match order.into_iter().find_map(fails) {
        Some(condition) if condition.message.is_empty() => format!("not {}", condition.kind),
        Some(condition) => format!("{} ({})", condition.message, condition.kind),
        None => format!("its phase is {}", pod.status.phase),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(labels: &str, conditions: &str) -> Pod {
        let text = format!(
            r#"{{"metadata": {{"namespace": "shop", "name": "web-1", "labels": {labels}}},
                "status": {{"phase": "Running", "conditions": {conditions}}}}}"#
        );
        serde_json::from_str(&text).expect("a pod")
    }

    #[test]
    fn what_is_wrong_is_said() {
        let app = vec![("app".to_owned(), "web".to_owned())];
        let ready = r#"[{"type": "Ready", "status": "True"}]"#;
        let probe = r#"[{"type": "PodScheduled", "status": "True"},
            {"type": "ContainersReady", "status": "False",
             "message": "containers with unready status: [c]"},
            {"type": "Ready", "status": "False"}]"#;
        let rows = [
            (vec![], vec![], "it has no selector"),
            (
                app.clone(),
                vec![pod(r#"{"app": "other"}"#, ready)],
                "has the labels app=web",
            ),
            (
                app.clone(),
                vec![pod(r#"{"app": "web"}"#, probe)],
                "pod web-1 is not ready: containers with unready status: [c] (ContainersReady)",
            ),
            (
                app.clone(),
                vec![pod(r#"{"app": "web"}"#, "[]")],
                "pod web-1 is not ready: its phase is Running",
            ),
            (
                app,
                vec![pod(r#"{"app": "web"}"#, ready)],
                "1 pods are selected and ready",
            ),
        ];
        for (selector, pods, expected) in rows {
            let words = because(&selector, "shop", &pods);
            assert!(words.contains(expected), "{words}");
        }
    }
}
