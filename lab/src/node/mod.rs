//! A node of the lab: its place on the network, its Node object, its agent.

pub(crate) mod agent;
pub(crate) mod object;
pub(crate) mod readiness;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::fabric::Member;
use crate::namespaces;
use crate::network::{Network, Seat};
use crate::places::Places;
use crate::settings::CNI_DIRS;

/// The port of the API server on every node's own address.
pub(crate) const API_PORT: u16 = 6443;

/// What distinguishes one node from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Where it sits on the fabric, one in each family, the cluster's first family first.
    seats: Vec<Seat>,
    /// One in each family, in the same order.
    pub(crate) pod_cidrs: Vec<IpNet>,
    pub(crate) zone: Option<String>,
}

impl Node {
    /// The nodes 1 to `count`; zones are dealt out in turn.
    pub(crate) fn numbered(count: u8, network: &Network, zones: &[String]) -> Vec<Self> {
        let zones = (!zones.is_empty()).then(|| zones.iter().cycle());
        let mut zones = zones.into_iter().flatten();
        (1..=count)
            .map(|number| Self {
                name: format!("node{number}"),
                seats: network.node_seats(number),
                pod_cidrs: network.families.pod_cidrs(number),
                zone: zones.next().cloned(),
            })
            .collect()
    }

    /// Its addresses, the InternalIPs of the Node object.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.seats.iter().map(|seat| seat.address.addr())
    }

    /// Its address in the cluster's first family.
    pub(crate) fn address(&self) -> IpAddr {
        // A cluster has a family, so a node has a seat.
        self.seats[0].address.addr()
    }

    /// Its end of the fabric.
    pub(crate) fn member(&self) -> Member {
        Member {
            name: self.name.clone(),
            seats: self.seats.clone(),
        }
    }

    /// The API server as this node's processes reach it: never by a cluster IP.
    pub(crate) fn api_server(&self) -> String {
        format!("http://{}", SocketAddr::new(self.address(), API_PORT))
    }

    /// Makes the directories, the bpffs and the cgroups of this node. A bare one has no bpffs:
    /// whoever brings the product mounts one. Its network namespace is
    /// the fabric's work.
    pub(crate) fn prepare(&self, places: &Places, bare: bool) -> io::Result<()> {
        let (bpffs, conf) = (places.bpffs(&self.name), places.cni_conf(&self.name));
        std::fs::create_dir_all(&bpffs)?;
        std::fs::create_dir_all(conf)?;
        std::fs::create_dir_all(places.cni_data(&self.name))?;
        std::fs::create_dir_all(places.agent_state(&self.name))?;
        if let Some(dir) = places.agent_pid(&self.name).parent() {
            std::fs::create_dir_all(dir)?;
        }
        if bare {
            let plugins = places.cni_bin(&self.name);
            std::fs::create_dir_all(&plugins)?;
            link_loopback(&plugins)?;
            std::fs::create_dir_all(places.var_lib(&self.name).join("cni"))?;
            namespaces::make_shared(&bpffs)?;
        } else {
            namespaces::mount_bpffs(&bpffs)?;
        }
        cgroup::create(&places.system_cgroup(&self.name))
    }
}

/// The one plugin that a container runtime brings along, where this machine has it.
fn link_loopback(plugins: &Path) -> io::Result<()> {
    let mut places = CNI_DIRS.iter().map(|dir| Path::new(dir).join("loopback"));
    match places.find(|path| path.exists()) {
        Some(path) => std::os::unix::fs::symlink(path, plugins.join("loopback")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Families;

    #[test]
    fn nodes_are_numbered_from_one_and_zones_dealt_in_turn() {
        let zones = ["a".to_owned(), "b".to_owned()];
        let network = Network::default();
        let nodes = Node::numbered(3, &network, &zones);
        let seen: Vec<_> = nodes
            .iter()
            .map(|n| (n.name.as_str(), n.address().to_string(), n.zone.as_deref()))
            .collect();
        assert_eq!(
            seen,
            [
                ("node1", "172.30.0.11".to_owned(), Some("a")),
                ("node2", "172.30.0.12".to_owned(), Some("b")),
                ("node3", "172.30.0.13".to_owned(), Some("a")),
            ]
        );
        assert_eq!(nodes[2].pod_cidrs[0].to_string(), "10.244.3.0/24");
        assert_eq!(Node::numbered(2, &network, &[])[1].zone, None);
    }

    #[test]
    fn the_api_server_is_reached_in_the_first_family() {
        let server = |families| {
            let network = Network {
                families,
                ..Network::default()
            };
            Node::numbered(1, &network, &[])[0].api_server()
        };
        assert_eq!(server(Families::Dual), "http://172.30.0.11:6443");
        assert_eq!(server(Families::Ipv6), "http://[fd00:172:30::11]:6443");
    }
}
