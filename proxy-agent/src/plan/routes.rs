//! Routes to the other nodes' pods, and the rules that have pods' packets to other nodes looked
//! up in a table of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// A routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// The kernel's main one: for everybody.
    Main,
    /// Ours, for packets of pods to the addresses of nodes behind a tunnel.
    Tunnel,
}

/// What a route is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// In which table it stands.
    pub table: Table,
    /// Where it leads.
    pub cidr: IpNet,
}

impl Destination {
    /// A CIDR in the main table.
    #[must_use]
    pub fn main(cidr: IpNet) -> Self {
        let table = Table::Main;
        Self { table, cidr }
    }
}

/// A way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The next hop: the peer's node address, or what stands for it on a tunnel.
    pub gateway: IpAddr,
    /// Name of the interface on whose link it is.
    pub interface: String,
    /// The address with which the node's own packets leave; `None`: the kernel chooses.
    pub source: Option<IpAddr>,
}

/// What is wanted, and what is observed among the routes that carry our protocol number and a
/// gateway. (The CNI plugin's routes to this node's own pods carry the number too, and no
/// gateway.)
pub type Routes = BTreeMap<Destination, Via>;

/// One change of the routing tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Adds a route; fails if somebody else has one to the same CIDR.
    Add(Destination, Via),
    /// Replaces our route to the same CIDR.
    Replace(Destination, Via),
    /// Deletes a route.
    Delete(Destination, Via),
    /// Has packets from a pod CIDR looked up in our table first.
    AddRule(IpNet),
    /// Removes such a rule.
    DeleteRule(IpNet),
}

/// What leads from the observed routes to the wanted ones: first what is needed, then what is not.
#[must_use]
pub fn diff(observed: &Routes, wanted: &Routes) -> Vec<Operation> {
    let put = wanted
        .iter()
        .filter(|(to, via)| observed.get(*to) != Some(*via))
        .map(|(to, via)| match observed.contains_key(to) {
            true => Operation::Replace(*to, via.clone()),
            false => Operation::Add(*to, via.clone()),
        });
    let delete = observed
        .iter()
        .filter(|(to, _)| !wanted.contains_key(to))
        .map(|(to, via)| Operation::Delete(*to, via.clone()));
    put.chain(delete).collect()
}

/// The same for rules, by the CIDRs that they are for.
#[must_use]
pub fn diff_rules(observed: &BTreeSet<IpNet>, wanted: &BTreeSet<IpNet>) -> Vec<Operation> {
    let add = wanted.difference(observed).copied().map(Operation::AddRule);
    let delete = observed.difference(wanted).copied();
    add.chain(delete.map(Operation::DeleteRule)).collect()
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(to, via) | Self::Replace(to, via) => {
                let Via {
                    gateway,
                    interface,
                    source,
                } = via;
                write!(out, "route {to} via {gateway} on {interface}")?;
                source.map_or(Ok(()), |source| write!(out, ", from {source}"))
            }
            Self::Delete(to, via) => write!(out, "delete route {to} via {}", via.gateway),
            Self::AddRule(cidr) => write!(out, "add the rule for packets of pods in {cidr}"),
            Self::DeleteRule(cidr) => write!(out, "delete the rule for packets of pods in {cidr}"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.table {
            Table::Main => write!(out, "{}", self.cidr),
            Table::Tunnel => write!(out, "{} for pods", self.cidr),
        }
    }
}

#[cfg(test)]
mod tests {
    use cluster_model::testing::ip;

    use super::*;

    fn routes(rows: &[(Table, &str, &str)]) -> Routes {
        let route = |(table, cidr, gateway): &(Table, &str, &str)| {
            let to = Destination {
                table: *table,
                cidr: cidr.parse().unwrap(),
            };
            let via = Via {
                gateway: ip(gateway),
                interface: "eth0".into(),
                source: None,
            };
            (to, via)
        };
        rows.iter().map(route).collect()
    }

    fn lines(operations: &[Operation]) -> Vec<String> {
        operations.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_diff_adds_replaces_and_deletes() {
        let observed = routes(&[
            (Table::Main, "10.244.2.0/24", "172.30.0.12"),
            (Table::Main, "10.244.3.0/24", "172.30.0.99"),
            (Table::Main, "10.244.4.0/24", "172.30.0.14"),
        ]);
        let mut wanted = routes(&[
            (Table::Main, "10.244.1.0/24", "172.30.0.11"),
            (Table::Main, "10.244.2.0/24", "172.30.0.12"),
            (Table::Main, "10.244.3.0/24", "172.30.0.13"),
            (Table::Tunnel, "10.244.2.0/24", "10.244.2.0"),
        ]);
        let first = wanted.values_mut().next().expect("a route");
        first.source = Some(ip("172.30.0.9"));
        let operations = diff(&observed, &wanted);
        assert_eq!(
            lines(&operations),
            [
                "route 10.244.1.0/24 via 172.30.0.11 on eth0, from 172.30.0.9",
                "route 10.244.3.0/24 via 172.30.0.13 on eth0",
                "route 10.244.2.0/24 for pods via 10.244.2.0 on eth0",
                "delete route 10.244.4.0/24 via 172.30.0.14",
            ]
        );
        assert!(matches!(operations[1], Operation::Replace(..)));
        assert!(diff(&wanted, &wanted).is_empty());
    }

    #[test]
    fn rules_come_and_go() {
        let set = |cidr: &str| BTreeSet::from([cidr.parse().unwrap()]);
        let operations = diff_rules(&set("10.1.0.0/24"), &set("10.2.0.0/24"));
        assert_eq!(
            lines(&operations),
            [
                "add the rule for packets of pods in 10.2.0.0/24",
                "delete the rule for packets of pods in 10.1.0.0/24",
            ]
        );
    }
}
