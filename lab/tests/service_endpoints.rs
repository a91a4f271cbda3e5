//! Which endpoints take a Service's traffic: every row, on the path of packets and on that of
//! sockets, over TCP and UDP, in both families.

mod stage;

use std::net::SocketAddr;

use serde_json::json;
use stage::Running;
use stage::askers::From;
use stage::cast::{CLIENTS, Cast, End, Row};
use stage::servers::of_family;

const ROWS: [Row; 10] = [
    ("ready unless false", ready_unless_false),
    ("the last that drain take the traffic", the_last_that_drain),
    ("local ones that drain, internal policy", local_that_drain),
    (
        "local ones that drain, external policy",
        draining_behind_a_node_port,
    ),
    ("publishNotReadyAddresses", publish_not_ready),
    (
        "internalTrafficPolicy with a process of a node",
        internal_local_host_network,
    ),
    (
        "another node's NodePort is reached as from outside",
        another_nodes_node_port,
    ),
    ("hints", hints),
    ("an endpoint outside the cluster", outside_the_cluster),
    ("a pod that has failed", failed_pod),
];

#[test]
fn every_row_about_endpoints() {
    if let Some(cast) = Cast::new("rows-ends") {
        cast.show(&ROWS);
    }
}

fn ready_unless_false(cast: &Cast) {
    cast.service("ready", json!({}));
    cast.ends(
        "ready",
        &[End::with(1, json!({})), End::unready(2), End::ready(3)],
    );
    for at in cast.frontends("ready") {
        for from in CLIENTS.into_iter().chain([From::Node("node2")]) {
            cast.until(from, at, &[1, 3]);
        }
    }
    cast.ends("ready", &[End::unready(1), End::unready(2)]);
    for at in cast.frontends("ready") {
        CLIENTS
            .into_iter()
            .for_each(|from| cast.until_refused(from, at));
    }
}

fn the_last_that_drain(cast: &Cast) {
    cast.service_at("last", Some(30_110), json!({"type": "NodePort"}));
    let everywhere = |servers: &[usize]| {
        for at in cast.frontends("last") {
            CLIENTS
                .into_iter()
                .for_each(|from| cast.until(from, at, servers));
        }
        for at in cast.at("node3", 30_110) {
            cast.until(From::Outside, at, servers);
        }
    };
    cast.ends("last", &[End::draining(1), End::unready(2)]);
    everywhere(&[1]);
    cast.ends("last", &[End::draining(1), End::draining(2), End::ready(3)]);
    everywhere(&[3]);
    cast.ends(
        "last",
        &[End::draining(1), End::draining(2), End::unready(3)],
    );
    everywhere(&[1, 2]);
}

/// What drains on another node does not count under a Local policy.
fn local_that_drain(cast: &Cast) {
    cast.service("drain-in", json!({"internalTrafficPolicy": "Local"}));
    cast.ends("drain-in", &[End::draining(1), End::ready(2)]);
    for at in cast.frontends("drain-in") {
        cast.until(From::Pod("node1"), at, &[1]);
        cast.until(From::Node("node1"), at, &[1]);
        cast.until(From::Pod("node2"), at, &[2]);
        cast.until_dropped(From::Pod("node3"), at);
    }
}

fn draining_behind_a_node_port(cast: &Cast) {
    let fields = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    cast.service_at("drain-out", Some(30_111), fields);
    cast.ends("drain-out", &[End::draining(1), End::ready(2)]);
    for (node, server) in [("node1", 1), ("node2", 2)] {
        for at in cast.at(node, 30_111) {
            cast.until(From::Outside, at, &[server]);
        }
    }
    for at in cast.at("node3", 30_111) {
        cast.until_dropped(From::Outside, at);
    }
    cast.ends("drain-out", &[End::draining(1)]);
    for at in cast.at("node1", 30_111) {
        cast.until(From::Outside, at, &[1]);
        cast.until(From::Pod("node1"), at, &[1]);
    }
    for at in cast.at("node2", 30_111) {
        cast.until_dropped(From::Outside, at);
    }
}

