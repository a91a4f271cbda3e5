//! The stage: four networks of a server and two clients, all across the same fabric.
//!
//! Ours is the lab's: two of its nodes. A peer's nodes are namespaces joined to the lab's fabric
//! (a bridge in a namespace of its own) by a veth each, as the lab's nodes are, with a static
//! route to each other's pods, and pods that the peer's CNI plugin has joined. The pods of `bare`
//! have no node: the near client hangs on the server by a veth pair, the far one and the server
//! on the fabric.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use super::load::Server;
use crate::bench::cluster::Cluster;
use crate::bench::namespace::{self, Room};
use crate::bench::plugin::{INTERFACE, Plugin, Pod, address};

/// The lab's fabric: a namespace, and the bridge inside.
pub(super) const FABRIC: &str = "fabric";
const BRIDGE: &str = "br0";
/// The fabric stands for a wire, which filters nothing: without this the bridge shows each packet
/// to netfilter three times, an eighth of all time.
const FABRIC_PARAMETERS: &[(&str, &str)] = &[("bridge/bridge-nf-call-iptables", "0")];
/// The port that servers listen on.
pub(super) const PORT: u16 = 9000;

/// Everything that is measured.
pub(super) struct Stage {
    pub(super) ours: Variant,
    pub(super) peers: Vec<Variant>,
}

/// One network.
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) server: Server,
    /// From the client on the server's node.
    pub(super) near: Leg,
    /// From the client on the other node.
    pub(super) far: Leg,
}

/// One way to a server.
pub(super) struct Leg {
    /// Where the client's namespace is kept.
    pub(super) client: PathBuf,
    /// The server as that client knows it.
    pub(super) server: SocketAddr,
}

/// A node of a peer.
struct Node {
    /// Also the fabric's end of its cable.
    name: String,
    /// Last octet of its address on the fabric. The lab's own nodes have lower ones.
    host: u8,
    /// Its pods.
    subnet: String,
}

/// A peer whose pods a CNI plugin joins.
struct Peer {
    plugin: &'static str,
    /// Of its two nodes.
    nodes: [Node; 2],
}

impl Stage {
    /// Sets it: the lab's pods are there, the peers' are made.
    ///
    /// # Errors
    /// When a peer cannot be set up.
    pub(super) fn set(room: &Room, fabric: &Path, ours: Variant) -> anyhow::Result<Self> {
        namespace::set(fabric, FABRIC_PARAMETERS)?;
        let peers = vec![
            routed(room, fabric, &peer("ptp", 151, 245), &json!({}))?,
            routed(room, fabric, &peer("bridge", 161, 246), &bridged())?,
            bare(room, fabric)?,
        ];
        Ok(Self { ours, peers })
    }
}

fn bridged() -> Value {
    json!({ "bridge": "cni0", "isGateway": true })
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

fn peer(plugin: &'static str, host: u8, net: u8) -> Peer {
    let node = |number: u8| Node {
        name: format!("{plugin}-{number}"),
        host: host + number,
        subnet: format!("10.{net}.{number}.0/24"),
    };
    Peer {
        plugin,
        nodes: [node(1), node(2)],
    }
}

/// Two nodes with plain routing, and pods of a CNI plugin.
fn routed(room: &Room, fabric: &Path, peer: &Peer, keys: &Value) -> anyhow::Result<Variant> {
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
        let container = format!("{}-{pod}", peer.plugin);
        let netns = room.create_netns(&container)?;
        namespace::ip(&netns, &["link set lo up".to_owned()])?;
        let pod = Pod { container, netns };
        let result = namespace::inside(node, || plugin.call("ADD", &pod))?;
        anyhow::Ok((pod.netns, address(&result)?))
    };
    let (server, address) = join(&nodes[0], "server")?;
    let (near, _) = join(&nodes[0], "near")?;
    let (far, _) = join(&nodes[1], "far")?;
    variant(peer.plugin, &server, (near, far), (address, address))
}

/// Pods with nothing in between.
fn bare(room: &Room, fabric: &Path) -> anyhow::Result<Variant> {
    let mut pods = Vec::new();
    for name in ["bare-server", "bare-near", "bare-far"] {
        let netns = room.create_netns(name)?;
        namespace::ip(&netns, &["link set lo up".to_owned()])?;
        pods.push(netns);
    }
    let [server, near, far] =
        <[PathBuf; 3]>::try_from(pods).map_err(|pods| anyhow::anyhow!("{} pods", pods.len()))?;
    namespace::ip(&near, &pair(&server))?;
    namespace::ip(&server, &up("near", "10.247.1.1/24"))?;
    for (name, netns, host) in [("bare-server", &server, 1), ("bare-far", &far, 2)] {
        namespace::ip(fabric, &cable(name, netns))?;
        namespace::ip(netns, &up(INTERFACE, &format!("10.247.2.{host}/24")))?;
    }
    let addresses = (IpAddr::from([10, 247, 1, 1]), IpAddr::from([10, 247, 2, 1]));
    variant("bare", &server, (near, far), addresses)
}

/// What every pod is set to, whatever the machine's own settings are.
const TCP: &[(&str, &str)] = &[
    // A client's thousands of connections a measurement would else wait out a minute each, and
    // use up its ports.
    ("ipv4/tcp_tw_reuse", "1"),
    // In every kernel, and without the pacing of some others, which would be what is measured.
    ("ipv4/tcp_congestion_control", "reno"),
];

/// The server listens.
fn variant(
    name: &str,
    server: &Path,
    (near, far): (PathBuf, PathBuf),
    (near_server, far_server): (IpAddr, IpAddr),
) -> anyhow::Result<Variant> {
    for pod in [server, &near, &far] {
        namespace::set(pod, TCP)?;
    }
    let leg = |client, address| Leg {
        client,
        server: SocketAddr::new(address, PORT),
    };
    Ok(Variant {
        name: name.to_owned(),
        server: Server::start(server)?,
        near: leg(near, near_server),
        far: leg(far, far_server),
    })
}

/// In the fabric: a cable to a member, as the lab's own members have it.
fn cable(name: &str, member: &Path) -> Vec<String> {
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
    lines.extend(up(INTERFACE, &format!("172.30.0.{}/24", node.host)));
    lines.push(format!(
        "route add {} via 172.30.0.{}",
        other.subnet, other.host
    ));
    lines
}

/// In the near client of `bare`: the veth pair to the server.
fn pair(server: &Path) -> Vec<String> {
    let server = server.display();
    let mut lines = vec![format!(
        "link add {INTERFACE} type veth peer name near netns {server}"
    )];
    lines.extend(up(INTERFACE, "10.247.1.2/24"));
    lines
}

fn up(interface: &str, address: &str) -> Vec<String> {
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
        let Peer { nodes, .. } = peer("ptp", 151, 245);
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
        for peer in [peer("ptp", 151, 245), peer("bridge", 161, 246)] {
            for node in peer.nodes {
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
