//! How old what the nodes know of the cluster is, where a path ends because of it.

use proxy_agent::local::api::{Cluster, Status};

use super::gather::Agents;
use super::path::Outcome;

/// A healthy API server is heard of about once a minute on the quietest watch.
const OLD: f64 = 150.0;
/// Ends that are for what the API server says.
const REASONS: [&str; 9] = [
    "no-such-port",
    "no-endpoint",
    "no-port",
    "none-ready",
    "none-here",
    "headless",
    "other-proxy",
    "not-programmed",
    "no-pod",
];

/// Adds to the words of a path that ends for what the cluster says, if a node has not heard that
/// lately.
pub(super) async fn explain(outcome: &mut Outcome, agents: &Agents) {
    let Outcome::NotReached { reason, words, .. } = outcome else {
        return;
    };
    if !REASONS.contains(&reason.as_str()) {
        return;
    }
    for (node, agent) in agents.all() {
        if let Ok(status) = agent.get::<Status>("/v1/status").await {
            words.extend(stale(node, &status.cluster).map(|remark| format!("; {remark}")));
        }
    }
}

fn stale(node: &str, cluster: &Cluster) -> Option<String> {
    match cluster.age_seconds {
        _ if !cluster.synced => Some(format!(
            "node {node} has not heard all from the API server yet, so it may know less than there is"
        )),
        Some(age) if age > OLD => Some(format!(
            "node {node} has heard nothing from the API server for {age:.0} s, so what it knows may be old"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_said() {
        let status = |synced, age_seconds| {
            let cluster = Cluster {
                synced,
                age_seconds,
                services: 1,
                nodes: 1,
            };
            stale("n1", &cluster)
        };
        assert_eq!(status(true, Some(70.0)), None);
        let old = status(true, Some(200.4)).expect("old");
        assert!(old.contains("for 200 s"), "{old}");
        assert!(
            status(false, None)
                .expect("not synced")
                .contains("not heard all")
        );
    }
}
