//! The agents of a whole cluster, asked by `kubectl exec`: nothing listens on the network, and who
//! may do that is the API server's business (the right to create `pods/exec` in the agents'
//! namespace, and to list pods there).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use crate::agent::AskError;
use crate::error::CliError;

/// What the agents' pods are labelled with.
const LABEL: &str = "app.kubernetes.io/name=flatnet-agent";

/// The pod of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentPod {
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Meta,
    spec: Spec,
}

#[derive(Deserialize)]
struct Meta {
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(rename = "nodeName", default)]
    node_name: String,
}

/// The agents' pods, by the names of their nodes.
///
/// # Errors
/// [`CliError`] if kubectl cannot be run or refuses.
pub(crate) async fn pods() -> Result<BTreeMap<String, AgentPod>, CliError> {
    let words = ["get", "pods", "-A", "-l", LABEL, "-o", "json"];
    let text = kubectl(&words).await.map_err(CliError::NotFound)?;
    listed(&text).map_err(CliError::NotFound)
}

fn listed(text: &[u8]) -> Result<BTreeMap<String, AgentPod>, String> {
    let List { items } = serde_json::from_slice(text)
        .map_err(|error| format!("kubectl lists the agents' pods in other words: {error}"))?;
    let pod = |pod: Pod| {
        let Meta { namespace, name } = pod.metadata;
        (pod.spec.node_name, AgentPod { namespace, name })
    };
    let placed = items
        .into_iter()
        .filter(|pod| !pod.spec.node_name.is_empty());
    Ok(placed.map(pod).collect())
}

/// Asks the agent of a pod; `words` are arguments of `flatnet api`.
///
/// # Errors
/// [`AskError::Broken`], with kubectl's words.
pub(crate) async fn ask<T: DeserializeOwned>(
    pod: &AgentPod,
    words: &[&str],
) -> Result<T, AskError> {
    let AgentPod { namespace, name } = pod;
    let broken = |reason: String| AskError::Broken {
        at: format!("pod {namespace}/{name}"),
        path: words.join(" "),
        reason,
    };
    let begin = ["exec", "-n", namespace, name, "--", "flatnet", "api"];
    let words = [&begin[..], words].concat();
    let text = kubectl(&words).await.map_err(broken)?;
    serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))
}

async fn kubectl(words: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new("kubectl").args(words).output().await;
    let output = output.map_err(|error| format!("cannot run kubectl: {error}"))?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(format!(
            "kubectl {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_has_no_node_yet_is_no_agent() {
        let text = r#"{"items": [
            {"metadata": {"namespace": "kube-system", "name": "a"}, "spec": {"nodeName": "n1"}},
            {"metadata": {"namespace": "kube-system", "name": "b"}, "spec": {}}
        ]}"#;
        let found = listed(text.as_bytes()).expect("a list");
        let pod = AgentPod {
            namespace: "kube-system".to_owned(),
            name: "a".to_owned(),
        };
        assert_eq!(found, BTreeMap::from([("n1".to_owned(), pod)]));
        assert!(listed(b"{}").is_err());
    }
}
