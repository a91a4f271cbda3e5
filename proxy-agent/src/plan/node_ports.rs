//! At which of the node's addresses NodePorts answer.

use std::net::IpAddr;

use cluster_model::NodePortAddresses;
use ipnet::IpNet;

use super::interfaces::{Interfaces, is_link_local};

/// `--nodeport-addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePortRule {
    /// The Node object's first address of each family.
    Primary,
    /// The addresses of the node's interfaces within these.
    Within(Vec<IpNet>),
}

/// Reads `primary` or CIDRs with commas between.
///
/// # Errors
/// In words, for the command line.
pub fn parse(text: &str) -> Result<NodePortRule, String> {
    if text == "primary" {
        return Ok(NodePortRule::Primary);
    }
    let cidrs = text.split(',').map(|cidr| cidr.trim().parse());
    match cidrs.collect::<Result<Vec<IpNet>, _>>() {
        Ok(cidrs) => Ok(NodePortRule::Within(cidrs)),
        Err(_) => Err("expected `primary` or CIDRs with commas between".into()),
    }
}

impl NodePortRule {
    /// What it comes to on a node with these interfaces. Never an address of loopback (packets
    /// from there have no way back) or of one link only.
    #[must_use]
    pub fn addresses(&self, interfaces: &Interfaces) -> NodePortAddresses {
        let Self::Within(cidrs) = self else {
            return NodePortAddresses::Primary;
        };
        let able = |address: &IpAddr| !address.is_loopback() && !is_link_local(*address);
        let within = |address: &IpAddr| cidrs.iter().any(|cidr| cidr.contains(address));
        let own = interfaces.values().filter(|one| !one.is_pods());
        let addresses = own.flat_map(|one| &one.addresses).map(IpNet::addr);
        let mut these: Vec<IpAddr> = addresses.filter(able).filter(within).collect();
        these.sort();
        these.dedup();
        NodePortAddresses::These(these)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::interfaces::Interface;

    fn interfaces() -> Interfaces {
        let one = |name: &str, addresses: &[&str]| Interface {
            name: name.into(),
            addresses: addresses
                .iter()
                .map(|a| a.parse().expect("a net"))
                .collect(),
            ..Interface::default()
        };
        let all = [
            one("lo", &["127.0.0.1/8", "::1/128"]),
            one("eth0", &["172.30.0.11/24", "fd30::11/64", "fe80::1/64"]),
            one("eth1", &["10.0.0.11/24"]),
            one("fn0123456789ab", &["10.0.0.99/32"]),
        ];
        all.map(|one| (one.name.clone(), one)).into()
    }

    #[test]
    fn a_rule_chooses_addresses() {
        let these = |list: &[&str]| {
            NodePortAddresses::These(list.iter().map(|a| a.parse().expect("an ip")).collect())
        };
        let rows = [
            ("primary", NodePortAddresses::Primary),
            ("10.0.0.0/8", these(&["10.0.0.11"])),
            (
                "172.30.0.0/16, fd30::/16",
                these(&["172.30.0.11", "fd30::11"]),
            ),
            ("0.0.0.0/0", these(&["10.0.0.11", "172.30.0.11"])),
            ("::/0", these(&["fd30::11"])),
            ("192.0.2.0/24", these(&[])),
        ];
        for (rule, wanted) in rows {
            let rule = parse(rule).expect("a rule");
            assert_eq!(rule.addresses(&interfaces()), wanted, "{rule:?}");
        }
        for wrong in ["", "all", "10.0.0.1/99", "primary,10.0.0.0/8"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
