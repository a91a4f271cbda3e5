//! The stage: ours in the lab, and two peers on its fabric whose nodes have kube-proxy's rules.
//!
//! Each network is two nodes: the server's pod is on the first, the client's on the second, and the
//! client outside is on the fabric and asks the second.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::json;

use super::feeder::{Feeder, Node};
use super::layout::{self, PORT, Protocol};
use super::{iptables, nftables};
use crate::bench::cgroup::Visit;
use crate::bench::cluster::Cluster;
use crate::bench::load::{Leg, PORTS, Server, connected};
use crate::bench::namespace::{self, Room, inside};
use crate::bench::network::{self, Peer, Variant, on_fabric};
use crate::bench::plugin::INTERFACE;
use crate::process::{self, find_program};

/// The client outside: its namespace and the fabric's end of its cable.
const OUTSIDE: &str = "outside";
const OUTSIDE_HOST: u8 = 191;

/// From where a Service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// A pod, at the cluster IP.
    Pod,
    /// The client outside, at the node port of the node that has no endpoint.
    Outside,
}

/// Our own network, asked for before the room is entered.
pub(super) struct Ours {
    variant: Variant,
    server: Ipv4Addr,
    nodes: [Node; 2],
    pod_cidr: String,
    fabric: PathBuf,
    feeder: Feeder,
    cgroup: PathBuf,
}

impl Ours {
    /// Asks the lab.
    ///
    /// # Errors
    /// When a pod does not run.
    pub(super) fn of(cluster: &Cluster, feeder: Feeder) -> anyhow::Result<Self> {
        let server = cluster.field("pod/server", ".status.podIP")?;
        Ok(Self {
            variant: network::ours(cluster)?,
            server: server.parse().context("the server's address")?,
            nodes: [Node::of(cluster, "node1")?, Node::of(cluster, "node2")?],
            pod_cidr: cluster.field("node/node1", ".spec.podCIDR")?,
            fabric: cluster.netns(network::FABRIC)?,
            cgroup: cluster.pod_cgroup("far")?,
            feeder,
        })
    }
}

/// A network in which Services are asked.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) server: Server,
    client: PathBuf,
    address: Ipv4Addr,
    /// The node that has no endpoint.
    node: Ipv4Addr,
    /// How rules get there, and into which nodes.
    rules: Option<(Rules, Vec<(PathBuf, Ipv4Addr)>)>,
}

#[derive(Clone, Copy)]
enum Rules {
    Iptables,
    Nftables,
}

/// Everything that is measured.
pub(super) struct Stage<'a> {
    room: &'a Room,
    pub(super) ours: Side,
    pub(super) peers: Vec<Side>,
    outside: PathBuf,
    /// Of our pod that asks.
    cgroup: PathBuf,
    nodes: [Node; 2],
    feeder: Feeder,
}

impl<'a> Stage<'a> {
    /// Sets it, without any Service.
    ///
    /// # Errors
    /// When a network does not come about.
    pub(super) fn set(room: &'a Room, ours: Ours) -> anyhow::Result<Self> {
        let Ours {
            variant,
            server,
            nodes,
            pod_cidr,
            fabric,
            feeder,
            cgroup,
        } = ours;
        network::prepare(&fabric)?;
        let peers = vec![
            peer(room, &fabric, ("iptables", 171, 248), Rules::Iptables)?,
            peer(room, &fabric, ("nftables", 181, 249), Rules::Nftables)?,
        ];
        let [first, second] = &nodes;
        Ok(Self {
            room,
            outside: outside(room, &fabric, &pod_cidr, first.address)?,
            ours: side("ours", variant, (server, second.address), None),
            peers,
            cgroup,
            nodes,
            feeder,
        })
    }

    /// Makes it so many Services everywhere, and proves that each side serves the measured ones.
    ///
    /// # Errors
    /// When one does not.
    pub(super) fn populate(&self, count: usize) -> anyhow::Result<()> {
        let services = layout::services(count, self.ours.address);
        self.feeder.feed(self.room, &self.nodes, &services)?;
        // The peers at once: their rules are what takes long.
        thread::scope(|scope| {
            let load = |peer| scope.spawn(move || Side::load(peer, count));
            let loads: Vec<_> = self.peers.iter().map(load).collect();
            loads
                .into_iter()
                .try_for_each(|load| load.join().map_err(|_panic| anyhow!("a panic"))?)
        })?;
        for side in self.sides() {
            for from in [From::Pod, From::Outside] {
                self.prove(side, from)
                    .with_context(|| format!("{} with {count} Services: {from:?}", side.name))?;
            }
        }
        Ok(())
    }

    fn sides(&self) -> impl Iterator<Item = &Side> {
        std::iter::once(&self.ours).chain(&self.peers)
    }

