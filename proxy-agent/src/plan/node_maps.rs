//! What the programs must know of the node and its cluster: the maps `node_addresses`, `inside`,
//! `uplinks` and `this_node`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use cluster_model::Node;
use ipnet::IpNet;
use proxy_abi::{Cidr, Inside, Ip, NodeAddress, ThisNode, Uplink};

use super::interfaces::{Interface, Interfaces, is_link_local};
use super::ports::Ports;

/// Where packets of pods always go as they are: multicast and what is of one link.
const NEVER_OUTSIDE: [&str; 4] = ["224.0.0.0/4", "ff00::/8", "169.254.0.0/16", "fe80::/10"];

/// The contents of the four maps: wanted, or observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeMaps {
    /// `node_addresses`.
    pub addresses: BTreeMap<Ip, NodeAddress>,
    /// `inside`.
    pub inside: BTreeMap<Cidr, Inside>,
    /// `uplinks`.
    pub uplinks: BTreeMap<u32, Uplink>,
    /// `this_node`.
    pub this: ThisNode,
}

/// With what addresses and ports packets of pods leave the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masquerade {
    /// The ports; `None`: nothing is masqueraded.
    pub ports: Option<Ports>,
    /// Prefixes to which packets go with the pod's own address.
    pub exclude: Vec<IpNet>,
}

/// What the contents follow from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Every interface of this node.
    pub interfaces: &'a Interfaces,
    /// The uplinks among them.
    pub uplinks: &'a [Interface],
    /// Every node, this one among them.
    pub nodes: &'a [Node],
    /// This node.
    pub own: &'a Node,
    /// Where cluster IPs come from; empty where nobody knows.
    pub service_cidrs: &'a [IpNet],
    /// The addresses at which NodePorts answer.
    pub node_ports: &'a [IpAddr],
    /// As the options say.
    pub masquerade: &'a Masquerade,
    /// The node itself, as the kernel and the options say.
    pub this: ThisNode,
}

/// One change of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Enters an address of this node.
    PutAddress(Ip, NodeAddress),
    /// Removes one.
    RemoveAddress(Ip),
    /// Enters a prefix inside.
    PutInside(Cidr, Inside),
    /// Removes one.
    RemoveInside(Cidr),
    /// Enters an uplink.
    PutUplink(u32, Uplink),
    /// Removes one.
    RemoveUplink(u32),
    /// Says what the node is.
    PutThis(ThisNode),
}

/// What the maps should hold.
#[must_use]
pub fn wanted(facts: &Facts<'_>) -> NodeMaps {
    let uplinks = facts.uplinks.iter();
    NodeMaps {
        addresses: addresses(facts),
        inside: inside(facts),
        uplinks: uplinks
            .map(|interface| (interface.ifindex, uplink(interface, facts)))
            .collect(),
        this: facts.this,
    }
}

fn addresses(facts: &Facts<'_>) -> BTreeMap<Ip, NodeAddress> {
    let interfaces = facts.interfaces.values();
    interfaces
        .filter(|interface| !interface.is_pods())
        .flat_map(|interface| &interface.addresses)
        .map(IpNet::addr)
        .filter(|address| address.is_ipv4() || !is_link_local(*address))
        .map(|address| {
            let node_ports = facts.node_ports.contains(&address);
            (Ip::from(address), NodeAddress::new(node_ports))
        })
        .collect()
}

fn inside(facts: &Facts<'_>) -> BTreeMap<Cidr, Inside> {
    let never = NEVER_OUTSIDE.iter().filter_map(|text| text.parse().ok());
    let of_nodes = facts.nodes.iter().flat_map(|node| {
        let addresses = node.addresses.iter().copied().map(IpNet::from);
        node.pod_cidrs.iter().copied().chain(addresses)
    });
    let excluded = facts.masquerade.exclude.iter().copied();
    let cluster = never.chain(of_nodes).chain(excluded);
    let cluster = cluster.map(|net| (cidr(net), Inside::CLUSTER));
    let services = facts.service_cidrs.iter();
    let services = services.map(|net| (cidr(*net), Inside::SERVICES));
    cluster.chain(services).collect()
}

/// A prefix as the map has it: an IPv4 one as part of the mapped addresses.
fn cidr(net: IpNet) -> Cidr {
    let before = match net {
        IpNet::V4(_) => 96,
        IpNet::V6(_) => 0,
    };
    Cidr {
        bits: before + u32::from(net.prefix_len()),
        address: Ip::from(net.network()),
    }
}

