//! What `uninstall` removes from the kernel: what carries our marks, and nothing else. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;
use proxy_abi::ownership::program::FROM_POD;

use super::filters::{self, Observed as PodInterface, Place};
use super::interfaces::is_pods;
use super::links::{self, Observed as Link};
use super::routes::{self, Routes};
use super::tunnels::{self, Tunnels};

/// Everything of ours that was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Pinned links.
    pub links: BTreeMap<String, Link>,
    /// Interfaces that are named as pods' are.
    pub pods: BTreeMap<String, PodInterface>,
    /// Our filters on the node's own interfaces.
    pub filters: BTreeMap<Place, u32>,
    /// Our tunnels.
    pub tunnels: Tunnels,
    /// Our routes.
    pub routes: Routes,
    /// Our routing rules.
    pub rules: BTreeSet<IpNet>,
}

/// One removal.
#[derive(Debug, PartialEq)]
pub enum Operation {
    /// Of a link.
    Link(links::Operation),
    /// Of a filter.
    Filter(filters::Operation),
    /// Of a pod's veth: name and index.
    Pod(String, u32),
    /// Of a route or rule.
    Route(routes::Operation),
    /// Of a tunnel or what it knows.
    Tunnel(tunnels::Operation),
}

/// What removes all that was found. An interface that is only named as a pod's is, and runs no
/// program of ours, is somebody else's.
#[must_use]
pub fn plan(found: &Found) -> Vec<Operation> {
    let ours = |(name, one): &(&String, &PodInterface)| {
        let runs = !one.programs.is_empty() || links::has_link(&found.links, FROM_POD, name);
        is_pods(name) && runs
    };
    let pods = found.pods.iter().filter(ours);
    let pods = pods.map(|(name, one)| Operation::Pod(name.clone(), one.ifindex));
    let links = found.links.keys().cloned();
    let links = links.map(|pin| Operation::Link(links::Operation::Detach { pin }));
    let filters = found.filters.keys().cloned();
    let filters = filters.map(|place| Operation::Filter(filters::Operation::Remove(place)));
    let routes = routes::diff(&found.routes, &Routes::new());
    let rules = routes::diff_rules(&found.rules, &BTreeSet::new());
    let tunnels = tunnels::diff(&found.tunnels, &Tunnels::new());
    let tunnels = tunnels.first.into_iter().chain(tunnels.last);
    pods.chain(links)
        .chain(filters)
        .chain(routes.into_iter().chain(rules).map(Operation::Route))
        .chain(tunnels.map(Operation::Tunnel))
        .collect()
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(operation) => operation.fmt(out),
            Self::Filter(operation) => operation.fmt(out),
            Self::Pod(name, _) => write!(out, "delete the pod's interface {name}"),
            Self::Route(operation) => operation.fmt(out),
            Self::Tunnel(operation) => operation.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::filters::Side;
    use crate::plan::links::Hook;

    fn pod(ifindex: u32, program: Option<u32>) -> PodInterface {
        let programs = program.map(|id| (Side::Ingress, id));
        PodInterface {
            ifindex,
            up: true,
            programs: programs.into_iter().collect(),
        }
    }

    #[test]
    fn what_only_has_a_name_like_ours_stays() {
        let link = |hook| Link {
            program_id: 7,
            hook,
        };
        let found = Found {
            links: BTreeMap::from([(
                "from_pod-fn00000000000b".to_owned(),
                link(Hook::Ingress("fn00000000000b".to_owned())),
            )]),
            pods: BTreeMap::from([
                ("fn00000000000a".to_owned(), pod(3, Some(7))),
                ("fn00000000000b".to_owned(), pod(4, None)),
                ("fn00000000000c".to_owned(), pod(5, None)),
                ("fnord0".to_owned(), pod(6, Some(7))),
            ]),
            filters: BTreeMap::from([(("eth0".to_owned(), Side::Egress), 8)]),
            ..Found::default()
        };
        let lines: Vec<_> = plan(&found).iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[0], "delete the pod's interface fn00000000000a");
        assert_eq!(lines[1], "delete the pod's interface fn00000000000b");
        assert_eq!(lines[2], "remove link from_pod-fn00000000000b");
        assert!(lines[3].contains("eth0"), "{lines:?}");
        assert_eq!(plan(&Found::default()), []);
    }
}
