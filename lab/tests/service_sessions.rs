//! Sessions: every row, by conversations that are held open while the Service changes under them.

mod stage;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use lab::store::Kind;
use serde_json::{Value, json};
use stage::askers::From;
use stage::cast::{CLIENTS, Cast, End, PORT, Row};
use stage::place::Place;
use stage::servers::of_family;
use stage::talk::{Connection, Datagrams};
use stage::{PATIENCE, output};

const ROWS: [Row; 11] = [
    ("affinity counts from its last use", affinity_from_last_use),
    ("affinity is switched on and off", affinity_switched),
    ("a vanished endpoint is replaced", vanished_endpoint),
    ("established connections stay", established_stay),
    ("endpoint removed", endpoint_removed),
    ("Service removed", service_removed),
    ("UDP with no endpoint in between", udp_without_endpoints),
    ("target port changed", target_port_changed),
    ("endpoints that were not ready at first", ready_later),
    ("clients connected while their endpoint dies", endpoint_dies),
    (
        "hairpin and large datagrams over every frontend",
        every_frontend,
    ),
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

fn place(cast: &Cast, from: From) -> Place {
    match from {
        From::Outside => Place::member(&cast.lab, "client"),
        From::Node(node) => Place::member(&cast.lab, node),
        From::Pod(node) => Place::pod(&cast.lab, &cast.client(node).name),
    }
}

fn all_three() -> [End; 3] {
    [1, 2, 3].map(End::ready)
}

fn affinity(seconds: u32) -> Value {
    json!({
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}},
    })
}

/// Six clients, each with a connection that lasts longer than the time-out: by chance they would
/// all be where they were before once in 729 times.
fn affinity_from_last_use(cast: &Cast) {
    cast.service("sticky", affinity(4));
    cast.ends("sticky", &all_three());
    let frontends = cast.frontends("sticky");
    frontends
        .iter()
        .for_each(|at| cast.until_over(&["udp"], From::Node("node1"), *at, &first_of(cast, *at)));
    let places = CLIENTS.map(|from| place(cast, from));
    let each = || {
        places
            .iter()
            .flat_map(|place| frontends.iter().map(move |at| (place, *at)))
    };
    let open = || -> Vec<_> {
        let opened = each().map(|(place, at)| Connection::open(place, at).expect("connected"));
        opened.collect()
    };
    let ask = |connections: &mut Vec<Connection>| -> Vec<_> {
        let asked = connections
            .iter_mut()
            .map(|it| it.ask().expect("an answer"));
        asked.collect()
    };
    let mut held = open();
    let first = ask(&mut held);
    for _ in 0..16 {
        sleep(Duration::from_millis(500));
        assert_eq!(ask(&mut held), first);
    }
    assert_eq!(ask(&mut open()), first, "while they were in use");
    drop(held);
    let mut others = BTreeSet::new();
    for _ in 0..3 {
        sleep(Duration::from_secs(6));
        others.insert(ask(&mut open()));
    }
    others.insert(first);
    assert!(
        others.len() > 1,
        "some went elsewhere after the time-out: {others:?}"
    );
}

/// Waits for somebody's first answer there, and returns who it is.
fn first_of(cast: &Cast, at: SocketAddr) -> Vec<usize> {
    let asked = || Ok(cast.who("udp", From::Node("node1"), at).ok());
    let who = cast
        .lab
        .wait("an answer", PATIENCE, asked)
        .expect("it is served");
    who.iter()
        .map(|name| name[1..].parse().expect("a number"))
        .collect()
}

fn affinity_switched(cast: &Cast) {
    cast.service_at("switched", Some(30_130), json!({"type": "NodePort"}));
    cast.ends("switched", &all_three());
    let ats: Vec<_> = cast
        .frontends("switched")
        .into_iter()
        .chain(cast.at("node2", 30_130))
        .collect();
    let spread = || {
        for at in &ats {
            CLIENTS
                .into_iter()
                .for_each(|from| cast.until(from, *at, &[1, 2, 3]));
        }
    };
    spread();
    for _ in 0..2 {
        cast.change("switched", json!({"spec": affinity(10_800)}));
        for from in CLIENTS {
            for at in &ats {
                let alone = |verb: &str| cast.who(verb, from, *at).is_ok_and(|who| who.len() == 1);
                let kept = || Ok((alone("get") && alone("udp")).then_some(()));
                let waited = cast.lab.wait("one endpoint", PATIENCE, kept);
                assert!(
                    waited.is_ok(),
                    "{from:?} {at}: {:?}",
                    cast.who("udp", from, *at)
                );
            }
        }
        cast.change(
            "switched",
            json!({"spec": {"sessionAffinity": "None", "sessionAffinityConfig": null}}),
        );
        spread();
    }
}

