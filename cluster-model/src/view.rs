//! What one node makes of a Service: its frontends, and behind each the endpoints that take
//! traffic.
//!
//! The rules are those of kube-proxy (`pkg/proxy/topology.go`, `CategorizeEndpoints`). Traffic
//! policies, topology hints and the frontends besides the cluster IP narrow `eligible` and widen
//! `frontends_of` once they come.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::index::ClusterIndex;
use crate::name::{Family, Protocol, ServiceName};
use crate::object::{Endpoint, EndpointSlice, Service, ServiceKind, ServicePort};

/// An address and port at which a Service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    /// The cluster IP.
    pub address: IpAddr,
    /// The Service port, host byte order.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
}

/// An address and port at which an endpoint takes a frontend's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointAddress {
    /// The endpoint's address, of the frontend's family.
    pub address: IpAddr,
    /// The slice's port number, host byte order.
    pub port: u16,
}

/// The cluster-IP frontends of `service` as the node named `_node` sees them, each with its
/// eligible endpoints, sorted and without duplicates.
///
/// A frontend with no endpoint is there with an empty list: it refuses. A Service that is
/// headless, an ExternalName, another proxy's or unknown has no frontends. The cost is that of
/// this Service's own slices, whatever else the index holds.
///
/// Every node sees the same so far: the node's name matters from the first field that is about
/// nodes and zones (`internalTrafficPolicy`, `hints`).
pub fn frontends_of(
    index: &ClusterIndex,
    service: &ServiceName,
    _node: &str,
) -> BTreeMap<Frontend, Vec<EndpointAddress>> {
    let Some(entry) = index.service(service).filter(|service| is_ours(service)) else {
        return BTreeMap::new();
    };
    let slices = index.slices(service);
    let mut frontends = BTreeMap::new();
    for &address in &entry.cluster_ips {
        for port in &entry.ports {
            let frontend = Frontend {
                address,
                port: port.port,
                protocol: port.protocol,
            };
            frontends.insert(frontend, eligible(slices, Family::of(address), port));
        }
    }
    frontends
}

/// Whether this proxy serves the Service at all.
fn is_ours(service: &Service) -> bool {
    !service.other_proxy && service.kind == ServiceKind::ClusterIp
}

/// The endpoints of one family that take the traffic of `port`: the ready ones; with none of
/// them left, those that still serve while they terminate, so that the last pod drains without
/// losing connections.
fn eligible(slices: &[EndpointSlice], family: Family, port: &ServicePort) -> Vec<EndpointAddress> {
    let ready = matching(slices, family, port, |endpoint| endpoint.ready);
    if !ready.is_empty() {
        return ready;
    }
    matching(slices, family, port, |endpoint| {
        endpoint.serving && endpoint.terminating
    })
}

/// Every endpoint address of `family` behind `port` whose endpoint `accept` takes. An address
/// listed by two slices counts once, and counts if either listing is accepted.
fn matching(
    slices: &[EndpointSlice],
    family: Family,
    port: &ServicePort,
    accept: impl Fn(&Endpoint) -> bool,
) -> Vec<EndpointAddress> {
    let mut found = BTreeSet::new();
    for slice in slices.iter().filter(|slice| slice.family == family) {
        let numbers = slice
            .ports
            .iter()
            .filter(|offer| offer.name == port.name && offer.protocol == port.protocol);
        for number in numbers.map(|offer| offer.port) {
            let accepted = slice.endpoints.iter().filter(|endpoint| accept(endpoint));
            found.extend(accepted.map(|e| EndpointAddress {
                address: e.address,
                port: number,
            }));
        }
    }
    found.into_iter().collect()
}
