//! The pod network, row by row: pods, nodes and addresses, in IPv4, IPv6 and dual-stack clusters.

mod stage;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use lab::network::Families;

use stage::servers::{PORT, ask, cluster, of_family, servers};
use stage::{PATIENCE, Running};

fn wanted(families: Families) -> usize {
    if families == Families::Dual { 2 } else { 1 }
}

/// Every pod reaches every pod on every node, and the receiver sees the sender's own address.
fn every_pod_reaches_every_pod(families: Families) {
    let Some(lab) = cluster("pod-pod", 2, families, &[]) else {
        return;
    };
    let pods = servers(&lab, 4);
    let mut walked = BTreeSet::new();
    for receiver in &pods {
        assert_eq!(receiver.addresses.len(), wanted(families), "{receiver:?}");
        for sender in &pods {
            for address in &receiver.addresses {
                let place = |argv: &[&str]| lab.in_pod(&sender.name, argv);
                let own = of_family(&sender.addresses, *address);
                let expected = (receiver.name.clone(), own);
                for answer in ask(place, SocketAddr::new(*address, PORT)) {
                    assert_eq!(answer, expected, "{sender:?} -> {receiver:?}");
                }
                walked.insert((address.is_ipv4(), sender.node == receiver.node));
            }
        }
    }
    assert_eq!(walked.len(), 2 * wanted(families), "{walked:?}");
}

#[test]
fn every_pod_reaches_every_pod_over_ipv4() {
    every_pod_reaches_every_pod(Families::Ipv4);
}

#[test]
fn every_pod_reaches_every_pod_over_ipv6() {
    every_pod_reaches_every_pod(Families::Ipv6);
}

#[test]
fn every_pod_reaches_every_pod_over_both() {
    every_pod_reaches_every_pod(Families::Dual);
}

/// Every node process reaches every pod, and back.
fn every_node_reaches_every_pod(families: Families) {
    let Some(lab) = cluster("node-pod", 2, families, &[]) else {
        return;
    };
    let pods = servers(&lab, 2);
    for node in lab.nodes() {
        let serve = ["flatnet-demo", "serve", "--port", "18080"];
        let _server = Running::start(lab.on_node(&node, &serve));
        let addresses = lab.node_addresses(&node);
        for pod in &pods {
            for address in &pod.addresses {
                let place = |argv: &[&str]| lab.on_node(&node, argv);
                let own = of_family(&addresses, *address);
                for answer in ask(place, SocketAddr::new(*address, PORT)) {
                    assert_eq!(answer, (pod.name.clone(), own), "{node} -> {pod:?}");
                }
            }
            for address in &addresses {
                let address = SocketAddr::new(*address, 18080);
                let place = |argv: &[&str]| lab.in_pod(&pod.name, argv);
                let url = format!("http://{address}");
                let up = || {
                    let probe = place(&["flatnet-demo", "get", &url]).output();
                    Ok(probe.expect("it runs").status.success().then_some(()))
                };
                lab.wait("the node's server", PATIENCE, up)
                    .expect("it answers");
                for (_, seen) in ask(place, address) {
                    assert!(pod.addresses.contains(&seen), "{pod:?} -> {node}: {seen}");
                }
            }
        }
    }
}

#[test]
fn every_node_process_reaches_every_pod_and_back_over_ipv4() {
    every_node_reaches_every_pod(Families::Ipv4);
}

#[test]
fn every_node_process_reaches_every_pod_and_back_over_ipv6() {
    every_node_reaches_every_pod(Families::Ipv6);
}

#[test]
fn every_node_process_reaches_every_pod_and_back_over_both() {
    every_node_reaches_every_pod(Families::Dual);
}
