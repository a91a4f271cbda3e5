//! Sessions: every row, by conversations that are held open while the Service changes under them.

mod stage;

use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use lab::store::Kind;
use serde_json::{Value, json};
use stage::PATIENCE;
use stage::askers::From;
use stage::cast::{Cast, End, PORT, Row, affinity, all_three};
use stage::talk::{Connection, Datagrams};

const ROWS: [Row; 7] = [
    ("established connections stay", established_stay),
    ("endpoint removed", endpoint_removed),
    ("Service removed", service_removed),
    ("UDP with no endpoint in between", udp_without_endpoints),
    ("target port changed", target_port_changed),
    ("endpoints that were not ready at first", ready_later),
    ("clients connected while their endpoint dies", endpoint_dies),
];

/// What changes for a conversation is seen within this time: agents hear of a change, write it and
/// look at the flows that it ends.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn every_row_about_sessions() {
    if let Some(cast) = Cast::new("rows-sessions") {
        cast.show(&ROWS);
    }
}

/// From pods, from a node and from outside, while everything else about the Service changes.
fn established_stay(cast: &Cast) {
    let ips = json!({"type": "NodePort", "clusterIPs": ["10.96.0.203", "fd00:10:96::cb"]});
    cast.service_at("stay", Some(30_131), ips);
    cast.ends("stay", &all_three());
    let mut held: Vec<(From, SocketAddr, Connection, String)> = Vec::new();
    let node_ports = cast.at("node2", 30_131);
    let inside = [From::Pod("node1"), From::Pod("node3"), From::Node("node2")];
    for (from, ats) in inside
        .map(|from| (from, cast.frontends("stay")))
        .into_iter()
        .chain([(From::Outside, node_ports)])
    {
        for at in ats {
            cast.until(from, at, &[1, 2, 3]);
            for _ in 0..3 {
                let mut connection = Connection::open(&cast.place(from), at).expect("connected");
                let who = connection.ask().expect("an answer");
                held.push((from, at, connection, who));
            }
        }
    }
    let changes: [&dyn Fn(); 6] = [
        &|| cast.ends("stay", &[End::unready(1), End::draining(2), End::ready(3)]),
        &|| cast.change("stay", json!({"spec": {"internalTrafficPolicy": "Local"}})),
        &|| {
            cast.change("stay", json!({"spec": {"externalTrafficPolicy": "Local", "internalTrafficPolicy": "Cluster"}}))
        },
        &|| cast.change("stay", json!({"spec": affinity(100)})),
        &|| cast.ends("stay", &[End::ready(2)]),
        &|| cast.ends("stay", &all_three()),
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        sleep(Duration::from_millis(700));
        for (from, at, connection, who) in &mut held {
            let again = connection.ask();
            assert!(
                again.as_ref().is_ok_and(|it| it == who),
                "{from:?} {at} after change {number}: {again:?} instead of {who}"
            );
        }
    }
}

/// New ones stop at once, TCP drains, UDP moves.
fn endpoint_removed(cast: &Cast) {
    cast.service_at("removed", Some(30_132), json!({"type": "NodePort"}));
    let askers = [
        (From::Pod("node1"), cast.frontends("removed")),
        (From::Node("node1"), cast.frontends("removed")),
        (From::Outside, cast.at("node1", 30_132)),
    ];
    for (from, ats) in askers {
        for at in ats {
            cast.ends("removed", &[End::ready(2)]);
            cast.until(from, at, &[2]);
            let here = cast.place(from);
            let mut connection = Connection::open(&here, at).expect("connected");
            let datagrams = Datagrams::open(&here, 12_346, at).expect("a socket");
            assert_eq!(connection.ask().expect("an answer"), "s2");
            assert_eq!(datagrams.ask().expect("an answer"), "s2");
            cast.ends("removed", &[End::ready(3)]);
            let moved = datagrams.until(SOON, |asked| asked.as_ref().is_ok_and(|who| who == "s3"));
            assert!(moved.is_ok(), "{from:?} {at}: {moved:?}");
            cast.until(from, at, &[3]);
            for _ in 0..3 {
                assert_eq!(connection.ask().expect("it drains"), "s2", "{from:?} {at}");
                assert_eq!(datagrams.ask().expect("an answer"), "s3", "{from:?} {at}");
            }
        }
    }
}