fn vanished_endpoint(cast: &Cast) {
    cast.service("vanished", affinity(10_800));
    cast.ends("vanished", &all_three());
    for at in cast.frontends("vanished") {
        let who = |from| {
            let one = || Ok(cast.who("get", from, at).ok().filter(|who| who.len() == 1));
            let who = cast
                .lab
                .wait("one endpoint", PATIENCE, one)
                .expect("affinity");
            who.into_iter().next().expect("one")
        };
        for from in CLIENTS {
            cast.ends("vanished", &all_three());
            let first = who(from);
            let number: usize = first[1..].parse().expect("a number");
            let rest: Vec<_> = [1, 2, 3].into_iter().filter(|it| *it != number).collect();
            cast.ends(
                "vanished",
                &rest.iter().copied().map(End::ready).collect::<Vec<_>>(),
            );
            let moved = || {
                Ok(cast
                    .who("get", from, at)
                    .ok()
                    .filter(|who| !who.contains(&first)))
            };
            let next = cast.lab.wait("another", PATIENCE, moved).expect("it moves");
            assert_eq!(next.len(), 1, "and stays there: {next:?}");
            cast.ends("vanished", &all_three());
            sleep(Duration::from_millis(300));
            assert_eq!(
                cast.who("get", from, at),
                Ok(next),
                "also when the first is back"
            );
        }
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
                let mut connection = Connection::open(&place(cast, from), at).expect("connected");
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
            let here = place(cast, from);
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

/// Nobody answers any more, a NodePort refuses, and what is made anew there begins anew.
fn service_removed(cast: &Cast) {
    let fields = json!({"type": "NodePort", "clusterIPs": ["10.96.0.204", "fd00:10:96::cc"], "sessionAffinity": "ClientIP"});
    let make = |server: usize| {
        cast.service_at("gone", Some(30_133), fields.clone());
        cast.ends("gone", &[End::ready(server)]);
    };
    make(1);
    let ats = cast.frontends("gone");
    let here = place(cast, From::Pod("node1"));
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
    for at in cast.at("node1", 30_133) {
        for from in [
            From::Outside,
            From::Pod("node3"),
            From::Node("node1"),
            From::Pod("node1"),
        ] {
            cast.until_refused(from, at);
        }
    }
    for datagrams in &held {
        let silent = datagrams.until(SOON, Result::is_err);
        assert!(silent.is_ok(), "{silent:?}");
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
            let datagrams = Datagrams::open(&place(cast, from), 12_345, at).expect("a socket");
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
            let datagrams = Datagrams::open(&place(cast, from), 12_348, at).expect("a socket");
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
            let datagrams = Datagrams::open(&place(cast, from), 12_349, at).expect("a socket");
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
    let here = place(cast, From::Pod("node1"));
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

/// A pod asks itself, and everybody asks with datagrams that come in pieces.
fn every_frontend(cast: &Cast) {
    let external = ["198.51.100.31", "2001:db8:31::1"];
    let balancer = ["198.51.100.32", "2001:db8:32::1"];
    cast.service_at(
        "all",
        Some(30_135),
        json!({"type": "LoadBalancer", "externalIPs": external}),
    );
    cast.ends("all", &[End::ready(1)]);
    let ingress = balancer.map(|ip| json!({"ip": ip}));
    let status = json!({"status": {"loadBalancer": {"ingress": ingress}}}).to_string();
    let patch = "patch service all --subresource=status --type=merge -p".split(' ');
    output(
        cast.lab
            .kubectl(&patch.chain([&*status]).collect::<Vec<_>>()),
    );
    let of = |ips: [&str; 2]| ips.map(|ip| SocketAddr::new(ip.parse().expect("an address"), 80));
    let inside = cast
        .frontends("all")
        .into_iter()
        .chain(of(external))
        .chain(of(balancer));
    let node_ports: Vec<_> = [cast.at("node1", 30_135), cast.at("node2", 30_135)].concat();
    for at in inside.chain(node_ports.iter().copied()) {
        let target = at.to_string();
        let (url, large) = (
            format!("http://{at}"),
            ["flatnet-demo", "udp", &target, "--size", "60000"],
        );
        for from in [
            From::Pod("node1"),
            From::Pod("node2"),
            From::Pod("node3"),
            From::Node("node1"),
            From::Node("node2"),
        ] {
            cast.until(from, at, &[1]);
            output(cast.command(from, &large));
        }
        for argv in [
            &["flatnet-demo", "get", &url, "--count", "5"][..],
            &["flatnet-demo", "udp", &target, "--count", "5"],
            &large,
        ] {
            output(cast.lab.in_pod("s1", argv));
        }
    }
    let gateway =
        |at: SocketAddr| of_family(&cast.lab.node_addresses("node2"), at.ip()).to_string();
    for at in of(external).into_iter().chain(of(balancer)) {
        let family = if at.is_ipv4() { "-4" } else { "-6" };
        let route = [
            "ip",
            family,
            "route",
            "replace",
            &at.ip().to_string(),
            "via",
            &gateway(at),
        ];
        output(cast.lab.on_client(&route));
    }
    for at in of(external)
        .into_iter()
        .chain(of(balancer))
        .chain(node_ports)
    {
        cast.until(From::Outside, at, &[1]);
        output(
            cast.lab
                .on_client(&["flatnet-demo", "udp", &at.to_string(), "--size", "60000"]),
        );
    }
}
