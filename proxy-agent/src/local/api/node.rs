//! `GET /v1/node`, `/v1/route`, `/v1/listener` and `POST /v1/probe`: what decides where a packet goes on this node,
//! beside Services.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// `GET /v1/node`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Name of its Node object.
    pub name: String,
    /// The addresses that the programs take for the node's own.
    pub addresses: Vec<IpAddr>,
    /// Its interfaces, pods' host ends among them.
    pub interfaces: Vec<Interface>,
    /// Its pods, by address.
    pub pods: Vec<Pod>,
    /// Ports of the node that are a pod's.
    pub host_ports: Vec<HostPort>,
    /// To where pods' packets go with the pod's own address.
    pub inside: Vec<IpNet>,
    /// Where cluster IPs come from, as far as that is known.
    #[serde(default)]
    pub service_cidrs: Vec<IpNet>,
    /// Whether TCP sockets are pointed at endpoints when they connect.
    pub socket_path: bool,
    /// Every node of the cluster.
    pub peers: Vec<Peer>,
}

/// An interface of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `pod`, `tunnel`, `uplink` or `other`.
    pub kind: String,
    /// Bytes of the largest IP packet.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
    /// With what addresses packets of pods leave the cluster here; none: as they are.
    pub masquerade: Vec<IpAddr>,
}

/// A pod's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// The address.
    pub address: IpAddr,
    /// The host end of its veth pair, made by the CNI plugin at ADD.
    pub interface: String,
    /// Whether another plugin limits its bandwidth, so that its packets stay on the node's stack.
    pub shaped: bool,
    /// Whether it said no to the socket path, so that its connections are translated by packets.
    pub packets: bool,
}

/// A port of the node that is a pod's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPort {
    /// The address of the node; the unspecified one of a family: all.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// The pod's address and port.
    pub to: SocketAddr,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Name of its Node object.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The CIDRs of its pods.
    pub pod_cidrs: Vec<IpNet>,
}

impl Peer {
    /// Whether an address is its own, or in its pod CIDRs.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let mut cidrs = self.pod_cidrs.iter();
        self.addresses.contains(&address) || cidrs.any(|cidr| cidr.contains(&address))
    }
}

/// `GET /v1/route?to=&from=&arrives=`: which entry of the routing tables a packet meets. `from`
/// is its source, `arrives` the interface at which it comes; without one the node itself sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `unicast`, `local`, or why it goes nowhere: `unreachable`, `prohibited`, ...
    pub kind: String,
    /// The destinations that the entry is for.
    pub prefix: Option<IpNet>,
    /// The interface by which the packet leaves.
    pub leaves: Option<String>,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The source that the node's own packets get.
    pub source: Option<IpAddr>,
    /// The table.
    pub table: u32,
    /// Number of who wrote it (`rtm_protocol`).
    pub protocol: u8,
    /// Who wrote it, in words.
    pub writer: String,
    /// The command that shows it.
    pub command: String,
}

/// `GET /v1/listener?address=&port=&protocol=`: who takes what comes to an address of this node or
/// of one of its pods; `protocol` is `tcp` or `udp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Whether the network namespace was found and looked into; without it nothing is known.
    pub looked: bool,
    /// Whether somebody listens.
    pub listens: bool,
    /// The address that the socket is bound to.
    pub bound: Option<IpAddr>,
    /// The process.
    pub pid: Option<u32>,
    /// Its name.
    pub process: Option<String>,
    /// Whether the process is stopped (by a signal, or a debugger): the kernel takes connections and
    /// datagrams for it, and nobody answers.
    #[serde(default)]
    pub stopped: bool,
}

/// `POST /v1/probe?from=&to=&protocol=`: the agent sends one connection (`tcp`) or datagram (`udp`)
/// from the network namespace of a pod (by its address) or of the node. The only question that
/// sends something. With `dns=NAME` the datagram asks for a name, with `size=BYTES` it has that many.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// `answered`, `refused`, `unreachable`, `silent` or `failed`.
    pub answer: String,
    /// Milliseconds until then.
    pub milliseconds: f64,
    /// The source port that the kernel chose; the address is the unspecified one.
    pub from: Option<SocketAddr>,
    /// Where the kernel has the connection go, if it was taken: an endpoint, where a socket program
    /// has chosen one.
    #[serde(default)]
    pub towards: Option<SocketAddr>,
    /// Where it goes as getpeername() says.
    #[serde(default)]
    pub peer: Option<SocketAddr>,
    /// The error, in the kernel's words.
    pub words: Option<String>,
    /// What a DNS server said, if it was asked.
    #[serde(default)]
    pub lookup: Option<Lookup>,
}

/// An answer of a DNS server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Its code, in words: `No Error`, `Non-Existent Domain`.
    pub code: String,
    /// The addresses in it.
    pub addresses: Vec<IpAddr>,
}
