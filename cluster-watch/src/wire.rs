//! The fields of Kubernetes objects that flatnet reads, as they come over the wire.
//!
//! Own types instead of k8s-openapi's: a list of 30 000 Services is parsed without building what
//! is thrown away at once (managed fields alone are half of an object), and a part of an object
//! that is not of the expected shape costs that part, not the whole list ([`Loose`]).

mod resource;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

/// A value, or something in its place that does not have its shape.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Loose<T> {
    Good(T),
    Bad(IgnoredAny),
}

impl<T> Loose<T> {
    pub(crate) fn good(self) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Bad(IgnoredAny) => None,
        }
    }
}

/// A list that Go may have written as `null`.
pub(crate) type List<T> = Option<Vec<T>>;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ServiceObject {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Option<Loose<ServiceSpec>>,
    pub(crate) status: Option<Loose<ServiceStatus>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceSpec {
    pub(crate) r#type: Option<String>,
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    pub(crate) cluster_ips: List<String>,
    pub(crate) ports: List<Loose<PortFields>>,
    pub(crate) external_name: Option<String>,
    pub(crate) publish_not_ready_addresses: Option<bool>,
    #[serde(rename = "externalIPs")]
    pub(crate) external_ips: List<String>,
    pub(crate) load_balancer_source_ranges: List<String>,
    pub(crate) internal_traffic_policy: Option<String>,
    pub(crate) external_traffic_policy: Option<String>,
    pub(crate) health_check_node_port: Option<i64>,
    pub(crate) session_affinity: Option<String>,
    pub(crate) session_affinity_config: Option<Loose<AffinityConfig>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct AffinityConfig {
    #[serde(rename = "clientIP")]
    pub(crate) client_ip: Option<ClientIpConfig>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientIpConfig {
    pub(crate) timeout_seconds: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceStatus {
    pub(crate) load_balancer: Option<LoadBalancerStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct LoadBalancerStatus {
    pub(crate) ingress: List<Loose<IngressFields>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngressFields {
    pub(crate) ip: Option<String>,
    pub(crate) ip_mode: Option<String>,
}

/// A port of a Service or of an EndpointSlice.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PortFields {
    pub(crate) name: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) port: Option<i64>,
    pub(crate) node_port: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SliceObject {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    pub(crate) address_type: Option<String>,
    pub(crate) endpoints: List<Loose<EndpointFields>>,
    pub(crate) ports: List<Loose<PortFields>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndpointFields {
    pub(crate) addresses: List<String>,
    pub(crate) conditions: Option<ConditionFields>,
    pub(crate) hostname: Option<String>,
    pub(crate) node_name: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) hints: Option<Loose<HintFields>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HintFields {
    pub(crate) for_zones: List<Named>,
    pub(crate) for_nodes: List<Named>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ConditionFields {
    pub(crate) ready: Option<bool>,
    pub(crate) serving: Option<bool>,
    pub(crate) terminating: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NodeObject {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Option<Loose<NodeSpec>>,
    pub(crate) status: Option<Loose<NodeStatus>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pub(crate) pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pub(crate) pod_cidrs: List<String>,
    pub(crate) taints: List<Loose<TaintFields>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TaintFields {
    pub(crate) key: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) addresses: List<Loose<NodeAddress>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NodeAddress {
    pub(crate) r#type: String,
    pub(crate) address: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ServiceCidrObject {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Option<Loose<ServiceCidrSpec>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ServiceCidrSpec {
    pub(crate) cidrs: List<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PodObject {
    #[serde(deserialize_with = "metadata")]
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: Option<Loose<PodSpec>>,
    pub(crate) status: Option<Loose<PodStatus>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub(crate) host_network: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct PodStatus {
    pub(crate) phase: Option<String>,
    #[serde(rename = "podIPs")]
    pub(crate) pod_ips: List<Loose<PodIp>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PodIp {
    pub(crate) ip: Option<String>,
}

/// When the change happened that a slice tells of (RFC 3339), written by its controller.
pub(crate) const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The metadata kube's watcher needs (name, resource version) and we do (labels, one annotation,
/// whether it is being deleted), the rest left where it is.
fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields {
        name: Option<String>,
        namespace: Option<String>,
        resource_version: Option<String>,
        labels: Option<Loose<BTreeMap<String, String>>>,
        annotations: Option<Loose<Annotations>>,
        deletion_timestamp: Option<Loose<Time>>,
    }
    #[derive(Deserialize)]
    struct Annotations {
        #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
        triggered: Option<String>,
    }
    let Fields {
        name,
        namespace,
        resource_version,
        labels,
        annotations,
        deletion_timestamp,
    } = Fields::deserialize(deserializer)?;
    let labels = labels.and_then(Loose::good);
    let triggered = annotations.and_then(Loose::good).and_then(|a| a.triggered);
    Ok(ObjectMeta {
        name,
        namespace,
        resource_version,
        labels,
        annotations: triggered.map(|at| BTreeMap::from([(TRIGGERED.to_owned(), at)])),
        deletion_timestamp: deletion_timestamp.and_then(Loose::good),
        ..ObjectMeta::default()
    })
}
