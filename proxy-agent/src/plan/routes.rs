//! Routes to the other nodes' pods: one for each pod CIDR of each peer, through the peer's node
//! address, where that is on-link.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use cluster_model::Node;
use ipnet::IpNet;

use super::interfaces::Interface;

/// A way to one pod CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The peer's node address.
    pub gateway: IpAddr,
    /// Index of the interface on whose link it is.
    pub ifindex: u32,
}

/// Pod CIDR -> way: what is wanted, and what is observed among the routes that carry our
/// protocol number and a gateway. (The CNI plugin's routes to this node's own pods carry the
/// number too, and no gateway.)
pub type Routes = BTreeMap<IpNet, Via>;

/// A peer that no route can lead to yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The peer's addresses are on no link of this node.
    NotOnLink {
        /// The peer.
        node: String,
    },
}

/// One change of the routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Adds a route; fails if somebody else has one to the same CIDR.
    Add(IpNet, Via),
    /// Replaces our route to the same CIDR.
    Replace(IpNet, Via),
    /// Deletes a route.
    Delete(IpNet, Via),
}

/// The routes that node `own` wants, and the peers that it cannot reach so.
#[must_use]
pub fn wanted<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    own: &str,
    uplink: &Interface,
) -> (Routes, Vec<Unreachable>) {
    let (mut routes, mut unreachable) = (Routes::new(), Vec::new());
    for peer in nodes.filter(|node| &*node.name != own) {
        for cidr in &peer.pod_cidrs {
            let gateway = peer.addresses.iter().find(|address| {
                address.is_ipv4() == cidr.addr().is_ipv4() && uplink.reaches(**address)
            });
            match gateway {
                Some(gateway) => {
                    let via = Via {
                        gateway: *gateway,
                        ifindex: uplink.ifindex,
                    };
                    routes.insert(cidr.trunc(), via);
                }
                None => unreachable.push(Unreachable::NotOnLink {
                    node: peer.name.to_string(),
                }),
            }
        }
    }
    (routes, unreachable)
}

/// What leads from the observed routes to the wanted ones: first what is needed, then what is not.
#[must_use]
pub fn diff(observed: &Routes, wanted: &Routes) -> Vec<Operation> {
    let put = wanted
        .iter()
        .filter(|(cidr, via)| observed.get(*cidr) != Some(*via))
        .map(|(cidr, via)| match observed.contains_key(cidr) {
            true => Operation::Replace(*cidr, *via),
            false => Operation::Add(*cidr, *via),
        });
    let delete = observed
        .iter()
        .filter(|(cidr, _)| !wanted.contains_key(*cidr))
        .map(|(cidr, via)| Operation::Delete(*cidr, *via));
    put.chain(delete).collect()
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(cidr, via) | Self::Replace(cidr, via) => {
                write!(
                    out,
                    "route {cidr} via {} on interface {}",
                    via.gateway, via.ifindex
                )
            }
            Self::Delete(cidr, via) => write!(out, "delete route {cidr} via {}", via.gateway),
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOnLink { node } => write!(
                out,
                "no address of node {node} is on a link of this node, so its pods cannot be reached"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use cluster_model::testing::{ip, mk_node};

    use super::*;
    use crate::plan::interfaces::mk_interface;

    fn uplink() -> Interface {
        mk_interface("eth0", 3, &["172.30.0.11/24"])
    }

    fn routes(rows: &[(&str, &str)]) -> Routes {
        rows.iter()
            .map(|(cidr, gateway)| {
                (
                    cidr.parse().unwrap(),
                    Via {
                        gateway: ip(gateway),
                        ifindex: 3,
                    },
                )
            })
            .collect()
    }

    #[test]
    fn every_peer_gets_a_route_and_the_node_itself_none() {
        let nodes = [
            mk_node("node-1")
                .address("172.30.0.11")
                .pod_cidr("10.244.1.0/24"),
            mk_node("node-2")
                .address("172.30.0.12")
                .pod_cidr("10.244.2.0/24"),
            mk_node("node-3")
                .address("172.30.0.13")
                .pod_cidr("10.244.3.0/24"),
        ];
        let (wanted, unreachable) = wanted(nodes.iter(), "node-1", &uplink());
        let expected = routes(&[
            ("10.244.2.0/24", "172.30.0.12"),
            ("10.244.3.0/24", "172.30.0.13"),
        ]);
        assert_eq!(wanted, expected);
        assert!(unreachable.is_empty());
    }

    #[test]
    fn a_peer_on_another_subnet_is_named() {
        let nodes = [mk_node("far")
            .address("192.168.9.9")
            .pod_cidr("10.244.9.0/24")];
        let (wanted, unreachable) = wanted(nodes.iter(), "node-1", &uplink());
        assert!(wanted.is_empty());
        assert_eq!(unreachable, [Unreachable::NotOnLink { node: "far".into() }]);
    }

    #[test]
    fn a_peer_without_a_pod_cidr_yet_wants_nothing() {
        let nodes = [mk_node("new").address("172.30.0.14")];
        let (wanted, unreachable) = wanted(nodes.iter(), "node-1", &uplink());
        assert!(wanted.is_empty() && unreachable.is_empty());
    }

    #[test]
    fn the_diff_adds_replaces_and_deletes() {
        let observed = routes(&[
            ("10.244.2.0/24", "172.30.0.12"),
            ("10.244.3.0/24", "172.30.0.99"),
            ("10.244.4.0/24", "172.30.0.14"),
        ]);
        let wanted = routes(&[
            ("10.244.1.0/24", "172.30.0.11"),
            ("10.244.2.0/24", "172.30.0.12"),
            ("10.244.3.0/24", "172.30.0.13"),
        ]);
        let lines: Vec<String> = diff(&observed, &wanted)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            lines,
            [
                "route 10.244.1.0/24 via 172.30.0.11 on interface 3",
                "route 10.244.3.0/24 via 172.30.0.13 on interface 3",
                "delete route 10.244.4.0/24 via 172.30.0.14",
            ]
        );
        assert!(diff(&wanted, &wanted).is_empty());
    }
}
