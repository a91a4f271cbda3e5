//! What one node makes of a Service: its frontends, and behind each the endpoints that take
//! traffic.
//!
//! The rules are those of kube-proxy in its nftables mode (`pkg/proxy/topology.go` and
//! `pkg/proxy/nftables/proxier.go`): `endpoints` chooses among a Service's endpoints, this file
//! says which choice stands behind which address. Pure.

mod endpoints;
mod fate;
mod here;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::index::ClusterIndex;
use crate::name::{Family, Protocol, ServiceName};
use crate::object::{Service, ServiceKind, ServicePort, TrafficPolicy};

pub use endpoints::local_ready;
pub use fate::{Candidate, Fate, Nobody, candidates, nobody, unserved};
pub use here::{Here, NodePortAddresses};

use endpoints::Choice;

/// An address and port at which a Service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    /// The address that clients dial.
    pub address: IpAddr,
    /// The port that clients dial, host byte order.
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

/// What an address is to the Service. The order is that of claims: where two Services want one
/// frontend, the lower kind has it, so that nobody takes another's cluster IP by calling it his
/// external IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrontendKind {
    /// One of `clusterIPs`.
    ClusterIp,
    /// An address of the load balancer.
    LoadBalancer,
    /// An address of this node, at the node port.
    NodePort,
    /// One of `externalIPs`.
    ExternalIp,
}

/// The endpoints behind a frontend, for clients of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Sorted and without duplicates. Frontends of one port share equal lists.
    pub endpoints: Arc<[EndpointAddress]>,
    /// With no endpoint here: whether there are some elsewhere that the traffic policy forbids.
    /// Packets are dropped then; otherwise they are refused.
    pub forbidden: bool,
}

/// How a frontend answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What its address is to the Service.
    pub kind: FrontendKind,
    /// For clients on this node: its pods and its own processes.
    pub inside: Behind,
    /// For clients whose packets come from the network.
    pub outside: Behind,
    /// Whether clients from outside get the node's address on their way to an endpoint on another
    /// node.
    pub masquerade: bool,
    /// Whether only clients in the port's source ranges are served.
    pub limited: bool,
    /// Whether the node would ask its neighbours for the address ([`Here::on_link`]).
    pub on_link: bool,
}

/// One port of a Service as this node serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortView {
    /// The port's name, empty for the single unnamed port.
    pub name: Box<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Seconds for which a client stays on its endpoint; 0: not.
    pub affinity_seconds: u32,
    /// Who may use the frontends that are [`Answer::limited`].
    pub source_ranges: Vec<IpNet>,
    /// Where it answers.
    pub frontends: BTreeMap<Frontend, Answer>,
}

/// The ports of `service` as seen from `here`, each with its frontends.
///
/// A frontend with no endpoint is there with empty lists. A Service that is headless, an
/// ExternalName, another proxy's or unknown has no ports, and a port without an address none
/// either. The cost is that of this Service's own slices, whatever else the index holds.
pub fn ports_of(index: &ClusterIndex, service: &ServiceName, here: &Here) -> Vec<PortView> {
    let Some(service) = index.service(service).filter(|service| is_ours(service)) else {
        return Vec::new();
    };
    let place = Place::new(index, service, here);
    let ports = service.ports.iter().map(|port| place.port(port));
    ports.filter(|view| !view.frontends.is_empty()).collect()
}

/// Whether this proxy serves the Service at all.
pub fn is_ours(service: &Service) -> bool {
    !service.other_proxy && service.kind == ServiceKind::ClusterIp
}

/// A Service and the node from which it is seen.
struct Place<'a> {
    index: &'a ClusterIndex,
    service: &'a Service,
    here: &'a Here,
    zone: Option<&'a str>,
    /// Every address of the Service, but those of its node ports.
    addresses: Vec<(FrontendKind, IpAddr)>,
    node_addresses: Vec<IpAddr>,
}

