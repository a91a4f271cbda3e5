//! Networks of a server and two clients, all across the same fabric.
//!
//! Ours is the lab's: two of its nodes. A peer's nodes are namespaces joined to the lab's fabric
//! (a bridge in a namespace of its own) by a veth each, as the lab's nodes are, with a static
//! route to each other's pods, and pods that the peer's CNI plugin has joined.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::cluster::Cluster;
use super::load::{Leg, PORTS, Server};
use super::namespace::{self, Room};
use super::plugin::{INTERFACE, Plugin, Pod, address};

/// The lab's fabric: a namespace, and the bridge inside.
pub(super) const FABRIC: &str = "fabric";
const BRIDGE: &str = "br0";
/// The fabric stands for a wire, which filters nothing: without this the bridge shows each packet
/// to netfilter three times, an eighth of all time.
const FABRIC_PARAMETERS: &[(&str, &str)] = &[("bridge/bridge-nf-call-iptables", "0")];

/// One network.
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) server: Server,
    /// From the client on the server's node.
    pub(super) near: Leg,
    /// From the client on the other node.
    pub(super) far: Leg,
}

/// A node of a peer.
pub(super) struct Node {
    /// Its namespace, and the fabric's end of its cable.
    pub(super) name: String,
    /// Its address on the fabric. The lab's own nodes have lower ones.
    pub(super) address: Ipv4Addr,
    /// Its pods.
    subnet: String,
}

/// A peer whose pods a CNI plugin joins.
pub(super) struct Peer {
    name: &'static str,
    plugin: &'static str,
    /// The server's, and the other.
    pub(super) nodes: [Node; 2],
}

impl Peer {
    /// A peer of this name: its nodes' addresses follow `host`, its pods' are in `10.net.0.0/16`.
    pub(super) fn new(name: &'static str, plugin: &'static str, host: u8, net: u8) -> Self {
        let node = |number: u8| Node {
            name: format!("{name}-{number}"),
            address: on_fabric(host + number),
            subnet: format!("10.{net}.{number}.0/24"),
        };
        Self {
            name,
            plugin,
            nodes: [node(1), node(2)],
        }
    }
}

/// An address on the fabric.
pub(super) fn on_fabric(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 30, 0, host)
}

/// Makes the lab's fabric fit for a bench.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn prepare(fabric: &Path) -> anyhow::Result<()> {
    namespace::set(fabric, FABRIC_PARAMETERS)
}

/// The lab's pods. To be asked for from the machine's own network, where the API server is.
///
/// # Errors
/// When a pod does not run.
pub(super) fn ours(cluster: &Cluster) -> anyhow::Result<Variant> {
    let server = cluster.pod_netns("server")?;
    let address = cluster.field("pod/server", ".status.podIP")?;
    let address: IpAddr = address.parse().context("the server's address")?;
    let clients = (cluster.pod_netns("near")?, cluster.pod_netns("far")?);
    variant("ours", &server, clients, (address, address))
}

/// Two nodes with plain routing, and pods of a CNI plugin with `keys` in its configuration.
///
/// # Errors
/// When the kernel or the plugin refuses.
pub(super) fn routed(
    room: &Room,
    fabric: &Path,
    peer: &Peer,
    keys: &Value,
) -> anyhow::Result<Variant> {
    let [first, second] = &peer.nodes;
    let mut nodes = Vec::new();
    for (node, other) in [(first, second), (second, first)] {
        let netns = room.create_netns(&node.name)?;
        namespace::ip(fabric, &cable(&node.name, &netns))?;
        namespace::ip(&netns, &inside_node(node, other))?;
        namespace::set(&netns, &[("ipv4/ip_forward", "1")])?;
        let more = (node.subnet.as_str(), keys.clone());
        nodes.push((netns, Plugin::peer(room, peer.plugin, &node.name, more)?));
    }
    let join = |(node, plugin): &(PathBuf, Plugin), pod: &str| {
        let container = format!("{}-{pod}", peer.name);
        let netns = room.create_netns(&container)?;
        namespace::ip(&netns, &["link set lo up".to_owned()])?;
        let pod = Pod { container, netns };
        let result = namespace::inside(node, || plugin.call("ADD", &pod))?;
        anyhow::Ok((pod.netns, address(&result)?))
    };
    let (server, address) = join(&nodes[0], "server")?;
    let (near, _) = join(&nodes[0], "near")?;
    let (far, _) = join(&nodes[1], "far")?;
    variant(peer.name, &server, (near, far), (address, address))
}

/// What every pod is set to, whatever the machine's own settings are.
const TCP: &[(&str, &str)] = &[
    // A client's thousands of connections a measurement would else wait out a minute each, and
    // use up its ports.
    ("ipv4/tcp_tw_reuse", "1"),
    // In every kernel, and without the pacing of some others, which would be what is measured.
    ("ipv4/tcp_congestion_control", "reno"),
];

/// Sets a namespace that load is made in.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn tune(pod: &Path) -> anyhow::Result<()> {
    namespace::set(pod, TCP)
}

/// A network of these namespaces; its server listens.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn variant(
    name: &str,
    server: &Path,
    (near, far): (PathBuf, PathBuf),
    (near_server, far_server): (IpAddr, IpAddr),
) -> anyhow::Result<Variant> {
    for pod in [server, &near, &far] {
        tune(pod)?;
    }
    let leg = |client, address| Leg {
        client,
        server: SocketAddr::new(address, PORTS[0]),
    };
    Ok(Variant {
        name: name.to_owned(),
        server: Server::start(server)?,
        near: leg(near, near_server),
        far: leg(far, far_server),
    })
}

/// In the fabric: a cable to a member, as the lab's own members have it.
pub(super) fn cable(name: &str, member: &Path) -> Vec<String> {
    let member = member.display();
    vec![
        format!("link add {name} type veth peer name {INTERFACE} netns {member}"),
        format!("link set {name} master {BRIDGE}"),
        format!("link set {name} up"),
    ]
}

/// In a node: its address, and the way to the other node's pods.
fn inside_node(node: &Node, other: &Node) -> Vec<String> {
    let mut lines = vec!["link set lo up".to_owned()];
    lines.extend(up(INTERFACE, &format!("{}/24", node.address)));
    lines.push(format!("route add {} via {}", other.subnet, other.address));
    lines
}

/// Lines that give an interface its address.
pub(super) fn up(interface: &str, address: &str) -> Vec<String> {
    vec![
        format!("address add {address} dev {interface}"),
        format!("link set {interface} up"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_nodes_know_the_way_to_each_others_pods() {
        let Peer { nodes, .. } = Peer::new("plain", "ptp", 151, 245);
        let [first, second] = &nodes;
        assert_eq!(
            inside_node(first, second),
            [
                "link set lo up",
                "address add 172.30.0.152/24 dev eth0",
                "link set eth0 up",
                "route add 10.245.2.0/24 via 172.30.0.153",
            ]
        );
        assert_eq!(
            inside_node(second, first)[3],
            "route add 10.245.1.0/24 via 172.30.0.152"
        );
    }

    #[test]
    fn names_of_cables_are_names_of_interfaces() {
        for name in ["ptp", "bridge", "iptables", "nftables"] {
            for node in Peer::new(name, "ptp", 151, 245).nodes {
                assert!(node.name.len() < 16, "IFNAMSIZ: {}", node.name);
            }
        }
        assert_eq!(
            cable("ptp-1", Path::new("/r/ptp-1")),
            [
                "link add ptp-1 type veth peer name eth0 netns /r/ptp-1",
                "link set ptp-1 master br0",
                "link set ptp-1 up",
            ]
        );
    }
}
