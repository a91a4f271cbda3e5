//! Nodes on a subnet each, behind a router that knows no pod: the tunnels between them.

mod stage;

use std::net::{IpAddr, SocketAddr};

use lab::Lab;
use lab::network::{Families, Network, Subnets};
use stage::capture::Capture;
use stage::servers::{PORT, ask, of_family, servers};
use stage::{PATIENCE, Running, output, product_on};

const NODE_PORT: u16 = 18080;

fn network(families: Families, subnets: Subnets) -> Network {
    Network {
        families,
        subnets,
        mtu: None,
    }
}

/// Every process of a node and every pod reaches every other, and each receiver sees the
/// sender's own address.
fn everybody_reaches_everybody(lab: &Lab, replicas: u8) {
    let pods = servers(lab, replicas);
    let port = NODE_PORT.to_string();
    let serve = ["flatnet-demo", "serve", "--port", &port];
    let nodes = lab.nodes();
    let running = nodes.iter().map(|node| lab.on_node(node, &serve));
    let _servers: Vec<_> = running.map(Running::start).collect();
    let mut receivers: Vec<(String, SocketAddr)> = vec![];
    for pod in &pods {
        let at = pod.addresses.iter();
        receivers.extend(at.map(|at| (pod.name.clone(), SocketAddr::new(*at, PORT))));
    }
    for node in &nodes {
        let addresses = lab.node_addresses(node);
        let at = addresses.iter().map(|at| SocketAddr::new(*at, NODE_PORT));
        for at in at {
            let url = format!("http://{at}");
            let up = || {
                let probe = lab.on_node(node, &["flatnet-demo", "get", &url]).output();
                Ok(probe.expect("it runs").status.success().then_some(()))
            };
            lab.wait("a node's server", PATIENCE, up)
                .expect("it answers");
            receivers.push((String::new(), at));
        }
    }
    for (name, at) in &receivers {
        for pod in &pods {
            let own = of_family(&pod.addresses, at.ip());
            for answer in ask(|argv| lab.in_pod(&pod.name, argv), *at) {
                assert_eq!(answer, (name.clone(), own), "{} -> {at}", pod.name);
            }
        }
        for node in &nodes {
            let own = of_family(&lab.node_addresses(node), at.ip());
            for answer in ask(|argv| lab.on_node(node, argv), *at) {
                // Within a node the kernel answers from the very address that was asked.
                assert_eq!(answer, (name.clone(), own), "{node} -> {at}");
            }
        }
    }
}

fn cluster(row: &str, families: Families, subnets: Subnets, nodes: u8) -> Option<Lab> {
    product_on(row, nodes, network(families, subnets), &["ip", "tcpdump"])
}

#[test]
fn everybody_reaches_everybody_over_ipv4() {
    if let Some(lab) = cluster("vxlan-v4", Families::Ipv4, Subnets::Separate, 2) {
        everybody_reaches_everybody(&lab, 2);
    }
}

#[test]
fn everybody_reaches_everybody_over_ipv6() {
    if let Some(lab) = cluster("vxlan-v6", Families::Ipv6, Subnets::Separate, 2) {
        everybody_reaches_everybody(&lab, 2);
    }
}

#[test]
fn everybody_reaches_everybody_where_two_are_on_a_link_and_one_is_not() {
    let Some(lab) = cluster("vxlan-mixed", Families::Dual, Subnets::Mixed, 3) else {
        return;
    };
    everybody_reaches_everybody(&lab, 3);
    for (cidr, expected) in [
        ("10.244.2.0/24", "via 172.30.1.12 dev eth0"),
        ("10.244.3.0/24", "dev flatnet-vxlan4"),
        ("fd00:10:244:2::/64", "via fd00:172:30:1::12 dev eth0"),
        ("fd00:10:244:3::/64", "dev flatnet-vxlan4"),
    ] {
        let family = if cidr.contains(':') { "-6" } else { "-4" };
        let route = output(lab.on_node("node1", &["ip", family, "route", "show", cidr]));
        assert!(route.contains(expected), "{route}");
    }
    let to_node2 = [
        "ip",
        "route",
        "get",
        "172.30.1.12",
        "from",
        "10.244.1.9",
        "iif",
        "lo",
    ];
    let route = output(lab.on_node("node1", &to_node2));
    assert!(!route.contains("flatnet"), "{route}");
}

/// The only pod on each of two nodes.
fn one_on_each(lab: &Lab) -> [lab::handle::RunningPod; 2] {
    let pods = servers(lab, 2);
    let on = |node: &str| {
        let mut on = pods.iter().filter(|pod| pod.node == node);
        on.next().expect("a pod on each node").clone()
    };
    [on("node1"), on("node2")]
}