/// Pods that are not ready, and one that is on its way out.
fn publish_not_ready(cast: &Cast) {
    let pod = |name: &str, probe: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "unready", "name": name}},
        "spec": {"nodeName": "node2", "terminationGracePeriodSeconds": 60, "containers": [{
            "name": "c", "image": "none",
            "command": ["flatnet-demo", "serve", "--drain-ms", "60000", "--port", "8080"],
            "readinessProbe": {"httpGet": {"path": probe, "port": 8080}, "periodSeconds": 1},
        }]}})
    };
    cast.apply(pod("s7", "/nothing-there"));
    let fields = json!({
        "type": "NodePort", "selector": {"app": "unready"}, "publishNotReadyAddresses": true,
        "ports": [
            {"name": "t", "port": 80, "targetPort": 8080, "nodePort": 30_112},
            {"name": "u", "port": 80, "targetPort": 8080, "nodePort": 30_112, "protocol": "UDP"},
        ],
    });
    cast.service("unready", fields);
    let ats = || {
        cast.frontends("unready")
            .into_iter()
            .chain(cast.at("node1", 30_112))
    };
    let everywhere = |servers: &[usize]| {
        for at in ats() {
            for from in [From::Pod("node1"), From::Pod("node3")] {
                match servers {
                    [] => cast.until_refused(from, at),
                    _ => cast.until(from, at, servers),
                }
            }
        }
    };
    let publish = |yes: bool| {
        cast.change(
            "unready",
            json!({"spec": {"publishNotReadyAddresses": yes}}),
        );
    };
    everywhere(&[7]);
    publish(false);
    everywhere(&[]);
    publish(true);
    let delete = || {
        cast.lab
            .api()
            .delete(lab::store::Kind::Pod, "default", "s7")
    };
    delete().expect("it is on its way out");
    everywhere(&[7]);
    publish(false);
    everywhere(&[]);
}

/// The endpoint is a process of node2, without a pod.
fn internal_local_host_network(cast: &Cast) {
    let serve = "flatnet-demo serve --drain-ms 0 --port 7075".split(' ');
    let serve: Vec<_> = serve.collect();
    let named = ["env", "POD_NAME=s8"].into_iter().chain(serve);
    let named: Vec<_> = named.collect();
    let _server = Running::start(cast.lab.on_node("node2", &named));
    cast.service("own", json!({"internalTrafficPolicy": "Local"}));
    for address in cast.lab.node_addresses("node2") {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let ports =
            json!([{"name": "t", "port": 7075}, {"name": "u", "port": 7075, "protocol": "UDP"}]);
        let ends =
            json!([{"addresses": [address], "nodeName": "node2", "conditions": {"ready": true}}]);
        cast.endpoints("own", &family.to_lowercase(), family, (&ports, &ends));
    }
    for at in cast.frontends("own") {
        cast.until(From::Pod("node2"), at, &[8]);
        cast.until(From::Node("node2"), at, &[8]);
        cast.until_dropped(From::Pod("node1"), at);
        cast.until_dropped(From::Pod("node3"), at);
    }
}

/// The short cut past the external policy is for the node's own pods and processes: those of
/// another node come as anybody from outside does.
fn another_nodes_node_port(cast: &Cast) {
    let fields = json!({"type": "NodePort", "externalTrafficPolicy": "Local"});
    cast.service_at("other", Some(30_113), fields);
    cast.ends("other", &[End::ready(1)]);
    for at in cast.at("node2", 30_113) {
        cast.until(From::Pod("node2"), at, &[1]);
        cast.until(From::Node("node2"), at, &[1]);
        for from in [From::Pod("node1"), From::Pod("node3"), From::Node("node1")] {
            cast.until_dropped(from, at);
        }
    }
    for at in cast.at("node1", 30_113) {
        for from in [From::Outside, From::Pod("node3"), From::Node("node2")] {
            cast.until(from, at, &[1]);
        }
    }
}