impl<'a> Place<'a> {
    fn new(index: &'a ClusterIndex, service: &'a Service, here: &'a Here) -> Self {
        let node = index.node(&here.node);
        let of_kind = |kind, list: &'a [IpAddr]| list.iter().map(move |address| (kind, *address));
        let external = match here.external_ips {
            true => &service.external_ips[..],
            false => &[],
        };
        let addresses = of_kind(FrontendKind::ClusterIp, &service.cluster_ips)
            .chain(of_kind(
                FrontendKind::LoadBalancer,
                &service.load_balancer_ips,
            ))
            .chain(of_kind(FrontendKind::ExternalIp, external));
        Self {
            index,
            service,
            here,
            zone: node.and_then(|node| node.zone.as_deref()),
            addresses: addresses.collect(),
            node_addresses: here.node_port_addresses(node),
        }
    }

    fn port(&self, port: &ServicePort) -> PortView {
        let families = [Family::V4, Family::V6].map(|family| (family, self.choice(family, port)));
        let choice = |address| {
            let family = Family::of(address);
            &families[usize::from(family != families[0].0)].1
        };
        let frontend = |address, number| Frontend {
            address,
            port: number,
            protocol: port.protocol,
        };
        let mut frontends = BTreeMap::new();
        for &(kind, address) in &self.addresses {
            // An address that is a load balancer's and an external IP is the balancer's.
            frontends
                .entry(frontend(address, port.port))
                .or_insert_with(|| self.answer(kind, address, choice(address)));
        }
        if let Some(number) = port.node_port {
            for &address in &self.node_addresses {
                let answer = || self.answer(FrontendKind::NodePort, address, choice(address));
                frontends
                    .entry(frontend(address, number))
                    .or_insert_with(answer);
            }
        }
        PortView {
            name: port.name.clone(),
            protocol: port.protocol,
            affinity_seconds: self.service.affinity_seconds.map_or(0, |s| s.get()),
            source_ranges: self.source_ranges(),
            frontends,
        }
    }

    fn choice(&self, family: Family, port: &ServicePort) -> Choice {
        let slices = self.index.slices(&self.service.name);
        Choice::new(slices, family, port, &self.here.node, self.zone)
    }

    /// A client inside the cluster meets the internal policy at the cluster IP and none at the
    /// other frontends: it would come back through the load balancer to a node that has endpoints.
    /// One from outside meets the external policy; that it can dial the cluster IP at all is the
    /// doing of whoever routes Service addresses to nodes, and it is treated as one from inside.
    fn answer(&self, kind: FrontendKind, address: IpAddr, choice: &Choice) -> Answer {
        let cluster = TrafficPolicy::Cluster;
        let (inside, outside) = match kind {
            FrontendKind::ClusterIp => (self.service.internal_policy, self.service.internal_policy),
            _ => (cluster, self.service.external_policy),
        };
        let of_family = |range: &IpNet| Family::of(range.addr()) == Family::of(address);
        Answer {
            kind,
            inside: choice.behind(inside),
            outside: choice.behind(outside),
            masquerade: outside == cluster,
            // kube-proxy sees one family at a time: ranges of one do not close the other.
            limited: kind == FrontendKind::LoadBalancer
                && self.service.source_ranges.iter().any(of_family),
            // The node's own addresses are no neighbours', and cluster IPs are on no link.
            on_link: matches!(kind, FrontendKind::LoadBalancer | FrontendKind::ExternalIp)
                && self.here.on_link.iter().any(|link| link.contains(&address)),
        }
    }

    /// The ranges, and, where this node is in them, the load balancer's own addresses: if an
    /// interface here holds one, it is the source of what the node itself sends there.
    fn source_ranges(&self) -> Vec<IpNet> {
        let ranges = &self.service.source_ranges;
        if ranges.is_empty() || self.service.load_balancer_ips.is_empty() {
            return Vec::new();
        }
        let node = self.index.node(&self.here.node);
        let own = node.map_or(&[][..], |node| &node.addresses);
        let allowed = |family| {
            let mut own = own.iter().filter(|address| Family::of(**address) == family);
            own.next()
                .is_some_and(|own| ranges.iter().any(|range| range.contains(own)))
        };
        let looped = self.service.load_balancer_ips.iter().copied();
        let looped = looped.filter(|address| allowed(Family::of(*address)));
        let mut all: Vec<IpNet> = ranges.to_vec();
        all.extend(looped.map(IpNet::from));
        all.sort();
        all.dedup();
        all
    }
}
