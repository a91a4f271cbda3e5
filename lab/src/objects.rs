//! The fields of Kubernetes objects that kubelet and controllers read, and no others.
//!
//! Reading is through these types; writing edits the whole object, so that fields the lab does
//! not know survive.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Labels, and the equality part of a selector.
pub(crate) type Labels = BTreeMap<String, String>;

/// The trimmed form of `object`. A field that is null is a field that is not there.
///
/// # Errors
/// A sentence that names the field that has another type than Kubernetes gives it.
pub(crate) fn read<T: DeserializeOwned>(object: &Value) -> Result<T, serde_json::Error> {
    // Nulls are rare (`kubectl create --dry-run` writes some), copying is not free.
    T::deserialize(object).or_else(|_maybe_null| T::deserialize(without_nulls(object)))
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let present = fields.iter().filter(|(_, value)| !value.is_null());
            let copied = present.map(|(name, value)| (name.clone(), without_nulls(value)));
            Value::Object(copied.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) labels: Labels,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) creation_timestamp: String,
    pub(crate) deletion_timestamp: Option<String>,
    pub(crate) deletion_grace_period_seconds: Option<u64>,
    pub(crate) generation: i64,
    pub(crate) owner_references: Vec<OwnerReference>,
}

impl Meta {
    pub(crate) fn terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }

    pub(crate) fn is_controlled_by(&self, uid: &str) -> bool {
        self.owner_references
            .iter()
            .any(|owner| owner.controller && owner.uid == uid)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OwnerReference {
    pub(crate) uid: String,
    pub(crate) controller: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
}

/// Whether the condition `kind` is there and "True".
pub(crate) fn holds(conditions: &[Condition], kind: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.kind == kind && condition.status == "True")
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    pub(crate) metadata: Meta,
    pub(crate) spec: PodSpec,
    pub(crate) status: PodStatus,
}

impl Pod {
    pub(crate) fn ready(&self) -> bool {
        holds(&self.status.conditions, "Ready")
    }

    /// Ended for good: its containers will not run again.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(crate) node_name: String,
    pub(crate) node_selector: Labels,
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Vec<Container>,
    pub(crate) volumes: Vec<Value>,
    pub(crate) security_context: Value,
    pub(crate) restart_policy: String,
    pub(crate) host_network: bool,
    pub(crate) dns_policy: String,
    pub(crate) hostname: String,
    pub(crate) subdomain: String,
    pub(crate) termination_grace_period_seconds: Option<u64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatus {
    pub(crate) phase: String,
    #[serde(rename = "podIPs")]
    pub(crate) pod_ips: Vec<PodIp>,
    pub(crate) conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PodIp {
    pub(crate) ip: IpAddr,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) working_dir: Option<String>,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) env_from: Vec<Value>,
    pub(crate) ports: Vec<ContainerPort>,
    pub(crate) startup_probe: Option<Probe>,
    pub(crate) readiness_probe: Option<Probe>,
    pub(crate) liveness_probe: Option<Probe>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) volume_mounts: Vec<Value>,
    pub(crate) security_context: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvVar {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) value_from: Option<ValueFrom>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ValueFrom {
    pub(crate) field_ref: Option<FieldRef>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FieldRef {
    pub(crate) field_path: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerPort {
    pub(crate) name: String,
    pub(crate) container_port: u16,
    pub(crate) host_port: Option<u16>,
    #[serde(rename = "hostIP")]
    pub(crate) host_ip: Option<String>,
    pub(crate) protocol: Option<String>,
}

impl ContainerPort {
    pub(crate) fn protocol(&self) -> &str {
        self.protocol.as_deref().unwrap_or("TCP")
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Lifecycle {
    pub(crate) pre_stop: Option<Handler>,
}

/// What to do to ask a container something; exactly one field is set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Handler {
    pub(crate) http_get: Option<HttpGet>,
    pub(crate) tcp_socket: Option<TcpSocket>,
    pub(crate) exec: Option<Exec>,
    pub(crate) sleep: Option<Sleep>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Probe {
    #[serde(flatten)]
    pub(crate) handler: Handler,
    pub(crate) initial_delay_seconds: u64,
    pub(crate) period_seconds: Option<u64>,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) success_threshold: Option<u32>,
    pub(crate) failure_threshold: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HttpGet {
    #[serde(default)]
    pub(crate) path: Option<String>,
    pub(crate) port: Port,
    #[serde(default)]
    pub(crate) host: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TcpSocket {
    pub(crate) port: Port,
    #[serde(default)]
    pub(crate) host: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Exec {
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sleep {
    pub(crate) seconds: u64,
}

/// A port by number or by the name a container gives it (IntOrString).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Port {
    Number(u16),
    Name(String),
}

impl Port {
    /// The number, looked up among `ports` of the same protocol if it is a name.
    pub(crate) fn resolve<'a>(
        &self,
        protocol: &str,
        ports: impl IntoIterator<Item = &'a ContainerPort>,
    ) -> Option<u16> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(name) => ports
                .into_iter()
                .find(|port| port.name == *name && port.protocol() == protocol)
                .map(|port| port.container_port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_reads_with_what_it_has() {
        let pod: Pod = read(&json!({
            "metadata": {"name": "a", "uid": "u", "labels": null},
            "spec": {"containers": [{
                "name": "c",
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
            }]},
            "status": {"podIPs": [{"ip": "10.244.1.2"}],
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .expect("a pod");
        assert!(pod.ready() && !pod.ended() && !pod.metadata.terminating());
        let container = &pod.spec.containers[0];
        let probe = container.readiness_probe.as_ref().expect("a probe");
        let port = &probe.handler.http_get.as_ref().expect("httpGet").port;
        assert_eq!(port.resolve("TCP", &container.ports), Some(8080));
        assert_eq!(
            port.resolve("UDP", &container.ports),
            None,
            "the protocol counts"
        );
    }

    #[test]
    fn a_wrong_type_is_an_error_that_says_so() {
        let error = read::<Pod>(&json!({"spec": {"containers": 3}})).expect_err("no list");
        assert!(error.to_string().contains("invalid type"), "{error}");
    }
}
