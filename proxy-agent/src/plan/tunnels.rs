//! VXLAN devices to the nodes that are not on a link of this one: what they are, and whom they
//! know.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::mac::Mac;

/// What cannot be changed of a VXLAN device but by making it anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Network identifier.
    pub vni: u32,
    /// UDP port.
    pub port: u16,
    /// This node's address outside; its family is that of the outer packets.
    pub local: Option<IpAddr>,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Whether it learns addresses from what comes.
    pub learns: bool,
    /// Whether outer packets may be fragmented on their way. If not, they may where the inner
    /// packet may.
    pub fragments: bool,
}

/// A tunnel device and its tables: wanted, or observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// The device.
    pub device: Device,
    /// Bytes of the largest inner packet.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Next hops on it, and their Ethernet addresses.
    pub neighbours: BTreeMap<IpAddr, Mac>,
    /// Where the outer packets for an Ethernet address go.
    pub outer: BTreeMap<Mac, IpAddr>,
}

impl Tunnel {
    /// Whether outer packets would have to be fragmented that cannot be: a node never fragments
    /// outer packets of IPv6.
    #[must_use]
    pub fn is_too_narrow(&self) -> bool {
        self.device.fragments && self.device.local.is_some_and(|local| local.is_ipv6())
    }
}

/// Tunnels by the name of their device.
pub type Tunnels = BTreeMap<String, Tunnel>;

/// One change of the tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes a device.
    Create(String, Device, u32),
    /// Has a device work.
    SetUp(String),
    /// Sets a device's MTU.
    SetMtu(String, u32),
    /// Removes a device, and all that hangs on it.
    Delete(String),
    /// Says where the outer packets for an Ethernet address go.
    PutOuter(String, Mac, IpAddr),
    /// Forgets that.
    RemoveOuter(String, Mac, IpAddr),
    /// Says a next hop's Ethernet address.
    PutNeighbour(String, IpAddr, Mac),
    /// Forgets that.
    RemoveNeighbour(String, IpAddr),
}

/// What leads from one state of the tunnels to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What routes and programs need. Comes before them.
    pub first: Vec<Operation>,
    /// What nothing needs any more. Comes after them.
    pub last: Vec<Operation>,
    /// Devices that are made anew: what hung on them goes with them.
    pub remade: BTreeSet<String>,
}

/// What leads from the observed tunnels to the wanted ones.
#[must_use]
pub fn diff(observed: &Tunnels, wanted: &Tunnels) -> Changes {
    let mut changes = Changes::default();
    for (name, tunnel) in wanted {
        let known = observed.get(name);
        let same = known.filter(|known| known.device == tunnel.device);
        if same.is_none() {
            if known.is_some() {
                changes.first.push(Operation::Delete(name.clone()));
                changes.remade.insert(name.clone());
            }
            let create = Operation::Create(name.clone(), tunnel.device, tunnel.mtu);
            changes.first.push(create);
        }
        if same.is_some_and(|known| known.mtu != tunnel.mtu) {
            let set = Operation::SetMtu(name.clone(), tunnel.mtu);
            changes.first.push(set);
        }
        if same.is_none_or(|known| !known.up) {
            changes.first.push(Operation::SetUp(name.clone()));
        }
        put(&mut changes, name, same, tunnel);
        if let Some(known) = same {
            remove(&mut changes, name, known, tunnel);
        }
    }
    let unused = observed.keys().filter(|name| !wanted.contains_key(*name));
    changes.last.extend(unused.cloned().map(Operation::Delete));
    changes
}

fn put(changes: &mut Changes, name: &str, known: Option<&Tunnel>, wanted: &Tunnel) {
    let has =
        |mac: &Mac, outer: &IpAddr| known.is_some_and(|known| known.outer.get(mac) == Some(outer));
    let new = wanted.outer.iter().filter(|(mac, outer)| !has(mac, outer));
    let new = new.map(|(mac, outer)| Operation::PutOuter(name.into(), *mac, *outer));
    changes.first.extend(new);
    let has =
        |hop: &IpAddr, mac: &Mac| known.is_some_and(|known| known.neighbours.get(hop) == Some(mac));
    let new = wanted.neighbours.iter().filter(|(hop, mac)| !has(hop, mac));
    let new = new.map(|(hop, mac)| Operation::PutNeighbour(name.into(), *hop, *mac));
    changes.first.extend(new);
}

