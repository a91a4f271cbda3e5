//! The node's interfaces, and which of them are its uplinks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use proxy_abi::ownership::{HOST_INTERFACE_PREFIX, TUNNEL_V4, TUNNEL_V6};

use super::tunnels::Device;

/// An interface of the node's network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Index.
    pub ifindex: u32,
    /// Name.
    pub name: String,
    /// Bytes of the largest IP packet.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whether its packets have Ethernet headers, as our programs need them.
    pub ethernet: bool,
    /// Its own addresses with their prefixes, in the kernel's order.
    pub addresses: Vec<IpNet>,
    /// What it is, if it is a VXLAN device.
    pub vxlan: Option<Device>,
}

/// Interfaces by name.
pub type Interfaces = BTreeMap<String, Interface>;

impl Interface {
    /// Whether it is the host end of a pod's veth.
    #[must_use]
    pub fn is_pods(&self) -> bool {
        is_pods(&self.name)
    }

    /// Whether it is a tunnel of ours.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        is_tunnel(&self.name)
    }

    /// Whether it has this address.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|net| net.addr() == address)
    }

    /// Whether an address is on its link.
    #[must_use]
    pub fn reaches(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|net| net.contains(&address))
    }
}

/// The prefixes in which the node asks its neighbours for an address.
#[must_use]
pub fn on_link(interfaces: &Interfaces) -> Vec<IpNet> {
    let asks = |one: &&Interface| one.ethernet && !one.is_pods() && !one.is_tunnel();
    let nets = interfaces
        .values()
        .filter(asks)
        .flat_map(|one| &one.addresses);
    let shared = |net: &&IpNet| net.prefix_len() < net.max_prefix_len();
    let nets = nets.filter(shared).filter(|net| !is_link_local(net.addr()));
    let mut nets: Vec<IpNet> = nets.map(IpNet::trunc).collect();
    nets.sort();
    nets.dedup();
    nets
}

/// Whether an interface of this name is the host end of a pod's veth.
#[must_use]
pub fn is_pods(name: &str) -> bool {
    let digits = name.strip_prefix(HOST_INTERFACE_PREFIX);
    digits.is_some_and(|rest| rest.len() == 12 && rest.chars().all(|c| c.is_ascii_hexdigit()))
}

/// Whether an interface of this name is a tunnel of ours.
#[must_use]
pub fn is_tunnel(name: &str) -> bool {
    [TUNNEL_V4, TUNNEL_V6].contains(&name)
}

/// Whether an address is of the link alone, and so means nothing without an interface.
#[must_use]
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// The interfaces by which the node is in its network: those that hold one of its node addresses,
/// the first address's first, and those that default routes lead to (`defaults`, by index).
/// Empty unless one holds a node address.
#[must_use]
pub fn uplinks<'a>(
    interfaces: &'a Interfaces,
    node_addresses: &[IpAddr],
    defaults: &BTreeSet<u32>,
) -> Vec<&'a Interface> {
    let possible = |interface: &&Interface| {
        interface.ethernet && !interface.is_pods() && !interface.is_tunnel()
    };
    let holder = |address: &IpAddr| {
        let mut all = interfaces.values().filter(possible);
        all.find(|interface| interface.holds(*address))
    };
    let mut uplinks: Vec<&Interface> = Vec::new();
    let holders = node_addresses.iter().filter_map(holder);
    for interface in holders {
        push_new(&mut uplinks, interface);
    }
    if uplinks.is_empty() {
        return uplinks;
    }
    let others = interfaces.values().filter(possible);
    for interface in others.filter(|interface| defaults.contains(&interface.ifindex)) {
        push_new(&mut uplinks, interface);
    }
    uplinks
}

fn push_new<'a>(uplinks: &mut Vec<&'a Interface>, interface: &'a Interface) {
    if uplinks.iter().all(|known| known.name != interface.name) {
        uplinks.push(interface);
    }
}

/// The smallest MTU of some interfaces.
#[must_use]
pub fn smallest_mtu(interfaces: &[Interface]) -> u32 {
    let mtus = interfaces.iter().map(|interface| interface.mtu);
    mtus.min().unwrap_or_default()
}

/// An interface for tests: `mk_interface("eth0", 3, &["172.30.0.11/24"])`, 1500 bytes, Ethernet.
#[cfg(test)]
pub(crate) fn mk_interface(name: &str, ifindex: u32, addresses: &[&str]) -> Interface {
    let addresses = addresses.iter().map(|net| net.parse().unwrap());
    Interface {
        ifindex,
        name: name.into(),
        mtu: 1500,
        up: true,
        ethernet: true,
        addresses: addresses.collect(),
        vxlan: None,
    }
}

#[cfg(test)]
mod tests {
    use cluster_model::testing::ip;

    use super::*;

    fn all() -> Interfaces {
        let mut tun = mk_interface("tun0", 9, &["10.8.0.2/24"]);
        tun.ethernet = false;
        let all = [
            mk_interface("eth0", 2, &["172.30.0.11/24", "fe80::2/64"]),
            mk_interface("eth1", 3, &["fd00::11/64"]),
            mk_interface("eth2", 4, &["192.168.0.2/24"]),
            mk_interface("fn0123456789ab", 5, &[]),
            mk_interface(TUNNEL_V4, 6, &[]),
            tun,
        ];
        all.map(|one| (one.name.clone(), one)).into()
    }

    fn names(addresses: &[&str], defaults: &[u32]) -> Vec<String> {
        let all = all();
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| ip(text)).collect();
        let defaults = defaults.iter().copied().collect();
        let found = uplinks(&all, &addresses, &defaults);
        found.iter().map(|one| one.name.clone()).collect()
    }

    #[test]
    fn uplinks_hold_node_addresses_or_lead_out() {
        assert_eq!(names(&["172.30.0.11"], &[]), ["eth0"]);
        assert_eq!(names(&["fd00::11", "172.30.0.11"], &[]), ["eth1", "eth0"]);
        assert_eq!(names(&["172.30.0.11"], &[4, 2, 9, 5]), ["eth0", "eth2"]);
        assert_eq!(names(&["192.0.2.1"], &[4]), [""; 0], "nothing is known");
    }

    #[test]
    fn neighbours_are_asked_for_on_shared_links() {
        let nets: Vec<_> = on_link(&all()).iter().map(ToString::to_string).collect();
        assert_eq!(nets, ["172.30.0.0/24", "192.168.0.0/24", "fd00::/64"]);
    }
}