/// node1 and node3 are in zone a, node2 in zone b.
fn hints(cast: &Cast) {
    cast.service("hinted", json!({"trafficDistribution": "PreferSameNode"}));
    let see = |[c1, c2, c3]: [&[usize]; 3]| {
        for at in cast.frontends("hinted") {
            cast.until(From::Pod("node1"), at, c1);
            cast.until(From::Pod("node2"), at, c2);
            cast.until(From::Pod("node3"), at, c3);
        }
    };
    let zoned = |server: usize, zone: &str| End::ready(server).hinted(&[zone], &[]);
    let [a1, b2, a3] = [zoned(1, "a"), zoned(2, "b"), zoned(3, "a")];
    cast.ends("hinted", &[a1.clone(), b2.clone(), a3.clone()]);
    see([&[1, 3], &[2], &[1, 3]]);
    cast.ends("hinted", &[a1.clone(), End::ready(2), a3.clone()]);
    see([&[1, 2, 3]; 3]);
    cast.ends("hinted", &[a1, a3]);
    see([&[1, 3]; 3]);
    let noded = |server: usize, zone: &str| {
        let node = format!("node{server}");
        End::ready(server).hinted(&[zone], &[&node])
    };
    let [n1, n2, n3] = [noded(1, "a"), noded(2, "b"), noded(3, "a")];
    cast.ends("hinted", &[n1.clone(), n2.clone(), n3.clone()]);
    see([&[1], &[2], &[3]]);
    cast.ends("hinted", &[n2.clone(), n3]);
    see([&[3], &[2], &[3]]);
    cast.ends("hinted", &[n2]);
    see([&[2]; 3]);
    cast.ends("hinted", &[n1]);
    see([&[1]; 3]);
}

fn outside_the_cluster(cast: &Cast) {
    let argv = "env POD_NAME=s9 flatnet-demo serve --drain-ms 0 --port 7076".split(' ');
    let _server = Running::start(cast.lab.on_client(&argv.collect::<Vec<_>>()));
    cast.service_at("beyond", Some(30_114), json!({"type": "NodePort"}));
    for address in stage::outside::client_addresses(&cast.lab) {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let ports =
            json!([{"name": "t", "port": 7076}, {"name": "u", "port": 7076, "protocol": "UDP"}]);
        let ends = json!([{"addresses": [address], "conditions": {"ready": true}}]);
        cast.endpoints("beyond", &family.to_lowercase(), family, (&ports, &ends));
    }
    for at in cast.frontends("beyond") {
        for from in [From::Pod("node1"), From::Pod("node3"), From::Node("node2")] {
            cast.until(from, at, &[9]);
        }
        let node = of_family(&cast.lab.node_addresses("node2"), at.ip());
        cast.until(From::Pod("node1"), SocketAddr::new(node, 30_114), &[9]);
    }
}

/// As one that was evicted: it is still there, and no endpoint any more.
fn failed_pod(cast: &Cast) {
    let name = format!("{}-failed", cast.lab.name());
    let told = std::env::temp_dir().join(&name);
    let serve = "flatnet-demo serve --drain-ms 0 --port 8080";
    let script = format!(
        "{serve} & until [ -e {told} ]; do sleep 0.1; done; kill $!; exit 1",
        told = told.display()
    );
    cast.apply(json!({"apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": "s6", "labels": {"app": "fails", "name": "s6"}},
    "spec": {"nodeName": "node2", "restartPolicy": "Never", "containers": [
        {"name": "c", "image": "none", "command": ["sh", "-c", script]},
    ]}}));
    cast.service(
        "fails",
        json!({"selector": {"app": "fails"}, "ports": [
            {"name": "t", "port": 80, "targetPort": 8080},
            {"name": "u", "port": 80, "targetPort": 8080, "protocol": "UDP"},
        ]}),
    );
    for at in cast.frontends("fails") {
        CLIENTS
            .into_iter()
            .for_each(|from| cast.until(from, at, &[6]));
    }
    std::fs::write(&told, "").expect("written");
    for at in cast.frontends("fails") {
        CLIENTS
            .into_iter()
            .for_each(|from| cast.until_refused(from, at));
    }
    std::fs::remove_file(&told).expect("removed");
    let pod = cast.lab.api().find(lab::store::Kind::Pod, "default", "s6");
    let pod = pod.expect("an answer").expect("it is still there");
    assert_eq!(pod["status"]["phase"], "Failed");
}
