//! `flatnet trace` with a packet of its own, where all is well: what tcpdump sees at both ends is what
//! the trace says, whoever asks, and the endpoint that a program chose is the one that is shown.

mod stage;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::Value;

use stage::askers::{From, SETTLED, Stage};
use stage::capture::Capture;
use stage::paths::{self, Row, family, meant, rows, sender};
use stage::told;

/// More servers than one, on both nodes.
const MANY: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: many}, spec: {\
    replicas: 4, selector: {matchLabels: {app: many}}, template: {metadata: {labels: {app: many}}, \
    spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: none, \
    command: [flatnet-demo, serve, --port, '8080']}]}}}}";
/// Ends, and the pods that answer there.
const SERVES: [(&str, &str); 4] = [
    ("pod/web:8080", "web"),
    ("svc/web:80", "web"),
    (":30091", "web"),
    (":8082", "host"),
];

fn trace(stage: &Stage, asked: &str) -> Value {
    let words = format!("trace {asked} -o json");
    let words: Vec<&str> = words.split(' ').collect();
    let said = stage.lab.flatnet(&words).output().expect("it runs");
    assert!(said.status.success(), "{asked}: {}", told(&said));
    serde_json::from_slice(&said.stdout).expect("JSON")
}

/// It arrived, as the model has it.
fn agreed(asked: &str, answer: &Value) {
    let observed = &answer["observed"];
    assert_eq!(observed["probe"]["answer"], "answered", "{asked}: {answer}");
    assert_eq!(observed["difference"], Value::Null, "{asked}: {answer}");
    let hops = |way: &str| answer[way].as_array().expect("hops").clone();
    for hop in hops("forward").iter().chain(&hops("back")) {
        assert_eq!(hop["not_seen"], false, "{asked}: {hop}");
    }
}

/// Whether tcpdump saw a packet from there (port 0: any) to there.
fn has(lines: &[String], from: SocketAddr, to: SocketAddr) -> bool {
    let from = match from.port() {
        0 => format!(" {}.", from.ip()),
        port => format!(" {}.{port} > ", from.ip()),
    };
    let to = format!(" > {}.{}:", to.ip(), to.port());
    lines
        .iter()
        .any(|line| line.contains(&from) && line.contains(&to))
}

/// An end of the JSON; a port that the sender or masquerade chooses is 0.
fn end(value: &Value) -> SocketAddr {
    let text = value.as_str().expect("an end").replace(":*", ":0");
    text.parse().expect("an address")
}

#[test]
fn tcpdump_at_both_ends_sees_what_the_trace_says() {
    let Some(stage) = Stage::new("trace-tcpdump") else {
        return;
    };
    let dns_node = paths::set(&stage);
    let mut compared = 0;
    for row in &rows() {
        for v6 in [false, true] {
            let row = meant(row, &stage.lab, v6, &dns_node);
            compared += usize::from(compare(&stage, &row, v6));
        }
    }
    assert!(compared >= 20, "{compared} paths");
}

/// Whether it is one of the paths that begin and end where tcpdump can be run.
fn compare(stage: &Stage, row: &Row, v6: bool) -> bool {
    let mut ends = row.asked.split(' ');
    let (from, to) = (ends.next().and_then(sender), ends.next().expect("two ends"));
    let server = SERVES.iter().find(|(end, _)| to.ends_with(end));
    let (Some(from), Some((_, server))) = (from, server) else {
        return false;
    };
    // Not what else there is: neighbours, the kubelet.
    let filter = "port 8080 or port 80 or port 30091 or port 8082";
    let there = Capture::at(|argv| stage.command(from, argv), filter);
    let here = Capture::start(&stage.lab, server, filter);
    let answer = trace(stage, &row.asked);
    let (there, here) = (there.finish(), here.finish());
    agreed(&row.asked, &answer);
    let port = end(&answer["observed"]["probe"]["from"]).port();
    let client = SocketAddr::new(stage.address(from, family(v6)), port);
    let hops = answer["forward"].as_array().expect("hops");
    let changes = hops.iter().filter(|hop| hop["change"].is_object());
    let changes: Vec<&Value> = changes.collect();
    let asked = (client, paths::destination(stage, to, v6));
    let after = |hop: Option<&&Value>| match hop {
        None => asked,
        Some(hop) => {
            let from = end(&hop["change"]["after"]["from"]);
            let from = if from.ip() == client.ip() {
                client
            } else {
                from
            };
            (from, end(&hop["change"]["after"]["to"]))
        }
    };
    // A node's own is translated before its interface; a pod's and a client's after theirs.
    let sent = after(changes.iter().rev().find(|hop| match from {
        From::Node(_) => true,
        _ => hop["kind"] == "connect",
    }));
    assert!(
        has(&there, sent.0, sent.1),
        "{}: {sent:?} in {there:?}",
        row.title
    );
    let got = after(changes.last());
    assert!(
        has(&here, got.0, got.1),
        "{}: {got:?} in {here:?}",
        row.title
    );
    true
}

