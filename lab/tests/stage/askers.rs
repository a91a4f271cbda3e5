//! A server in a pod of one node, and everybody who may ask it: the outside client, a process and
//! a pod of each of two nodes.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use lab::Lab;
use lab::handle::RunningPod;
use lab::network::Network;

use super::outside::client_addresses;
use super::servers::{of_family, try_ask};
use super::{PATIENCE, product_on};

/// Long enough for the agents to hear of a Service.
pub(crate) const SETTLED: Duration = Duration::from_secs(10);

/// A server on node1 and a client on each of two nodes.
const PODS: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {app: web}}, spec: {nodeName: node1, \
terminationGracePeriodSeconds: 0, \
containers: [{name: c, image: none, command: [flatnet-demo, serve, --port, '8080']}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: on-node1, labels: {app: client}}, spec: {\
nodeName: node1, terminationGracePeriodSeconds: 0, \
containers: [{name: c, image: none, command: [sleep, infinity]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: on-node2, labels: {app: client}}, spec: {\
nodeName: node2, terminationGracePeriodSeconds: 0, \
containers: [{name: c, image: none, command: [sleep, infinity]}]}}
";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// The outside client.
    Outside,
    /// A process of that node.
    Node(&'static str),
    /// The pod on that node.
    Pod(&'static str),
}

/// All of them.
pub(crate) const EVERYBODY: [From; 5] = [
    From::Outside,
    From::Node("node1"),
    From::Node("node2"),
    From::Pod("node1"),
    From::Pod("node2"),
];

/// A lab with those pods.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    clients: Vec<RunningPod>,
}

impl Stage {
    /// It, named after a row.
    pub(crate) fn new(row: &str) -> Option<Self> {
        let lab = product_on(row, 2, Network::default(), &[])?;
        lab.apply(PODS).expect("applied");
        lab.wait_pods("web", 1, PATIENCE).expect("it serves");
        let clients = lab.wait_pods("client", 2, PATIENCE).expect("they run");
        Some(Self { lab, clients })
    }

    /// A Service of `web` with port 80, over TCP and UDP, and a NodePort.
    pub(crate) fn service(&self, name: &str, app: &str, node_port: u16, fields: &str) {
        let port = |name: &str, protocol: &str| {
            format!(
                "{{name: {name}, port: 80, targetPort: 8080, protocol: {protocol}, nodePort: {node_port}}}"
            )
        };
        let manifest = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{{fields}, \
             ipFamilyPolicy: RequireDualStack, selector: {{app: {app}}}, ports: [{}, {}]}}}}",
            port("t", "TCP"),
            port("u", "UDP")
        );
        self.lab.apply(&manifest).expect("applied");
    }

    fn client(&self, node: &str) -> &RunningPod {
        let mut clients = self.clients.iter();
        clients.find(|pod| pod.node == node).expect("a pod there")
    }

    /// A command there.
    pub(crate) fn command(&self, from: From, argv: &[&str]) -> Command {
        match from {
            From::Outside => self.lab.on_client(argv),
            From::Node(node) => self.lab.on_node(node, argv),
            From::Pod(node) => self.lab.in_pod(&self.client(node).name, argv),
        }
    }

    /// Asks over TCP and UDP: whom the endpoint saw.
    pub(crate) fn ask(&self, from: From, at: SocketAddr) -> Result<Vec<IpAddr>, String> {
        try_ask(|argv| self.command(from, argv), at)
    }

    /// Its address, in the family of another.
    pub(crate) fn address(&self, of: From, other: IpAddr) -> IpAddr {
        let all = match of {
            From::Outside => client_addresses(&self.lab),
            From::Node(node) => self.lab.node_addresses(node),
            From::Pod(node) => self.client(node).addresses.clone(),
        };
        of_family(&all, other)
    }

    /// Waits until somebody is answered at `at`.
    pub(crate) fn settle(&self, from: From, at: SocketAddr) {
        let looked = || Ok(self.ask(from, at).ok());
        let settled = self
            .lab
            .wait(&format!("an answer at {at}"), SETTLED, looked);
        settled.expect("settled");
    }

    /// A node's NodePort, in each family.
    pub(crate) fn at(&self, node: &str, port: u16) -> Vec<SocketAddr> {
        let addresses = self.lab.node_addresses(node).into_iter();
        addresses.map(|it| SocketAddr::new(it, port)).collect()
    }
}
