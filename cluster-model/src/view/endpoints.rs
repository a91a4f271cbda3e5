//! Which of a Service's endpoints take the traffic of a port, under either traffic policy
//! (kube-proxy's `CategorizeEndpoints`).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Behind, EndpointAddress};
use crate::index::ClusterIndex;
use crate::name::{Family, ServiceName};
use crate::object::{Endpoint, EndpointSlice, Hints, ServicePort, TrafficPolicy};

/// An endpoint of the right family and port, as one slice lists it.
pub(super) type Listed<'a> = (EndpointAddress, &'a Endpoint);

/// The endpoints of one port and family under either policy.
pub(super) struct Choice {
    cluster: Arc<[EndpointAddress]>,
    local: Arc<[EndpointAddress]>,
}

impl Choice {
    /// Chooses for the node named `node`, in `zone` if it is in one.
    pub(super) fn new(
        slices: &[EndpointSlice],
        family: Family,
        port: &ServicePort,
        node: &str,
        zone: Option<&str>,
    ) -> Self {
        let listed = listed(slices, family, port);
        let hint = Hint::obeyed(&listed, node, zone);
        let cluster = ready_or_draining(&listed, |e| hint.takes(e), |_| true);
        let local = ready_or_draining(&listed, |e| is_on(e, node), |e| is_on(e, node));
        Self {
            // The same list, where it is the same, so that it is kept and written once.
            local: match local == cluster {
                true => cluster.clone(),
                false => local,
            },
            cluster,
        }
    }

    /// What stands behind a frontend under `policy`.
    pub(super) fn behind(&self, policy: TrafficPolicy) -> Behind {
        let endpoints = match policy {
            TrafficPolicy::Cluster => self.cluster.clone(),
            TrafficPolicy::Local => self.local.clone(),
        };
        // Under the cluster's policy everything that serves at all is allowed.
        let forbidden = endpoints.is_empty() && !self.cluster.is_empty();
        Behind {
            endpoints,
            forbidden,
        }
    }
}

/// The ready endpoints that `takes` takes; with none, those that still serve while they terminate
/// and that `drains` takes, so that the last pod drains without losing connections.
///
/// An address listed by two slices counts once, and counts if either listing is taken.
fn ready_or_draining(
    listed: &[Listed<'_>],
    takes: impl Fn(&Endpoint) -> bool,
    drains: impl Fn(&Endpoint) -> bool,
) -> Arc<[EndpointAddress]> {
    let those = |accept: &dyn Fn(&Endpoint) -> bool| -> BTreeSet<EndpointAddress> {
        let accepted = listed.iter().filter(|(_, endpoint)| accept(endpoint));
        accepted.map(|(address, _)| *address).collect()
    };
    let mut found = those(&|e| e.ready && takes(e));
    if found.is_empty() {
        found = those(&|e| e.serving && e.terminating && drains(e));
    }
    found.into_iter().collect()
}

fn is_on(endpoint: &Endpoint, node: &str) -> bool {
    endpoint.node.as_deref() == Some(node)
}

/// Every endpoint of `family` behind `port`: a slice's port of the same name and protocol says
/// the number.
pub(super) fn listed<'a>(
    slices: &'a [EndpointSlice],
    family: Family,
    port: &ServicePort,
) -> Vec<Listed<'a>> {
    let mut listed = Vec::new();
    for slice in slices.iter().filter(|slice| slice.family == family) {
        let offers = slice
            .ports
            .iter()
            .filter(|offer| offer.name == port.name && offer.protocol == port.protocol);
        for offer in offers {
            listed.extend(slice.endpoints.iter().map(|endpoint| {
                let address = EndpointAddress {
                    address: endpoint.address,
                    port: offer.port,
                };
                (address, endpoint)
            }));
        }
    }
    listed
}

/// The hints that this node obeys.
enum Hint<'a> {
    None,
    Node(&'a str),
    Zone(&'a str),
}

impl<'a> Hint<'a> {
    /// Hints hold only if every ready endpoint has one of their kind and one is for us; those for
    /// nodes come before those for zones.
    fn obeyed(listed: &[Listed<'_>], node: &'a str, zone: Option<&'a str>) -> Self {
        let ready = || listed.iter().map(|(_, e)| *e).filter(|e| e.ready);
        let hold = |names: fn(&Hints) -> &[Arc<str>], own: &str| {
            let all = ready().all(|e| e.hints.as_deref().is_some_and(|h| !names(h).is_empty()));
            all && ready().any(|e| has(e, names, own))
        };
        match zone {
            _ if hold(|hints| &hints.nodes, node) => Self::Node(node),
            Some(zone) if hold(|hints| &hints.zones, zone) => Self::Zone(zone),
            _ => Self::None,
        }
    }

    fn takes(&self, endpoint: &Endpoint) -> bool {
        match self {
            Self::None => true,
            Self::Node(node) => has(endpoint, |hints| &hints.nodes, node),
            Self::Zone(zone) => has(endpoint, |hints| &hints.zones, zone),
        }
    }
}

fn has(endpoint: &Endpoint, names: fn(&Hints) -> &[Arc<str>], wanted: &str) -> bool {
    let hints = endpoint.hints.as_deref();
    hints.is_some_and(|hints| names(hints).iter().any(|name| &**name == wanted))
}

/// The number of ready endpoints of `service` on `node`, whatever their ports: what a load
/// balancer is told. A pod with an address of each family counts once.
pub fn local_ready(index: &ClusterIndex, service: &ServiceName, node: &str) -> usize {
    let of = |family| {
        let slices = index.slices(service).iter().filter(|s| s.family == family);
        let here = slices
            .flat_map(|slice| &slice.endpoints)
            .filter(|e| e.ready && is_on(e, node));
        here.map(|e| e.address).collect::<BTreeSet<IpAddr>>().len()
    };
    of(Family::V4).max(of(Family::V6))
}
