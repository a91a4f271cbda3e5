//! Ports of a node that are a pod's: from outside, from the nodes, from pods, over TCP and UDP, in
//! both families; gone with the pod; made and removed while no agent runs.

mod stage;

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use lab::Lab;
use lab::network::{Families, Network};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use stage::{PATIENCE, output, product_on, told};

/// A pod `name` on `node`, whose port 8080 is to be these ports of the node.
fn pod(name: &str, node: &str, ports: &[&str]) -> String {
    let ports: String = ports
        .iter()
        .map(|port| format!("        - {{containerPort: 8080, {port}}}\n"))
        .collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels: {{app: {name}}}\n\
         spec:\n  nodeName: {node}\n  terminationGracePeriodSeconds: 1\n  containers:\n    \
         - name: main\n      image: flatnet/demo:dev\n      \
         command: [\"flatnet-demo\", \"serve\", \"--port\", \"8080\"]\n      ports:\n{ports}"
    )
}

fn start(lab: &Lab, name: &str, node: &str, ports: &[&str]) {
    lab.apply(&pod(name, node, ports)).expect("applied");
    lab.wait_pods(name, 1, PATIENCE).expect("it runs");
}

fn words(at: SocketAddr, udp: bool) -> Vec<String> {
    let (verb, target) = if udp {
        ("udp", at.to_string())
    } else {
        ("get", format!("http://{at}"))
    };
    ["flatnet-demo", verb, &target, "--count", "3"]
        .map(str::to_owned)
        .into()
}

/// Whoever asks there is answered by that pod.
fn answered_by(pod: &str, enter: impl Fn(&[&str]) -> Command, at: SocketAddr, udp: bool) {
    let words = words(at, udp);
    let argv: Vec<_> = words.iter().map(String::as_str).collect();
    let text = output(enter(&argv));
    assert_eq!(text.lines().count(), 3, "{argv:?}: {text}");
    for line in text.lines() {
        let answer: Value = serde_json::from_str(line).expect("an answer");
        assert_eq!(answer["pod"], pod, "{argv:?}");
    }
}

fn refused(enter: impl Fn(&[&str]) -> Command, at: SocketAddr, udp: bool) {
    let words = words(at, udp);
    let argv: Vec<_> = words.iter().map(String::as_str).collect();
    let ended = enter(&argv).output().expect("it runs");
    assert!(!ended.status.success(), "{argv:?}: {}", told(&ended));
}

/// From outside, from both nodes, from pods on both.
fn answered_everywhere(lab: &Lab, pod: &str, at: SocketAddr, udp: bool) {
    answered_by(pod, |argv| lab.on_client(argv), at, udp);
    for node in lab.nodes() {
        answered_by(pod, |argv| lab.on_node(&node, argv), at, udp);
    }
    for asker in ["near", "far"] {
        answered_by(pod, |argv| lab.in_pod(asker, argv), at, udp);
    }
}

fn cluster(prefix: &str) -> Option<Lab> {
    let network = Network {
        families: Families::Dual,
        ..Network::default()
    };
    let lab = product_on(prefix, 2, network, &[])?;
    for (name, node) in ["near", "far"].into_iter().zip(lab.nodes()) {
        start(&lab, name, &node, &["protocol: TCP"]);
    }
    Some(lab)
}

/// An agent that does nothing until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(lab: &Lab, node: &str) -> Self {
        let pid = lab.agent_pid(node).expect("an agent");
        let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
        kill(pid, Signal::SIGSTOP).expect("stopped");
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _gone = kill(self.0, Signal::SIGCONT);
    }
}

#[test]
fn a_host_port_answers_from_everywhere_and_is_gone_with_the_pod() {
    let Some(lab) = cluster("host-port") else {
        return;
    };
    let node = lab.nodes()[0].clone();
    // One port of each protocol, each another pod's.
    start(&lab, "tcp", &node, &["hostPort: 18080, protocol: TCP"]);
    start(&lab, "udp", &node, &["hostPort: 18080, protocol: UDP"]);
    let addresses = lab.node_addresses(&node);
    assert_eq!(addresses.len(), 2, "one of each family");
    let ports: Vec<_> = addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, 18080))
        .collect();
    for at in &ports {
        answered_everywhere(&lab, "tcp", *at, false);
        answered_everywhere(&lab, "udp", *at, true);
    }
    output(lab.kubectl(&["delete", "pod", "tcp"]));
    for at in &ports {
        refused(|argv| lab.on_client(argv), *at, false);
        answered_by("udp", |argv| lab.on_client(argv), *at, true);
    }
}

#[test]
fn a_host_port_of_the_loopback_answers_on_its_node_alone() {
    let Some(lab) = cluster("host-port-lo") else {
        return;
    };
    let node = lab.nodes()[0].clone();
    let ports = [
        "hostPort: 18081, hostIP: 127.0.0.1, protocol: TCP",
        "hostPort: 18081, hostIP: 127.0.0.1, protocol: UDP",
    ];
    start(&lab, "local", &node, &ports);
    let loopback = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 18081);
    let outer = SocketAddr::new(lab.node_addresses(&node)[0], 18081);
    for udp in [false, true] {
        answered_by("local", |argv| lab.on_node(&node, argv), loopback, udp);
        refused(|argv| lab.on_client(argv), outer, udp);
    }
}

#[test]
fn host_ports_come_and_go_while_the_agent_stands_still() {
    let Some(lab) = cluster("host-port-still") else {
        return;
    };
    let node = lab.nodes()[0].clone();
    let at = SocketAddr::new(lab.node_addresses(&node)[0], 18082);
    let _stopped = Stopped::new(&lab, &node);
    start(&lab, "still", &node, &["hostPort: 18082, protocol: TCP"]);
    answered_everywhere(&lab, "still", at, false);
    output(lab.kubectl(&["delete", "pod", "still"]));
    refused(|argv| lab.on_client(argv), at, false);
    // The port is free for the next pod.
    start(&lab, "next", &node, &["hostPort: 18082, protocol: TCP"]);
    answered_by("next", |argv| lab.on_client(argv), at, false);
}