/// The programs choose, and the path that is shown is the one that the packet took.
#[test]
fn of_several_endpoints_the_one_is_shown_that_was_chosen() {
    let Some(stage) = Stage::new("trace-several") else {
        return;
    };
    stage.lab.apply(MANY).expect("applied");
    stage.lab.wait_pods("many", 4, SETTLED).expect("they serve");
    stage.service("many", "many", 30092, "type: NodePort");
    let all = || Ok((four(&stage)).then_some(()));
    stage
        .lab
        .wait("four endpoints", SETTLED, all)
        .expect("known");
    for asked in [
        "pod/on-node2 svc/many:80",
        "pod/on-node2 svc/many:80 -6 -p udp",
        "node/node1 svc/many:80 -p udp",
        "outside svc/many:80 --through node2",
        "outside svc/many:80 -6 -p udp",
    ] {
        let mut taken = BTreeSet::new();
        for _ in 0..8 {
            let answer = trace(&stage, asked);
            agreed(asked, &answer);
            let hops = answer["forward"].as_array().expect("hops");
            let listener = hops.last().expect("hops");
            taken.insert(listener["place"].to_string());
            let pointed = hops.iter().find(|hop| hop["kind"] == "connect");
            if let Some(hop) = pointed {
                assert_eq!(
                    hop["pointed"]["towards"], hop["change"]["after"]["to"],
                    "{hop}"
                );
                assert_eq!(
                    hop["pointed"]["peer"], hop["change"]["before"]["to"],
                    "{hop}"
                );
            }
        }
        // That eight choices of four are all the same happens once in sixteen thousand times.
        assert!(taken.len() > 1, "{asked}: {taken:?}");
    }
}

fn four(stage: &Stage) -> bool {
    let said = stage
        .lab
        .flatnet(&["services", "many", "-o", "json"])
        .output();
    let all: Value = serde_json::from_slice(&said.expect("it runs").stdout).unwrap_or_default();
    let nodes = all.as_array().cloned().unwrap_or_default();
    let fronts = nodes.iter().flat_map(|node| {
        let ports = node["services"][0]["ports"].as_array().cloned();
        let ports = ports.unwrap_or_default().into_iter();
        ports.flat_map(|port| port["frontends"].as_array().cloned().unwrap_or_default())
    });
    let counts = fronts.map(|front| front["outside"]["endpoints"].as_array().map(Vec::len));
    let counts: Vec<_> = counts.collect();
    // Two nodes, two protocols, two families, cluster IP and NodePort.
    counts.len() == 16 && counts.iter().all(|count| *count == Some(4))
}

#[test]
fn what_keeps_a_client_outside_is_named() {
    let Some(stage) = Stage::new("trace-kept-outside") else {
        return;
    };
    let rows = [
        (
            "outside svc/kubernetes:443",
            "inside-only",
            "default/kubernetes",
        ),
        ("outside node/node1:81", "nobody-listens", "node1"),
        // Nobody beyond the nodes has a way to a pod.
        ("outside pod/web:8080", "lost-before-node", "node node1"),
    ];
    for (asked, reason, object) in rows {
        let words = format!("trace {asked} -o json");
        let words: Vec<&str> = words.split(' ').collect();
        let said = stage.lab.flatnet(&words).output().expect("it runs");
        let answer: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        assert_eq!(answer["outcome"]["reason"], reason, "{}", told(&said));
        assert_eq!(said.status.code(), Some(1), "{}", told(&said));
        let named = answer["outcome"]["object"].as_str().expect("an object");
        assert!(named.contains(object), "{named}");
    }
    // Nobody can ask under another's address: a model, and what to do.
    let said = stage
        .lab
        .flatnet(&["trace", "192.0.2.7", "node/node1:10256"]);
    let said = { said }.output().expect("it runs");
    let advice = String::from_utf8_lossy(&said.stderr);
    assert!(advice.contains("no packet was sent"), "{}", told(&said));
    assert!(
        advice.contains("flatnet trace --watch --port 10256"),
        "{advice}"
    );
}
