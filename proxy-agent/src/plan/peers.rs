//! The ways to the other nodes' pods, peer by peer: through the peer's node address where that is
//! on a link of this node, through a VXLAN tunnel where it is not.
//!
//! Through a tunnel also goes what pods send to the peer's node addresses: what is between the
//! nodes need not let pods' addresses pass.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use clap::ValueEnum;
use cluster_model::Node;
use ipnet::IpNet;
use proxy_abi::ownership::{TUNNEL_V4, TUNNEL_V6, TUNNEL_VNI};

use super::interfaces::{Interface, Interfaces, smallest_mtu};
use super::mac::Mac;
use super::routes::{Destination, Routes, Table, Via};
use super::tunnels::{Device, Tunnel, Tunnels};

/// Bytes that a tunnel adds: an Ethernet, a VXLAN, a UDP and an IPv4 header (RFC 7348 section 5).
const OVERHEAD_V4: u32 = 14 + 8 + 8 + 20;
/// The same with an IPv6 header.
const OVERHEAD_V6: u32 = 14 + 8 + 8 + 40;
/// The least that a link of IPv6 must carry (RFC 8200 section 5).
const LEAST_V6: u32 = 1280;

/// How other nodes' pods are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Routing {
    /// Through the node address where that is on-link, else by VXLAN.
    #[default]
    Auto,
    /// Through node addresses on-link only.
    Direct,
    /// By VXLAN only.
    Vxlan,
}

/// What the ways follow from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Every node, this one among them.
    pub nodes: &'a [Node],
    /// This node.
    pub own: &'a Node,
    /// Every interface of this node.
    pub interfaces: &'a Interfaces,
    /// The uplinks among them.
    pub uplinks: &'a [Interface],
    /// As the options say.
    pub routing: Routing,
    /// UDP port of VXLAN.
    pub port: u16,
}

/// The ways to all peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Routes.
    pub routes: Routes,
    /// The node's own pod CIDRs whose packets to node addresses may need a tunnel.
    pub rules: BTreeSet<IpNet>,
    /// Tunnels.
    pub tunnels: Tunnels,
}

/// A peer whose pods cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// The peer's addresses are on no link of this node, and a tunnel is not allowed.
    NotOnLink {
        /// The peer.
        node: String,
    },
    /// Between peer and node there cannot be a tunnel.
    NoFamily {
        /// The peer.
        node: String,
    },
    /// Another node has the pod CIDR.
    Taken {
        /// The peer.
        node: String,
        /// What it has in common with another.
        cidr: IpNet,
    },
}

/// The ways to every peer, and the peers to which there is none.
#[must_use]
pub fn ways(facts: &Facts<'_>) -> (Ways, Vec<Unreachable>) {
    let (mut ways, mut unreachable) = (Ways::default(), Vec::new());
    for peer in facts
        .nodes
        .iter()
        .filter(|peer| peer.name != facts.own.name)
    {
        for cidr in peer.pod_cidrs.iter().map(IpNet::trunc) {
            let taken = facts.own.pod_cidrs.iter().any(|own| own.trunc() == cidr);
            if taken || ways.routes.contains_key(&Destination::main(cidr)) {
                let node = peer.name.to_string();
                unreachable.push(Unreachable::Taken { node, cidr });
            } else if let Some(via) = facts.directly(peer, cidr) {
                ways.routes.insert(Destination::main(cidr), via);
            } else if facts.routing == Routing::Direct {
                let node = peer.name.to_string();
                unreachable.push(Unreachable::NotOnLink { node });
            } else if let Some((local, remote)) = facts.outer(peer) {
                ways.tunnel(facts, peer, cidr, (local, remote));
            } else {
                let node = peer.name.to_string();
                unreachable.push(Unreachable::NoFamily { node });
            }
        }
    }
    (ways, unreachable)
}

