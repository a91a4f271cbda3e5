//! Pods and what is outside the cluster: their packets leave with the node's address and the
//! answers come back, over TCP, UDP and ICMP, whole and in fragments.

mod stage;

use std::net::{IpAddr, SocketAddr};

use lab::Lab;
use lab::handle::RunningPod;
use lab::network::{Families, Network, Subnets};
use serde_json::Value;

use stage::outside::{
    OUTSIDE_PORT, client_addresses, outside_servers, serve_at, serve_outside, teach_pod_routes,
};
use stage::servers::{PORT, ask, of_family, servers};
use stage::{agents_with, output, product_of, product_on};

fn network(families: Families, subnets: Subnets) -> Network {
    Network {
        families,
        subnets,
        mtu: None,
    }
}

/// Whom the server of the outside client sees, asked over TCP and UDP.
fn seen_from_outside(lab: &Lab, pod: &RunningPod, at: SocketAddr) -> Vec<IpAddr> {
    let answers = ask(|argv| lab.in_pod(&pod.name, argv), at);
    answers.into_iter().map(|(_, seen)| seen).collect()
}

/// Datagrams that are fragments on the wire, and their answers.
fn large_datagrams_pass(lab: &Lab, pod: &RunningPod, at: SocketAddr) {
    let (own, target) = (
        of_family(&lab.node_addresses(&pod.node), at.ip()),
        at.to_string(),
    );
    for size in ["2000", "60000"] {
        let argv = ["flatnet-demo", "udp", &target, "--size", size];
        let several = [&argv[..], &["--one-socket", "--count", "3"]].concat();
        let text = output(lab.in_pod(&pod.name, &several));
        assert_eq!(text.lines().count(), 3, "{size}: {text}");
        for line in text.lines() {
            let answer: Value = serde_json::from_str(line).expect("an answer");
            let client = answer["client"].as_str().expect("a client");
            let client: SocketAddr = client.parse().expect("an address");
            assert_eq!(client.ip(), own, "{size} bytes to {at}");
        }
    }
}

/// `ping` gets its answers, whole and in fragments, and `traceroute` sees each hop.
fn echo_and_hops(lab: &Lab, pod: &RunningPod, to: IpAddr, router: Option<IpAddr>) {
    let (host, node) = (
        to.to_string(),
        of_family(&lab.node_addresses(&pod.node), to),
    );
    for size in ["56", "5000"] {
        let ping = "ping -n -c 3 -i 0.2 -W 2 -s".split(' ');
        let ping: Vec<_> = ping.chain([size, &host]).collect();
        let text = output(lab.in_pod(&pod.name, &ping));
        assert!(text.contains(" 0% packet loss"), "{size}: {text}");
    }
    let hops = [Some(node), router, Some(to)];
    let hops: Vec<_> = hops
        .into_iter()
        .flatten()
        .map(|hop| hop.to_string())
        .collect();
    for way in ["-U", "-I", "-T"] {
        let argv = ["traceroute", "-n", "-q", "1", "-w", "2", way, &host];
        let text = output(lab.in_pod(&pod.name, &argv));
        let hop = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
        let seen: Vec<_> = text.lines().skip(1).filter_map(hop).collect();
        assert_eq!(seen, hops, "{way}: {text}");
    }
}

/// Every way out from every pod.
fn pods_reach_the_outside(row: &str, network: Network) {
    let tools = ["ping", "traceroute"];
    let Some(lab) = product_on(row, 2, network, &tools) else {
        return;
    };
    let _server = serve_outside(&lab);
    for pod in servers(&lab, 2) {
        for at in outside_servers(&lab) {
            let node = of_family(&lab.node_addresses(&pod.node), at.ip());
            for _ in 0..5 {
                let seen = seen_from_outside(&lab, &pod, at);
                assert_eq!(seen, [node; 2], "{pod:?} -> {at}");
            }
            large_datagrams_pass(&lab, &pod, at);
            let router = (network.subnets == Subnets::Separate).then(|| router(node));
            echo_and_hops(&lab, &pod, at.ip(), router);
        }
    }
}

/// The router of a node's own subnet.
fn router(node: IpAddr) -> IpAddr {
    match node {
        IpAddr::V4(node) => {
            let [a, b, c, _] = node.octets();
            IpAddr::from([a, b, c, 1])
        }
        IpAddr::V6(node) => {
            let mut segments = node.segments();
            segments[7] = 1;
            IpAddr::from(segments)
        }
    }
}

#[test]
fn pods_reach_the_outside_over_ipv4() {
    pods_reach_the_outside("out-v4", network(Families::Ipv4, Subnets::Shared));
}

#[test]
fn pods_reach_the_outside_over_ipv6() {
    pods_reach_the_outside("out-v6", network(Families::Ipv6, Subnets::Shared));
}

#[test]
fn pods_reach_the_outside_over_both() {
    pods_reach_the_outside("out-dual", network(Families::Dual, Subnets::Shared));
}

