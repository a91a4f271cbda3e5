//! `GET /v1/services`: each Service as this node serves it, names joined with what the kernel
//! holds. `?namespace=` and `?name=` ask for fewer.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// The node from which they are seen.
    pub node: String,
    /// Every Service that was asked for, by namespace and name.
    pub services: Vec<Service>,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Why the node does not serve it at all, if so.
    pub unserved: Option<Nobody>,
    /// Seconds for which a client stays on its endpoint; 0: not.
    pub affinity_seconds: u32,
    /// Who may use its load balancer's addresses; none: everybody.
    pub source_ranges: Vec<IpNet>,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name, empty for the single unnamed one.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Its number at the cluster IP.
    pub port: u16,
    /// Its number at every node.
    pub node_port: Option<u16>,
    /// Where it answers.
    pub frontends: Vec<Frontend>,
    /// Who may take its traffic.
    pub endpoints: Vec<Endpoint>,
}

/// An address and port at which a Service answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontend {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// What the address is to the Service: `cluster-ip`, `load-balancer`, `node-port` or
    /// `external-ip`.
    pub kind: String,
    /// Whether the kernel holds what the cluster wants: `yes`, `missing`, `differs`, or
    /// `other-service` where another Service has the address.
    pub programmed: String,
    /// For clients on this node: its pods and its own processes.
    pub inside: Side,
    /// For clients whose packets come from the network.
    pub outside: Side,
    /// Whether clients from outside get the node's address on their way to another node.
    pub masquerade: bool,
    /// Whether only clients in source ranges are served.
    pub limited: bool,
}

/// How a frontend answers one side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// What the kernel holds: a packet goes to one of these.
    pub endpoints: Vec<Address>,
    /// Whether packets are dropped, rather than refused, while there are none.
    pub drops: bool,
    /// Why there are none, if so.
    pub nobody: Option<Nobody>,
}

/// An address and port.
pub type Address = SocketAddr;

/// Why nobody takes the traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nobody {
    /// A word for programs: `no-endpoint`, `no-port`, `none-ready`, `none-here`, `headless`,
    /// `external-name`, `other-proxy` or `unknown`.
    pub code: String,
    /// The same for people.
    pub words: String,
}

/// An endpoint of a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it answers.
    pub at: Address,
    /// The EndpointSlice that lists it, in the Service's namespace.
    pub slice: String,
    /// Its node.
    pub node: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// `conditions.ready`.
    pub ready: bool,
    /// `conditions.serving`.
    pub serving: bool,
    /// `conditions.terminating`.
    pub terminating: bool,
    /// Whether it takes traffic from clients of the cluster IP on this node.
    pub takes: bool,
    /// Why, or why not.
    pub why: String,
}