impl Facts<'_> {
    fn directly(&self, peer: &Node, cidr: IpNet) -> Option<Via> {
        if self.routing == Routing::Vxlan {
            return None;
        }
        let same = |address: &&IpAddr| address.is_ipv4() == cidr.addr().is_ipv4();
        peer.addresses.iter().filter(same).find_map(|address| {
            let uplink = self
                .uplinks
                .iter()
                .find(|uplink| uplink.reaches(*address))?;
            Some(Via {
                gateway: *address,
                interface: uplink.name.clone(),
                source: None,
            })
        })
    }

    /// The two ends of a tunnel. Both nodes must choose the same family: IPv4 if both have it.
    fn outer(&self, peer: &Node) -> Option<(IpAddr, IpAddr)> {
        [true, false].into_iter().find_map(|v4| {
            let remote = peer.addresses.iter().find(|one| one.is_ipv4() == v4)?;
            Some((self.held(v4)?, *remote))
        })
    }

    /// This node's own address of a family, if an interface has it.
    fn held(&self, v4: bool) -> Option<IpAddr> {
        let mut own = self.own.addresses.iter().copied();
        own.find(|own| own.is_ipv4() == v4 && self.interfaces.values().any(|one| one.holds(*own)))
    }

    fn new_tunnel(&self, local: IpAddr) -> Tunnel {
        let overhead = if local.is_ipv4() {
            OVERHEAD_V4
        } else {
            OVERHEAD_V6
        };
        let room = smallest_mtu(self.uplinks).saturating_sub(overhead);
        let v6 = self.own.pod_cidrs.iter().any(|cidr| !cidr.addr().is_ipv4());
        let mtu = if v6 { room.max(LEAST_V6) } else { room };
        Tunnel {
            device: Device {
                vni: TUNNEL_VNI,
                port: self.port,
                local: Some(local),
                mac: Mac::of_node(&self.own.name),
                learns: false,
                fragments: room < mtu,
            },
            mtu,
            up: true,
            neighbours: Default::default(),
            outer: Default::default(),
        }
    }
}

impl Ways {
    fn tunnel(&mut self, facts: &Facts<'_>, peer: &Node, cidr: IpNet, ends: (IpAddr, IpAddr)) {
        let (local, remote) = ends;
        let v4 = cidr.addr().is_ipv4();
        let name = if local.is_ipv4() {
            TUNNEL_V4
        } else {
            TUNNEL_V6
        };
        let mac = Mac::of_node(&peer.name);
        // Nobody has either address; of a pod CIDR no pod has the first.
        let gateway = match cidr {
            IpNet::V4(_) => cidr.network(),
            IpNet::V6(_) => mac.link_local().into(),
        };
        let tunnels = self.tunnels.entry(name.into());
        let tunnel = tunnels.or_insert_with(|| facts.new_tunnel(local));
        tunnel.outer.insert(mac, remote);
        tunnel.neighbours.insert(gateway, mac);
        let via = |source| Via {
            gateway,
            interface: name.into(),
            source,
        };
        let to_pods = via(facts.held(v4));
        self.routes.insert(Destination::main(cidr), to_pods);
        let own_pods = facts.own.pod_cidrs.iter().map(IpNet::trunc);
        let own_pods: Vec<IpNet> = own_pods.filter(|own| own.addr().is_ipv4() == v4).collect();
        if own_pods.is_empty() {
            return;
        }
        for address in peer.addresses.iter().filter(|one| one.is_ipv4() == v4) {
            let to_node = Destination {
                table: Table::Tunnel,
                cidr: IpNet::from(*address),
            };
            self.routes.insert(to_node, via(None));
            self.rules.extend(own_pods.iter().copied());
        }
    }

    /// Bytes of the largest packet of a pod.
    #[must_use]
    pub fn mtu(&self, uplinks: &[Interface]) -> u32 {
        let tunnels = self.tunnels.values().map(|tunnel| tunnel.mtu);
        tunnels
            .chain([smallest_mtu(uplinks)])
            .min()
            .unwrap_or_default()
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOnLink { node } => write!(
                out,
                "no address of node {node} is on a link of this node, so its pods cannot be \
                 reached without VXLAN (--routing auto)"
            ),
            Self::NoFamily { node } => write!(
                out,
                "node {node} and this node have no address of the same family, so its pods \
                 cannot be reached"
            ),
            Self::Taken { node, cidr } => write!(
                out,
                "the pod CIDR {cidr} of node {node} is another node's too, which keeps it"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