#[test]
fn pods_reach_the_outside_behind_a_router() {
    pods_reach_the_outside("out-far", network(Families::Dual, Subnets::Separate));
}

/// The client's second addresses, to which masquerade applies as before.
const NOT_EXCLUDED: [(&str, &str); 2] = [("172.30.0.201", "24"), ("fd00:172:30::201", "64")];

#[test]
fn what_is_excluded_from_masquerade_sees_the_pods_own_address() {
    let excluded = "--masquerade-exclude 172.30.0.200/32,fd00:172:30::200/128";
    let Some(agents) = agents_with(excluded) else {
        return;
    };
    let network = network(Families::Dual, Subnets::Shared);
    let Some(lab) = product_of(agents.path(), "out-exclude", 2, network, &[]) else {
        return;
    };
    let _server = serve_outside(&lab);
    teach_pod_routes(&lab);
    for (address, length) in NOT_EXCLUDED {
        let address = format!("{address}/{length}");
        // Deprecated: not the source of what the client sends by itself.
        let words = "dev eth0 valid_lft forever preferred_lft 0".split(' ');
        let add = ["ip", "address", "add", &address].into_iter();
        let nodad = (length == "64").then_some("nodad");
        let argv: Vec<_> = add.chain(words).chain(nodad).collect();
        output(lab.on_client(&argv));
    }
    for pod in servers(&lab, 2) {
        for at in outside_servers(&lab) {
            let own = of_family(&pod.addresses, at.ip());
            assert_eq!(
                seen_from_outside(&lab, &pod, at),
                [own; 2],
                "{pod:?} -> {at}"
            );
            let node = of_family(&lab.node_addresses(&pod.node), at.ip());
            let other = NOT_EXCLUDED[usize::from(at.is_ipv6())].0;
            let other = SocketAddr::new(other.parse().expect("an address"), at.port());
            // Over TCP alone: a datagram's answer would come from the client's first address.
            let argv = ["flatnet-demo", "get", &format!("http://{other}")];
            let answer = output(lab.in_pod(&pod.name, &argv));
            let client = SocketAddr::new(node, 0).to_string();
            let client = client.trim_end_matches('0');
            assert!(answer.contains(client), "{pod:?} -> {other}: {answer}");
        }
    }
}

/// Who comes straight to a pod's address is answered from there; the pod's own conversations with
/// the same client are masqueraded before, meanwhile and after.
#[test]
fn a_pod_answers_the_outside_from_its_own_address() {
    let network = network(Families::Dual, Subnets::Shared);
    let Some(lab) = product_on("out-in", 2, network, &["ping"]) else {
        return;
    };
    let _server = serve_outside(&lab);
    teach_pod_routes(&lab);
    let clients = client_addresses(&lab);
    for pod in servers(&lab, 2) {
        for (own, at) in pod.addresses.iter().zip(outside_servers(&lab)) {
            let node = of_family(&lab.node_addresses(&pod.node), at.ip());
            let client = of_family(&clients, *own);
            for _ in 0..3 {
                assert_eq!(seen_from_outside(&lab, &pod, at), [node; 2]);
                // A connected UDP socket takes an answer from the address that it asked alone.
                let answers = ask(|argv| lab.on_client(argv), SocketAddr::new(*own, PORT));
                let expected = (pod.name.clone(), client);
                assert_eq!(answers, [expected.clone(), expected]);
            }
            let (to, port) = (own.to_string(), SocketAddr::new(*own, PORT).to_string());
            output(lab.on_client(&["ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", &to]));
            let large = ["flatnet-demo", "udp", &port, "--size", "60000"];
            output(lab.on_client(&large));
        }
    }
}

/// Inside the cluster a pod's address stays, also where the outside has just seen the node's from
/// the same pod, and also on other nodes, to which the same uplink leads.
#[test]
fn nothing_is_masqueraded_inside_the_cluster() {
    let network = network(Families::Dual, Subnets::Shared);
    let Some(lab) = product_on("out-inside", 2, network, &[]) else {
        return;
    };
    let _server = serve_outside(&lab);
    let nodes = lab.nodes();
    let _servers: Vec<_> = nodes
        .iter()
        .map(|node| serve_at(&lab, |argv| lab.on_node(node, argv)))
        .collect();
    let pods = servers(&lab, 2);
    let mut inside: Vec<_> = nodes
        .iter()
        .flat_map(|node| lab.node_addresses(node))
        .map(|at| SocketAddr::new(at, OUTSIDE_PORT))
        .collect();
    let of_pods = pods.iter().flat_map(|pod| pod.addresses.clone());
    inside.extend(of_pods.map(|at| SocketAddr::new(at, PORT)));
    for pod in &pods {
        for at in outside_servers(&lab) {
            seen_from_outside(&lab, pod, at);
        }
        for at in &inside {
            let own = of_family(&pod.addresses, at.ip());
            let seen = seen_from_outside(&lab, pod, *at);
            assert_eq!(seen, [own; 2], "{pod:?} -> {at}");
        }
    }
}
