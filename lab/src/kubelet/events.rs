//! What `kubectl describe pod` tells about a pod that does not come up.

use serde_json::json;

use super::Kubelet;
use crate::objects::Pod;
use crate::store::{Kind, clock};

/// Says that the pod's network could not be made, and why.
pub(super) fn failed_sandbox(kubelet: &Kubelet, pod: &Pod, message: &str) {
    let (meta, now) = (&pod.metadata, clock::timestamp());
    let event = json!({
        "metadata": {"generateName": format!("{}-", meta.name), "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod",
            "name": meta.name, "namespace": meta.namespace, "uid": meta.uid,
        },
        "type": "Warning",
        "reason": "FailedCreatePodSandBox",
        "message": message,
        "source": {"component": "kubelet", "host": kubelet.node.name},
        "firstTimestamp": now, "lastTimestamp": now, "count": 1,
    });
    if let Err(error) = kubelet.store.create(Kind::Event, event) {
        tracing::debug!(pod = meta.name, %error, "event not written");
    }
}