    /// The way of a client to a measured Service.
    pub(super) fn to_service(&self, side: &Side, from: From, protocol: Protocol) -> Leg {
        let [tcp, udp] = layout::measured(side.address);
        let service = match protocol {
            Protocol::Tcp => tcp,
            Protocol::Udp => udp,
        };
        let server: SocketAddr = match from {
            From::Pod => (service.cluster_ip, PORT).into(),
            From::Outside => (side.node, service.node_port.unwrap_or(0)).into(),
        };
        Leg {
            client: self.client(side, from),
            server,
        }
    }

    /// The way of the same client to an endpoint's own address.
    pub(super) fn direct(&self, from: From) -> Leg {
        Leg {
            client: self.client(&self.ours, from),
            server: (self.ours.address, PORTS[0]).into(),
        }
    }

    /// The cgroup that a client of this side is in, where that matters: our pod's sockets meet the
    /// programs of its node.
    pub(super) fn cgroup(&self, side: &Side, from: From) -> Option<&Path> {
        let is_ours = side.rules.is_none();
        (is_ours && from == From::Pod).then_some(self.cgroup.as_path())
    }

    fn client(&self, side: &Side, from: From) -> PathBuf {
        match from {
            From::Pod => side.client.clone(),
            From::Outside => self.outside.clone(),
        }
    }

    /// Makes sure that the server is reached at an address that is nobody's, or another node's,
    /// and that it sees whom it should: the pod itself, or the node that masquerades.
    fn prove(&self, side: &Side, from: From) -> anyhow::Result<()> {
        let leg = self.to_service(side, from, Protocol::Tcp);
        let _visit = self.cgroup(side, from).map(Visit::to).transpose()?;
        let (client, served) = connected(&side.server, &leg)?;
        let expected = match from {
            From::Pod => client.local_addr()?.ip(),
            From::Outside => IpAddr::V4(side.node),
        };
        let seen = served.peer_addr()?.ip();
        ensure!(
            seen == expected,
            "the server sees {seen} and not {expected}"
        );
        let reached = served.local_addr()?.ip();
        ensure!(reached == side.address, "{reached} was reached");
        Ok(())
    }
}

impl Side {
    /// Loads the rules for so many Services into the side's nodes.
    fn load(&self, count: usize) -> anyhow::Result<()> {
        let Some((rules, nodes)) = &self.rules else {
            return Ok(());
        };
        let services = layout::services(count, self.address);
        for (netns, node) in nodes {
            let (program, words, text) = match rules {
                Rules::Iptables => ("iptables-restore", &[][..], iptables::rules(&services)),
                Rules::Nftables => ("nft", &["-f", "-"][..], nftables::rules(&services, *node)),
            };
            let program = find_program(program).with_context(|| format!("no {program}"))?;
            inside(netns, || {
                process::feed(Command::new(program).args(words), &text).map(drop)
            })?;
        }
        Ok(())
    }
}

fn peer(
    room: &Room,
    fabric: &Path,
    (name, host, net): (&'static str, u8, u8),
    rules: Rules,
) -> anyhow::Result<Side> {
    let peer = Peer::new(name, "ptp", host, net);
    let variant = network::routed(room, fabric, &peer, &json!({}))?;
    let IpAddr::V4(address) = variant.far.server.ip() else {
        bail!("an address of IPv4 was asked for");
    };
    let nodes = peer.nodes.map(|node| (room.path(&node.name), node.address));
    let second = nodes[1].1;
    let rules = Some((rules, nodes.to_vec()));
    Ok(side(name, variant, (address, second), rules))
}

fn side(
    name: &'static str,
    variant: Variant,
    (address, node): (Ipv4Addr, Ipv4Addr),
    rules: Option<(Rules, Vec<(PathBuf, Ipv4Addr)>)>,
) -> Side {
    Side {
        name,
        server: variant.server,
        client: variant.far.client,
        address,
        node,
        rules,
    }
}

/// The client outside, which knows the way to the pods of our first node.
fn outside(room: &Room, fabric: &Path, pod_cidr: &str, node: Ipv4Addr) -> anyhow::Result<PathBuf> {
    let netns = room.create_netns(OUTSIDE)?;
    namespace::ip(fabric, &network::cable(OUTSIDE, &netns))?;
    let mut lines = vec!["link set lo up".to_owned()];
    lines.extend(network::up(
        INTERFACE,
        &format!("{}/24", on_fabric(OUTSIDE_HOST)),
    ));
    lines.push(format!("route add {pod_cidr} via {node}"));
    namespace::ip(&netns, &lines)?;
    network::tune(&netns)?;
    Ok(netns)
}
