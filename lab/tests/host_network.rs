//! A Service whose endpoint is a process of a node: the answers of that node's own process to the
//! node's own pods come from the cluster IP, as everybody else's do. With the socket path and
//! without it, over TCP and UDP, in both families.

mod stage;

use std::net::{IpAddr, SocketAddr};

use lab::Lab;
use lab::network::Network;
use lab::store::Kind;
use serde_json::Value;

use stage::servers::{of_family, try_ask};
use stage::{PATIENCE, Running, agents_with, product_of, product_on};

/// Where the process listens, and what the Service has for it.
const PORT: u16 = 7070;
const SERVICE_PORT: u16 = 80;

/// A pod on each of two nodes, to ask from.
const CLIENTS: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: on-node1, labels: {app: client}}, spec: {\
nodeName: node1, terminationGracePeriodSeconds: 0, \
containers: [{name: c, image: none, command: [sleep, infinity]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: on-node2, labels: {app: client}}, spec: {\
nodeName: node2, terminationGracePeriodSeconds: 0, \
containers: [{name: c, image: none, command: [sleep, infinity]}]}}
";

/// A Service without a selector; its endpoints are written by hand.
fn service(endpoints: &[IpAddr]) -> String {
    let ports = |key: &str, port: u16| {
        format!("[{{name: t, {key}: {port}}}, {{name: u, {key}: {port}, protocol: UDP}}]")
    };
    let mut manifest = format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: own}}, \
         spec: {{ipFamilyPolicy: PreferDualStack, ports: {}}}}}\n",
        ports("port", SERVICE_PORT)
    );
    for endpoint in endpoints {
        let family = if endpoint.is_ipv4() { "IPv4" } else { "IPv6" };
        manifest += &format!(
            "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{\
             name: own-{}, labels: {{kubernetes.io/service-name: own}}}}, addressType: {family}, \
             ports: {}, endpoints: [{{addresses: ['{endpoint}'], nodeName: node1, \
             conditions: {{ready: true}}}}]}}\n",
            family.to_lowercase(),
            ports("port", PORT)
        );
    }
    manifest
}

fn cluster_ips(lab: &Lab) -> Vec<IpAddr> {
    let found = lab.api().find(Kind::Service, "default", "own");
    let service = found.expect("an answer").expect("the Service");
    let addresses = service["spec"]["clusterIPs"].as_array().expect("addresses");
    let text = |address: &Value| address.as_str().expect("text").to_owned();
    let parsed = addresses.iter().map(|one| text(one).parse());
    parsed.collect::<Result<_, _>>().expect("addresses")
}

/// Processes of the nodes ask as well, one of them on the endpoint's own node.
fn every_node_is_answered(lab: &Lab, frontends: &[IpAddr]) {
    for node in ["node1", "node2"] {
        for frontend in frontends {
            let place = |argv: &[&str]| lab.on_node(node, argv);
            let address = SocketAddr::new(*frontend, SERVICE_PORT);
            let what = format!("a process of {node} asks {address}");
            let asked = lab.wait(&what, PATIENCE, || Ok(try_ask(place, address).ok()));
            assert_eq!(asked.expect("answers").len(), 2, "{what}");
        }
    }
}

/// The clients are connected sockets: an answer that is not from the cluster IP is none to them.
fn every_pod_is_answered_by_a_process_of_a_node(lab: &Lab) {
    let serve = format!("flatnet-demo serve --drain-ms 0 --port {PORT}");
    let serve: Vec<_> = serve.split(' ').collect();
    let _server = Running::start(lab.on_node("node1", &serve));
    lab.apply(CLIENTS).expect("applied");
    let manifest = service(&lab.node_addresses("node1"));
    lab.apply(&manifest).expect("applied");
    let clients = lab.wait_pods("client", 2, PATIENCE).expect("they run");
    let frontends = cluster_ips(lab);
    assert_eq!(frontends.len(), 2, "{frontends:?}");
    for client in &clients {
        for frontend in &frontends {
            let place = |argv: &[&str]| lab.in_pod(&client.name, argv);
            let address = SocketAddr::new(*frontend, SERVICE_PORT);
            // The agents hear of the Service a moment after it is made.
            let what = format!("{} asks {address}", client.name);
            let asked = lab.wait(&what, PATIENCE, || Ok(try_ask(place, address).ok()));
            let own = of_family(&client.addresses, *frontend);
            for _ in 0..5 {
                let again = try_ask(place, address);
                assert_eq!(again.as_ref(), Ok(&vec![own, own]), "{what}");
            }
            assert_eq!(asked.expect("answers"), [own, own], "{what}");
        }
    }
    every_node_is_answered(lab, &frontends);
}

#[test]
fn a_process_of_a_node_answers_its_pods_with_the_socket_path() {
    if let Some(lab) = product_on("hostnet", 2, Network::default(), &[]) {
        every_pod_is_answered_by_a_process_of_a_node(&lab);
    }
}

#[test]
fn a_process_of_a_node_answers_its_pods_without_the_socket_path() {
    let Some(binaries) = agents_with("--socket-lb false") else {
        return;
    };
    let network = Network::default();
    if let Some(lab) = product_of(binaries.path(), "hostnet-packets", 2, network, &[]) {
        every_pod_is_answered_by_a_process_of_a_node(&lab);
    }
}
