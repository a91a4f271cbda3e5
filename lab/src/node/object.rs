//! The Node object as a kubelet would register it (pure).

use serde_json::{Value, json};

use super::Node;

/// The Node object, not yet ready: that is for the kubelet to find out.
pub(crate) fn registration(node: &Node) -> Value {
    let mut labels = json!({
        "kubernetes.io/hostname": node.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture(),
    });
    if let Some(zone) = &node.zone {
        labels["topology.kubernetes.io/zone"] = json!(zone);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "spec": {
            "podCIDR": node.pod_cidrs.first(),
            "podCIDRs": node.pod_cidrs,
            "providerID": format!("flatnet-lab://{}", node.name),
        },
    })
}

/// The status of the node. `since` is when readiness last changed (RFC 3339).
pub(crate) fn status(node: &Node, readiness: &Result<(), String>, since: &str) -> Value {
    let (status, reason, message) = match readiness {
        Ok(()) => ("True", "KubeletReady", "kubelet is posting ready status"),
        Err(why) => ("False", "KubeletNotReady", why.as_str()),
    };
    let internal = node
        .addresses()
        .map(|address| json!({"type": "InternalIP", "address": address}));
    let hostname = json!({"type": "Hostname", "address": node.name});
    json!({
        "addresses": internal.chain([hostname]).collect::<Vec<_>>(),
        "capacity": {"pods": "250"},
        "allocatable": {"pods": "250"},
        "conditions": [{
            "type": "Ready", "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": since, "lastTransitionTime": since,
        }],
        "nodeInfo": {
            "architecture": architecture(),
            "operatingSystem": "linux",
            "kernelVersion": kernel_version(),
            "osImage": "the lab's own machine",
            "containerRuntimeVersion": "processes://1",
            "kubeletVersion": concat!("v1.36.0-flatnet-lab-", env!("CARGO_PKG_VERSION")),
            "kubeProxyVersion": "",
            "machineID": "", "systemUUID": "", "bootID": "",
        },
    })
}

/// The architecture in Go's words, which are Kubernetes'.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn kernel_version() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Families, Network};

    #[test]
    fn the_object_carries_what_agent_and_controllers_read() {
        let network = Network {
            families: Families::Dual,
            ..Network::default()
        };
        let node = &Node::numbered(1, &network, &["z1".to_owned()])[0];
        let object = registration(node);
        assert_eq!(object["spec"]["podCIDR"], "10.244.1.0/24");
        assert_eq!(
            object["spec"]["podCIDRs"],
            json!(["10.244.1.0/24", "fd00:10:244:1::/64"])
        );
        assert_eq!(
            object["metadata"]["labels"]["topology.kubernetes.io/zone"],
            "z1"
        );
        assert_eq!(
            object["metadata"]["labels"]["kubernetes.io/hostname"],
            "node1"
        );
        let status = status(
            node,
            &Err("no CNI configuration".into()),
            "2026-01-01T00:00:00Z",
        );
        assert_eq!(status["addresses"][0]["address"], "172.30.0.11");
        assert_eq!(status["addresses"][1]["address"], "fd00:172:30::11");
        assert_eq!(status["addresses"][2]["type"], "Hostname");
        assert_eq!(status["conditions"][0]["status"], "False");
        assert_eq!(status["conditions"][0]["message"], "no CNI configuration");
    }
}