/// Everything there refuses, also what was under way, and what is made anew there begins anew.
fn service_removed(cast: &Cast) {
    let fields = json!({"type": "NodePort", "clusterIPs": ["10.96.0.204", "fd00:10:96::cc"], "sessionAffinity": "ClientIP"});
    let make = |server: usize| {
        cast.service_at("gone", Some(30_133), fields.clone());
        cast.ends("gone", &[End::ready(server)]);
    };
    make(1);
    let ats = cast.frontends("gone");
    let here = cast.place(From::Pod("node1"));
    let held: Vec<_> = ats
        .iter()
        .zip([12_347, 12_351])
        .map(|(at, port)| Datagrams::open(&here, port, *at).expect("a socket"))
        .collect();
    for (at, datagrams) in ats.iter().zip(&held) {
        cast.until(From::Pod("node1"), *at, &[1]);
        assert_eq!(datagrams.ask().expect("an answer"), "s1");
    }
    cast.lab
        .api()
        .delete(Kind::Service, "default", "gone")
        .expect("deleted");
    let inside = [From::Pod("node3"), From::Node("node1"), From::Pod("node1")];
    for at in cast.at("node1", 30_133).into_iter().chain(ats) {
        inside
            .into_iter()
            .for_each(|from| cast.until_refused(from, at));
    }
    for at in cast.at("node1", 30_133) {
        cast.until_refused(From::Outside, at);
    }
    for datagrams in &held {
        let refused = datagrams.until(SOON, is_refused);
        assert!(refused.is_ok(), "{refused:?}");
    }
    make(2);
    for datagrams in &held {
        let anew = datagrams.until(SOON, |asked| asked.as_ref().is_ok_and(|who| who == "s2"));
        assert!(
            anew.is_ok(),
            "the affinity of the Service that is gone is not its own: {anew:?}"
        );
    }
}