fn remove(changes: &mut Changes, name: &str, known: &Tunnel, wanted: &Tunnel) {
    let old = known.neighbours.keys();
    let old = old.filter(|hop| !wanted.neighbours.contains_key(hop));
    let old = old.map(|hop| Operation::RemoveNeighbour(name.into(), *hop));
    changes.last.extend(old);
    let old = known.outer.iter();
    let old = old.filter(|(mac, _)| !wanted.outer.contains_key(mac));
    let old = old.map(|(mac, outer)| Operation::RemoveOuter(name.into(), *mac, *outer));
    changes.last.extend(old);
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(name, device, mtu) => {
                write!(
                    out,
                    "make tunnel {name} of {mtu} bytes, UDP port {}",
                    device.port
                )?;
                device
                    .local
                    .map_or(Ok(()), |local| write!(out, ", from {local}"))
            }
            Self::SetUp(name) => write!(out, "set tunnel {name} up"),
            Self::SetMtu(name, mtu) => write!(out, "set the MTU of tunnel {name} to {mtu}"),
            Self::Delete(name) => write!(out, "remove tunnel {name}"),
            Self::PutOuter(name, mac, outer) => write!(out, "{name}: {mac} is at {outer}"),
            Self::RemoveOuter(name, mac, _) => write!(out, "{name}: {mac} is nowhere"),
            Self::PutNeighbour(name, hop, mac) => write!(out, "{name}: {hop} has {mac}"),
            Self::RemoveNeighbour(name, hop) => write!(out, "{name}: {hop} is nobody's"),
        }
    }
}

#[cfg(test)]
mod tests {
    use cluster_model::testing::ip;

    use super::*;

    fn tunnel(outer: &[(&str, &str)]) -> Tunnel {
        let outer = outer
            .iter()
            .map(|(node, outer)| (Mac::of_node(node), ip(outer)));
        let outer: BTreeMap<Mac, IpAddr> = outer.collect();
        Tunnel {
            device: Device {
                vni: 7,
                port: 8472,
                local: Some(ip("172.30.1.11")),
                ..Device::default()
            },
            mtu: 1450,
            up: true,
            neighbours: outer
                .keys()
                .map(|mac| (mac.link_local().into(), *mac))
                .collect(),
            outer,
        }
    }

    fn tunnels(tunnel: Tunnel) -> Tunnels {
        Tunnels::from([("t".to_owned(), tunnel)])
    }

    fn lines(operations: &[Operation]) -> Vec<String> {
        let short = |operation: &Operation| {
            let text = operation.to_string();
            text.replace(&Mac::of_node("a").to_string(), "A")
                .replace(&Mac::of_node("b").to_string(), "B")
                .replace(&Mac::of_node("a").link_local().to_string(), "hop A")
                .replace(&Mac::of_node("b").link_local().to_string(), "hop B")
        };
        operations.iter().map(short).collect()
    }

    #[test]
    fn a_new_tunnel_is_made_and_an_unused_one_goes_last() {
        let one = tunnels(tunnel(&[("a", "172.30.2.12")]));
        let changes = diff(&Tunnels::new(), &one);
        assert_eq!(
            lines(&changes.first),
            [
                "make tunnel t of 1450 bytes, UDP port 8472, from 172.30.1.11",
                "set tunnel t up",
                "t: A is at 172.30.2.12",
                "t: hop A has A",
            ]
        );
        assert!(changes.last.is_empty() && changes.remade.is_empty());
        assert_eq!(diff(&one, &one), Changes::default());
        let changes = diff(&one, &Tunnels::new());
        assert_eq!(changes.first, []);
        assert_eq!(lines(&changes.last), ["remove tunnel t"]);
    }

    #[test]
    fn peers_come_move_and_go_one_by_one() {
        let before = tunnels(tunnel(&[("a", "172.30.2.12")]));
        let mut after = tunnel(&[("b", "172.30.3.13")]);
        after.mtu = 1330;
        let changes = diff(&before, &tunnels(after));
        assert_eq!(
            lines(&changes.first),
            [
                "set the MTU of tunnel t to 1330",
                "t: B is at 172.30.3.13",
                "t: hop B has B",
            ]
        );
        assert_eq!(
            lines(&changes.last),
            ["t: hop A is nobody's", "t: A is nowhere"]
        );
        let moved = tunnels(tunnel(&[("a", "172.30.2.99")]));
        let changes = diff(&before, &moved);
        assert_eq!(lines(&changes.first), ["t: A is at 172.30.2.99"]);
        assert_eq!(changes.last, []);
    }

    #[test]
    fn another_device_of_the_name_is_made_anew_with_all_that_hangs_on_it() {
        let wanted = tunnels(tunnel(&[("a", "172.30.2.12")]));
        let mut other = tunnel(&[("a", "172.30.2.12")]);
        other.device.learns = true;
        let changes = diff(&tunnels(other), &wanted);
        assert_eq!(lines(&changes.first)[0], "remove tunnel t");
        assert_eq!(changes.first.len(), 5);
        assert_eq!(changes.last, []);
        assert!(changes.remade.contains("t"));
    }
}
