//! Kubernetes objects, trimmed to the fields flatnet reads.
//!
//! A cluster has tens of thousands of these in every agent's memory, so strings are shared
//! (`Arc<str>`) or exact (`Box<str>`), and lists are boxed slices. Fields appear here when the
//! view of a node obeys them, not before.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;

use crate::name::{Family, PodName, Protocol, ServiceName, SliceName};

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub name: ServiceName,
    /// How the Service is reached.
    pub kind: ServiceKind,
    /// `spec.clusterIPs`, at most one a family. Empty unless `kind` is `ClusterIp`, and until
    /// the API server has allocated one.
    pub cluster_ips: Box<[IpAddr]>,
    /// `spec.ports`.
    pub ports: Box<[ServicePort]>,
    /// Labelled `service.kubernetes.io/service-proxy-name` or `service.kubernetes.io/headless`:
    /// another proxy serves it, or none. DNS still answers its name.
    pub other_proxy: bool,
    /// `spec.publishNotReadyAddresses`. The slices' `ready` reflects it already.
    pub publish_not_ready: bool,
    /// `spec.externalIPs`.
    pub external_ips: Box<[IpAddr]>,
    /// `status.loadBalancer.ingress[].ip` whose `ipMode` is absent or `VIP`: addresses that the
    /// node itself answers for.
    pub load_balancer_ips: Box<[IpAddr]>,
    /// `spec.loadBalancerSourceRanges`; none: everybody.
    pub source_ranges: Box<[IpNet]>,
    /// `spec.internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `spec.externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// `spec.sessionAffinityConfig.clientIP.timeoutSeconds` where `sessionAffinity` is `ClientIP`.
    pub affinity_seconds: Option<NonZeroU32>,
    /// `spec.healthCheckNodePort`, of a load balancer's Service with external policy `Local`.
    pub health_check_port: Option<u16>,
}

/// Which endpoints traffic may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrafficPolicy {
    /// Any endpoint of the cluster.
    #[default]
    Cluster,
    /// Those on the node that the traffic arrives at.
    Local,
}

/// How a Service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceKind {
    /// Through a cluster IP; NodePort and LoadBalancer Services are of this kind too.
    ClusterIp,
    /// `clusterIP: None`: DNS names the endpoints, the proxy has no part in it.
    Headless,
    /// `type: ExternalName`: DNS answers with this name, the proxy has no part in it.
    ExternalName(Box<str>),
}

/// One port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// The port's name, empty for the single unnamed port.
    pub name: Box<str>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port number at the cluster IP. Host byte order, as every number of the model.
    pub port: u16,
    /// Port number at every node's addresses, where there is one.
    pub node_port: Option<u16>,
}

/// An EndpointSlice: endpoints of one Service, of one family. A Service may have many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Name within the Service's namespace.
    pub name: Arc<str>,
    /// The Service named by the label `kubernetes.io/service-name`.
    pub service: ServiceName,
    /// `addressType`. Every endpoint's address is of this family.
    pub family: Family,
    /// Ports that every endpoint of this slice serves.
    pub ports: Box<[SlicePort]>,
    /// The endpoints.
    pub endpoints: Box<[Endpoint]>,
    /// The annotation `endpoints.kubernetes.io/last-change-trigger-time`: when the pod or Service
    /// changed that this version of the slice tells of.
    pub triggered: Option<SystemTime>,
}

impl EndpointSlice {
    /// Namespace and name of the slice itself.
    pub fn slice_name(&self) -> SliceName {
        SliceName {
            namespace: self.service.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

/// One port of an EndpointSlice, `targetPort` already resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// The name of the Service port that it serves, empty for the unnamed one.
    pub name: Box<str>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port number at the endpoint.
    pub port: u16,
}

/// One endpoint: an address, and how far it may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it answers. Of an endpoint with several addresses, the first, as in kube-proxy.
    pub address: IpAddr,
    /// `conditions.ready`, true where absent.
    pub ready: bool,
    /// `conditions.serving`, true where absent.
    pub serving: bool,
    /// `conditions.terminating`, false where absent.
    pub terminating: bool,
    /// `nodeName`, the node that hosts it.
    pub node: Option<Arc<str>>,
    /// `zone`, the zone of that node.
    pub zone: Option<Arc<str>>,
    /// `hints`, shared between endpoints with the same ones.
    pub hints: Option<Arc<Hints>>,
    /// `hostname`, a StatefulSet pod's stable DNS label.
    pub hostname: Option<Box<str>>,
}

/// For whose traffic the control plane means an endpoint (`trafficDistribution`, which the proxy
/// itself does not read).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Hints {
    /// `hints.forZones[].name`.
    pub zones: Box<[Arc<str>]>,
    /// `hints.forNodes[].name`.
    pub nodes: Box<[Arc<str>]>,
}

/// A Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node's name.
    pub name: Arc<str>,
    /// `status.addresses` of type `InternalIP`, in the object's order.
    pub addresses: Box<[IpAddr]>,
    /// `spec.podCIDRs`, at most one a family.
    pub pod_cidrs: Box<[IpNet]>,
    /// The label `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
    /// Whether it is going: it has a deletion timestamp, or the cluster autoscaler's taint
    /// `ToBeDeletedByClusterAutoscaler`.
    pub leaving: bool,
}

/// A ServiceCIDR: where cluster IPs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCidr {
    /// Its name.
    pub name: Arc<str>,
    /// `spec.cidrs`, at most one a family.
    pub cidrs: Box<[IpNet]>,
}

/// A Pod that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub name: PodName,
    /// `status.podIPs`, at most one a family. Empty until it has a network.
    pub addresses: Box<[IpAddr]>,
    /// `spec.hostNetwork`: its addresses are its node's.
    pub host_network: bool,
}