fn is_refused(asked: &io::Result<String>) -> bool {
    matches!(asked, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}

/// One source port all along, from a pod, from a process of a node and from outside.
fn udp_without_endpoints(cast: &Cast) {
    cast.service_at("cycles", Some(30_134), json!({"type": "NodePort"}));
    let askers = [
        (From::Pod("node1"), cast.frontends("cycles")),
        (From::Node("node1"), cast.frontends("cycles")),
        (From::Pod("node3"), cast.at("node2", 30_134)),
        (From::Outside, cast.at("node1", 30_134)),
    ];
    for (from, ats) in askers {
        for at in ats {
            let datagrams = Datagrams::open(&cast.place(from), 12_345, at).expect("a socket");
            for server in [2, 3, 1] {
                let name = format!("s{server}");
                cast.ends("cycles", &[End::ready(server)]);
                let answered =
                    datagrams.until(SOON, |asked| asked.as_ref().is_ok_and(|who| *who == name));
                assert!(answered.is_ok(), "{from:?} {at} {name}: {answered:?}");
                cast.ends("cycles", &[]);
                let refused = datagrams.until(SOON, is_refused);
                assert!(refused.is_ok(), "{from:?} {at}: {refused:?}");
            }
        }
    }
}

/// A port at which nobody listens shows that the flow follows.
fn target_port_changed(cast: &Cast) {
    cast.service("target-port", json!({}));
    for from in [From::Pod("node1"), From::Node("node2")] {
        for at in cast.frontends("target-port") {
            let datagrams = Datagrams::open(&cast.place(from), 12_348, at).expect("a socket");
            for port in [PORT, PORT + 1] {
                cast.ends_at("target-port", port, &[End::ready(2)]);
                let answered = datagrams.until(SOON, Result::is_ok);
                assert!(answered.is_ok(), "{from:?} {at} {port}: {answered:?}");
                cast.until(from, at, &[2]);
                cast.ends_at("target-port", 9_999, &[End::ready(2)]);
                let refused = datagrams.until(SOON, is_refused);
                assert!(refused.is_ok(), "{from:?} {at} {port}: {refused:?}");
            }
        }
    }
}

fn ready_later(cast: &Cast) {
    cast.service("later", json!({}));
    cast.ends("later", &[End::unready(1)]);
    for at in cast.frontends("later") {
        for from in [From::Pod("node2"), From::Node("node3")] {
            cast.ends("later", &[End::unready(1)]);
            let datagrams = Datagrams::open(&cast.place(from), 12_349, at).expect("a socket");
            let refused = datagrams.until(SOON, is_refused);
            assert!(refused.is_ok(), "{from:?} {at}: {refused:?}");
            for _ in 0..20 {
                assert!(datagrams.ask().is_err());
            }
            cast.ends("later", &[End::ready(1)]);
            let answered = datagrams.until(SOON, Result::is_ok);
            assert!(answered.is_ok(), "{from:?} {at}: {answered:?}");
        }
    }
}

/// The pods are killed without a word; the sockets are those of an ordinary process in a pod (with
/// the socket path and without) and one that is held here.
fn endpoint_dies(cast: &Cast) {
    let container = json!({"name": "c", "image": "none", "command": ["flatnet-demo", "serve", "--drain-ms", "0", "--port", "8080"]});
    cast.apply(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "mortal"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "mortal"}}, "template": {
            "metadata": {"labels": {"app": "mortal"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        }},
    }));
    cast.lab
        .wait_pods("mortal", 2, PATIENCE)
        .expect("they serve");
    cast.service(
        "mortal",
        json!({"selector": {"app": "mortal"}, "ports": [
            {"name": "t", "port": 80, "targetPort": 8080},
            {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
        ]}),
    );
    let at = cast.frontends("mortal")[0];
    let here = cast.place(From::Pod("node1"));
    let known = || Ok(Connection::open(&here, at).ok());
    cast.lab
        .wait("the Service", PATIENCE, known)
        .expect("it answers");
    let (target, words) = (
        at.to_string(),
        "--one-socket --count 60 --interval-ms 100 --timeout-ms 300",
    );
    let argv: Vec<_> = ["flatnet-demo", "udp", &target]
        .into_iter()
        .chain(words.split(' '))
        .collect();
    let running = [From::Pod("node2"), From::Pod("node3")].map(|from| {
        let mut command = cast.command(from, &argv);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs")
    });
    let mut connection = Connection::open_from(&here, 12_350, at).expect("connected");
    let datagrams = Datagrams::open(&here, 12_350, at).expect("a socket");
    let before = (
        connection.ask().expect("an answer"),
        datagrams.ask().expect("an answer"),
    );
    let old = cast.lab.pods("mortal").expect("pods");
    for pod in &old {
        cast.lab
            .api()
            .delete(Kind::Pod, "default", &pod.name)
            .expect("deleted");
    }
    let is_old = |name: &str| old.iter().any(|pod| pod.name == name);
    let moved = datagrams.until(PATIENCE, |asked| {
        asked.as_ref().is_ok_and(|who| !is_old(who))
    });
    assert!(moved.is_ok(), "after {before:?}: {moved:?}");
    assert!(connection.ask().is_err(), "its server is dead");
    drop(connection);
    let next = Connection::open_from(&here, 12_350, at).and_then(|mut it| it.ask());
    assert!(
        next.as_ref().is_ok_and(|who| !is_old(who)),
        "the same port anew: {next:?}"
    );
    for child in running {
        let text =
            String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text");
        let last: Value =
            serde_json::from_str(text.lines().last().expect("answers")).expect("an answer");
        assert!(!is_old(last["pod"].as_str().expect("a pod")), "{text}");
    }
}
