//! Builders of objects for tests: `mk_service("default", "web").port("http", Tcp, 80).build()`.
//!
//! They panic on addresses that do not parse; nothing outside tests may use them.

mod endpoint;
mod node;
mod pod;
mod service;

use std::net::IpAddr;

pub use pod::mk_pod;

use crate::index::ClusterIndex;
use crate::name::{Family, ServiceName};
use crate::object::{Endpoint, EndpointSlice, Node, Service, ServiceKind, TrafficPolicy};

/// An address from its text.
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

/// A Service without cluster IP and ports; add them with the methods below.
pub fn mk_service(namespace: &str, name: &str) -> Service {
    Service {
        name: ServiceName::new(namespace, name),
        kind: ServiceKind::ClusterIp,
        cluster_ips: Box::default(),
        ports: Box::default(),
        other_proxy: false,
        publish_not_ready: false,
        external_ips: Box::default(),
        load_balancer_ips: Box::default(),
        source_ranges: Box::default(),
        internal_policy: TrafficPolicy::Cluster,
        external_policy: TrafficPolicy::Cluster,
        affinity_seconds: None,
        health_check_port: None,
    }
}

/// An IPv4 slice of the Service `service`, without ports and endpoints.
pub fn mk_slice(namespace: &str, service: &str, name: &str) -> EndpointSlice {
    EndpointSlice {
        name: name.into(),
        service: ServiceName::new(namespace, service),
        family: Family::V4,
        ports: Box::default(),
        endpoints: Box::default(),
        triggered: None,
    }
}

/// A ready endpoint.
pub fn mk_endpoint(address: &str) -> Endpoint {
    Endpoint {
        address: ip(address),
        ready: true,
        serving: true,
        terminating: false,
        node: None,
        zone: None,
        hints: None,
        hostname: None,
    }
}

/// A node without addresses and pod CIDRs.
pub fn mk_node(name: &str) -> Node {
    Node {
        name: name.into(),
        addresses: Box::default(),
        pod_cidrs: Box::default(),
        zone: None,
        leaving: false,
    }
}

/// An index of these objects.
pub fn mk_index(
    services: impl IntoIterator<Item = Service>,
    slices: impl IntoIterator<Item = EndpointSlice>,
) -> ClusterIndex {
    let mut index = ClusterIndex::default();
    services
        .into_iter()
        .for_each(|service| index.apply_service(service));
    slices
        .into_iter()
        .for_each(|slice| index.apply_slice(slice));
    index
}

fn pushed<T>(list: Box<[T]>, item: T) -> Box<[T]> {
    list.into_iter().chain([item]).collect()
}
