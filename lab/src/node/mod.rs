//! A node of the lab: its place on the network, its Node object, its agent.

pub(crate) mod agent;
pub(crate) mod object;
pub(crate) mod readiness;

use std::io;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::fabric::Member;
use crate::namespaces;
use crate::places::Places;

/// The port of the API server on every node's own address.
pub(crate) const API_PORT: u16 = 6443;
/// Node addresses are 172.30.0.<this + n>; the outside client at .200 bounds the number.
const ADDRESS_OFFSET: u8 = 10;
/// The most nodes a lab can have.
pub(crate) const MOST_NODES: u8 = 100;

/// What distinguishes one node from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Its address on the fabric, the InternalIP of the Node object.
    pub(crate) address: Ipv4Addr,
    pub(crate) pod_cidr: Ipv4Net,
    pub(crate) zone: Option<String>,
}

impl Node {
    /// The nodes 1 to `count`; zones are dealt out in turn.
    pub(crate) fn numbered(count: u8, zones: &[String]) -> Vec<Self> {
        let zones = (!zones.is_empty()).then(|| zones.iter().cycle());
        let mut zones = zones.into_iter().flatten();
        (1..=count)
            .map(|number| Self {
                name: format!("node{number}"),
                address: Ipv4Addr::new(172, 30, 0, ADDRESS_OFFSET + number),
                pod_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, number, 0), 24),
                zone: zones.next().cloned(),
            })
            .collect()
    }

    /// Its end of the fabric.
    pub(crate) fn member(&self) -> Member {
        Member {
            name: self.name.clone(),
            address: self.address,
        }
    }

    /// The API server as this node's processes reach it: never by a cluster IP.
    pub(crate) fn api_server(&self) -> String {
        format!("http://{}:{API_PORT}", self.address)
    }

    /// Makes the directories, the bpffs and the cgroups of this node. Its network namespace is
    /// the fabric's work.
    pub(crate) fn prepare(&self, places: &Places) -> io::Result<()> {
        let (bpffs, conf) = (places.bpffs(&self.name), places.cni_conf(&self.name));
        std::fs::create_dir_all(&bpffs)?;
        std::fs::create_dir_all(conf)?;
        std::fs::create_dir_all(places.cni_data(&self.name))?;
        if let Some(dir) = places.agent_pid(&self.name).parent() {
            std::fs::create_dir_all(dir)?;
        }
        namespaces::mount_bpffs(&bpffs)?;
        cgroup::create(&places.system_cgroup(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_numbered_from_one_and_zones_dealt_in_turn() {
        let zones = ["a".to_owned(), "b".to_owned()];
        let nodes = Node::numbered(3, &zones);
        let seen: Vec<_> = nodes
            .iter()
            .map(|n| (n.name.as_str(), n.address.to_string(), n.zone.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                ("node1", "172.30.0.11".to_owned(), Some("a")),
                ("node2", "172.30.0.12".to_owned(), Some("b")),
                ("node3", "172.30.0.13".to_owned(), Some("a")),
            ]
        );
        assert_eq!(nodes[2].pod_cidr.to_string(), "10.244.3.0/24");
        assert_eq!(Node::numbered(2, &[])[1].zone, None);
    }
}
