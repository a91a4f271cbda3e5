//! An EndpointSlice as the controller writes it, and a pod as an endpoint (pure).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::objects::{Labels, Meta, Pod, Port};

/// What the controller reads of a Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    pub(super) metadata: Meta,
    pub(super) spec: ServiceSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: String,
    pub(super) ip_families: Vec<Family>,
    pub(super) selector: Labels,
    pub(super) ports: Vec<ServicePort>,
    pub(super) publish_not_ready_addresses: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePort {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default = "tcp")]
    pub(super) protocol: String,
    pub(super) port: u16,
    pub(super) target_port: Option<Port>,
    pub(super) app_protocol: Option<String>,
}

fn tcp() -> String {
    "TCP".to_owned()
}

/// An address family by its Kubernetes name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Family {
    /// `IPv4`
    #[serde(rename = "IPv4")]
    V4,
    /// `IPv6`
    #[serde(rename = "IPv6")]
    V6,
}

impl Family {
    fn has(self, address: &IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// A slice of one Service. An empty name means it is still to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slice {
    #[serde(skip)]
    pub(super) name: String,
    #[serde(skip)]
    pub(super) labels: Labels,
    pub(super) address_type: Family,
    #[serde(default)]
    pub(super) ports: Vec<SlicePort>,
    #[serde(default)]
    pub(super) endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SlicePort {
    #[serde(default)]
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_protocol: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) conditions: Conditions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
    pub(super) target_ref: TargetRef,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Conditions {
    pub(super) ready: bool,
    pub(super) serving: bool,
    pub(super) terminating: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TargetRef {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

impl Service {
    pub(super) fn headless(&self) -> bool {
        self.spec.cluster_ip == "None"
    }

    /// Whether the controller makes its slices: otherwise they are made by hand, or there are none.
    pub(super) fn selects_pods(&self) -> bool {
        !self.spec.selector.is_empty() && self.spec.kind != "ExternalName"
    }

    fn selects(&self, pod: &Pod) -> bool {
        let labels = &pod.metadata.labels;
        self.spec
            .selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }

    /// The Service's ports as `pod` listens to them; a port name the pod does not have is left
    /// out. Sorted, so that equal ports are equal lists.
    pub(super) fn ports_at(&self, pod: &Pod) -> Vec<SlicePort> {
        let container_ports = || pod.spec.containers.iter().flat_map(|c| &c.ports);
        let resolve = |port: &ServicePort| {
            let target = port.target_port.clone().unwrap_or(Port::Number(port.port));
            Some(SlicePort {
                name: port.name.clone(),
                protocol: port.protocol.clone(),
                port: target.resolve(&port.protocol, container_ports())?,
                app_protocol: port.app_protocol.clone(),
            })
        };
        let mut ports: Vec<_> = self.spec.ports.iter().filter_map(resolve).collect();
        ports.sort();
        ports
    }

    /// The pod as an endpoint of this Service in one family, if it is one.
    ///
    /// Conditions as upstream: ready is never true of a terminating pod, unless the Service asks
    /// for not-ready addresses.
    /// <https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/endpointslice/utils.go>
    pub(super) fn endpoint(
        &self,
        pod: &Pod,
        family: Family,
        zones: &BTreeMap<String, String>,
    ) -> Option<Endpoint> {
        let (meta, spec) = (&pod.metadata, &pod.spec);
        if meta.namespace != self.metadata.namespace || !self.selects(pod) || pod.ended() {
            return None;
        }
        let addresses = pod.status.pod_ips.iter().map(|pod_ip| pod_ip.ip);
        let address = addresses.into_iter().find(|address| family.has(address))?;
        let (serving, terminating) = (pod.ready(), meta.terminating());
        let ready = self.spec.publish_not_ready_addresses || (serving && !terminating);
        let named = !spec.hostname.is_empty() && spec.subdomain == self.metadata.name;
        Some(Endpoint {
            addresses: vec![address],
            conditions: Conditions {
                ready,
                serving,
                terminating,
            },
            hostname: named.then(|| spec.hostname.clone()),
            node_name: (!spec.node_name.is_empty()).then(|| spec.node_name.clone()),
            zone: zones.get(&spec.node_name).cloned(),
            target_ref: TargetRef {
                kind: "Pod".to_owned(),
                namespace: meta.namespace.clone(),
                name: meta.name.clone(),
                uid: meta.uid.clone(),
            },
        })
    }
}