#[test]
fn the_wire_of_the_receiver_shows_the_senders_own_address() {
    let Some(lab) = cluster("vxlan-wire", Families::Dual, Subnets::Separate, 2) else {
        return;
    };
    let [sender, receiver] = one_on_each(&lab);
    for address in receiver.addresses.clone() {
        let to = SocketAddr::new(address, PORT);
        let (sender_address, node_address) = (
            of_family(&sender.addresses, address),
            of_family(&lab.node_addresses("node1"), address),
        );
        let capture = Capture::start(&lab, &receiver.name, &format!("dst port {PORT}"));
        ask(|argv| lab.in_pod(&sender.name, argv), to);
        ask(|argv| lab.on_node("node1", argv), to);
        let lines = capture.finish();
        let from = |own: IpAddr| {
            lines
                .iter()
                .filter(move |line| line.contains(&format!(" {own}.")))
        };
        assert!(from(sender_address).count() >= 2, "{lines:?}");
        assert!(from(node_address).count() >= 2, "{lines:?}");
        let all = from(sender_address).count() + from(node_address).count();
        // (The kubelet's probes come from the receiver's own node.)
        let own_node = of_family(&lab.node_addresses("node2"), address);
        assert_eq!(all + from(own_node).count(), lines.len(), "{lines:?}");
    }
}

#[test]
fn a_nodes_new_address_is_followed() {
    let network = network(Families::Ipv4, Subnets::Separate);
    let Some(lab) = product_on("vxlan-moves", 2, network, &["bridge", "kubectl"]) else {
        return;
    };
    let [sender, receiver] = one_on_each(&lab);
    let to = SocketAddr::new(receiver.addresses[0], PORT);
    ask(|argv| lab.in_pod(&sender.name, argv), to);
    // The old address stays, for the API server listens there; it must be used no more.
    output(lab.on_node(
        "node2",
        &["ip", "addr", "add", "172.30.2.77/24", "dev", "eth0"],
    ));
    let status = "{\"status\": {\"addresses\": [\
         {\"type\": \"InternalIP\", \"address\": \"172.30.2.77\"}, \
         {\"type\": \"Hostname\", \"address\": \"node2\"}]}}";
    let patch = [
        "patch",
        "node",
        "node2",
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    ];
    output(lab.kubectl(&patch));
    // A device cannot change its own end: for a moment it is not there.
    let shown = |node: &str, argv: &[&str]| {
        let output = lab.on_node(node, argv).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let moved = || {
        let outer = shown("node1", &["bridge", "fdb", "show", "dev", "flatnet-vxlan4"]);
        let local = shown("node2", &["ip", "-d", "link", "show", "flatnet-vxlan4"]);
        let done = outer.contains("dst 172.30.2.77") && local.contains("local 172.30.2.77");
        Ok(done.then_some(()))
    };
    lab.wait("the new address", PATIENCE, moved)
        .expect("followed");
    // The device is there before its routes are.
    for node in lab.nodes() {
        let settled = || {
            let diff = lab.agent_diff(&node)?;
            let text = String::from_utf8_lossy(&diff.stdout).into_owned();
            Ok(text
                .lines()
                .any(|line| line == "0 operations")
                .then_some(()))
        };
        lab.wait("the agent", PATIENCE, settled).expect("settled");
    }
    for _ in 0..2 {
        for answer in ask(|argv| lab.in_pod(&sender.name, argv), to) {
            assert_eq!(answer, (receiver.name.clone(), sender.addresses[0]));
        }
        let own = of_family(&lab.node_addresses("node1"), to.ip());
        for answer in ask(|argv| lab.on_node("node1", argv), to) {
            assert_eq!(answer, (receiver.name.clone(), own));
        }
    }
}

#[test]
fn a_service_spreads_over_nodes_behind_tunnels() {
    let Some(lab) = cluster("vxlan-svc", Families::Dual, Subnets::Separate, 3) else {
        return;
    };
    servers(&lab, 3);
    lab.apply(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: asker}, spec: {\
         selector: {matchLabels: {app: asker}}, template: {\
         metadata: {labels: {app: asker}}, spec: {terminationGracePeriodSeconds: 0, \
         containers: [{name: c, image: none, command: [sleep, infinity]}]}}}}",
    )
    .expect("applied");
    let asker = &lab.wait_pods("asker", 1, PATIENCE).expect("a pod")[0];
    lab.apply(&format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{\
         ipFamilyPolicy: RequireDualStack, selector: {{app: web}}, clusterIPs: \
         [10.96.9.9, 'fd00:10:96::99'], ports: [{{name: t, port: {PORT}}}, \
         {{name: u, port: {PORT}, protocol: UDP}}]}}}}"
    ))
    .expect("applied");
    for address in ["10.96.9.9", "fd00:10:96::99"] {
        let to = SocketAddr::new(address.parse().expect("an address"), PORT);
        let url = format!("http://{to}");
        let known = || {
            let probe = lab
                .on_node("node1", &["flatnet-demo", "get", &url])
                .output();
            Ok(probe.expect("it runs").status.success().then_some(()))
        };
        lab.wait("the Service", PATIENCE, known)
            .expect("it answers");
        for _ in 0..8 {
            let own = of_family(&asker.addresses, to.ip());
            for (_, seen) in ask(|argv| lab.in_pod(&asker.name, argv), to) {
                assert_eq!(seen, own, "{} -> {to}", asker.name);
            }
            let own = of_family(&lab.node_addresses("node1"), to.ip());
            for (_, seen) in ask(|argv| lab.on_node("node1", argv), to) {
                assert_eq!(seen, own, "node1 -> {to}");
            }
        }
    }
}