fn uplink(interface: &Interface, facts: &Facts<'_>) -> Uplink {
    let Some(Ports { first, last }) = facts.masquerade.ports else {
        return Uplink::default();
    };
    let address = |v4| {
        let mut own = facts.own.addresses.iter().copied();
        let own = own.find(|own| own.is_ipv4() == v4 && interface.holds(*own));
        let global = || {
            let mut all = interface.addresses.iter().map(IpNet::addr);
            all.find(|any| any.is_ipv4() == v4 && !is_link_local(*any))
        };
        own.or_else(global).map(Ip::from).unwrap_or_default()
    };
    Uplink {
        v4: address(true),
        v6: address(false),
        first_port: first,
        last_port: last,
    }
}

/// What leads from the observed contents to the wanted ones: first what is entered, so that
/// nothing is outside for a moment.
#[must_use]
pub fn diff(observed: &NodeMaps, wanted: &NodeMaps) -> Vec<Operation> {
    let mut operations = Vec::new();
    if observed.this != wanted.this {
        operations.push(Operation::PutThis(wanted.this));
    }
    let new = wanted
        .addresses
        .iter()
        .filter(|(address, value)| observed.addresses.get(address) != Some(value));
    operations.extend(new.map(|(address, value)| Operation::PutAddress(*address, *value)));
    let new = wanted
        .inside
        .iter()
        .filter(|(cidr, whose)| observed.inside.get(cidr) != Some(whose));
    operations.extend(new.map(|(cidr, whose)| Operation::PutInside(*cidr, *whose)));
    let new = wanted
        .uplinks
        .iter()
        .filter(|(index, value)| observed.uplinks.get(index) != Some(value));
    operations.extend(new.map(|(index, value)| Operation::PutUplink(*index, *value)));
    let old = observed.addresses.keys();
    let old = old.filter(|address| !wanted.addresses.contains_key(address));
    operations.extend(old.copied().map(Operation::RemoveAddress));
    let old = observed.inside.keys();
    let old = old.filter(|cidr| !wanted.inside.contains_key(cidr));
    operations.extend(old.copied().map(Operation::RemoveInside));
    let old = observed.uplinks.keys();
    let old = old.filter(|index| !wanted.uplinks.contains_key(index));
    operations.extend(old.copied().map(Operation::RemoveUplink));
    operations
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutAddress(address, flags) => {
                write!(out, "enter {} as an address of this node", text(address))?;
                match flags.node_ports() {
                    true => write!(out, ", with NodePorts"),
                    false => Ok(()),
                }
            }
            Self::RemoveAddress(address) => {
                write!(out, "{} is no address of this node any more", text(address))
            }
            Self::PutInside(cidr, Inside::SERVICES) => {
                write!(out, "{} is of cluster IPs", Shown(cidr))
            }
            Self::PutInside(cidr, _) => write!(out, "{} is inside the cluster", Shown(cidr)),
            Self::RemoveInside(cidr) => {
                write!(out, "{} is no more inside the cluster", Shown(cidr))
            }
            Self::PutUplink(index, uplink) => {
                let Uplink { v4, v6, .. } = uplink;
                let (first, last) = (uplink.first_port, uplink.last_port);
                let list: Vec<String> = [v4, v6]
                    .into_iter()
                    .filter(|address| **address != Ip::default())
                    .map(text)
                    .collect();
                match list.is_empty() {
                    true => write!(out, "uplink {index} masquerades nothing"),
                    false => write!(
                        out,
                        "uplink {index} masquerades with {}, ports {first} to {last}",
                        list.join(" and ")
                    ),
                }
            }
            Self::RemoveUplink(index) => write!(out, "interface {index} is no uplink any more"),
            Self::PutThis(this) => {
                let socket_path = if this.socket_path() { "on" } else { "off" };
                write!(
                    out,
                    "this node's network namespace is {}, the socket path {socket_path}",
                    this.netns_cookie
                )
            }
        }
    }
}

fn text(address: &Ip) -> String {
    IpAddr::from(*address).to_string()
}

/// A prefix in people's form.
struct Shown<'a>(&'a Cidr);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cidr { bits, address } = self.0;
        match address.as_v4() {
            Some(_) if *bits >= 96 => write!(out, "{}/{}", text(address), bits - 96),
            _ => write!(out, "{}/{bits}", text(address)),
        }
    }
}

#[cfg(test)]
mod tests;
