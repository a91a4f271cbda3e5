//! Which objects the proxy handles, and where a Service answers: every row, on the path of packets
//! and on that of sockets, over TCP and UDP, in both families.

mod stage;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use lab::store::Kind;
use serde_json::{Value, json};
use stage::askers::From;
use stage::cast::{CLIENTS, Cast, End, PORT, Row};
use stage::{PATIENCE, output};

const ROWS: [Row; 11] = [
    ("type: ExternalName", external_name),
    ("clusterIP: None", headless),
    ("service-proxy-name and headless labels", labels),
    ("addressType", address_type),
    ("several slices of one Service", several_slices),
    ("port match", port_match),
    ("protocols", protocols),
    ("ports are added and removed", ports_change),
    ("a Service is made again", made_again),
    ("two Services with the same endpoints", shared_endpoints),
    ("ipMode", ip_mode),
];

#[test]
fn every_row_about_objects() {
    if let Some(cast) = Cast::new("rows-objects") {
        cast.show(&ROWS);
    }
}

fn each_client(cast: &Cast, at: SocketAddr, servers: &[usize]) {
    for from in CLIENTS {
        cast.until(from, at, servers);
    }
}

/// What a name leads to, as a pod sees it.
fn resolved(cast: &Cast, name: &str) -> BTreeSet<String> {
    let argv = ["flatnet-demo", "resolve", name];
    let found = cast.command(From::Pod("node1"), &argv).output();
    let text = String::from_utf8(found.expect("it runs").stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn until_resolved(cast: &Cast, name: &str, expected: &[SocketAddr]) {
    let expected: BTreeSet<_> = expected.iter().map(|it| it.ip().to_string()).collect();
    let same = || Ok((resolved(cast, name) == expected).then_some(()));
    let waited = cast.lab.wait(name, PATIENCE, same);
    assert!(waited.is_ok(), "{name}: {:?}", resolved(cast, name));
}

/// DNS answers a name of another Service in its place; the proxy has nothing at its old addresses.
fn external_name(cast: &Cast) {
    cast.service("target", json!({}));
    cast.ends("target", &[End::ready(1)]);
    cast.service(
        "moves",
        json!({"clusterIPs": ["10.96.0.201", "fd00:10:96::c9"]}),
    );
    cast.ends("moves", &[End::ready(2)]);
    let own = cast.frontends("moves");
    for at in &own {
        each_client(cast, *at, &[2]);
    }
    until_resolved(cast, "moves", &own);
    cast.change(
        "moves",
        json!({"spec": {
            "type": "ExternalName", "externalName": "target.default.svc.cluster.local",
            "clusterIP": null, "clusterIPs": null, "ipFamilies": null, "ipFamilyPolicy": null,
        }}),
    );
    until_resolved(cast, "moves", &cast.frontends("target"));
    for at in &own {
        for from in CLIENTS {
            cast.until_refused(from, *at);
        }
    }
    cast.change("moves", json!({"spec": {
        "type": "NodePort", "externalName": null, "ipFamilyPolicy": "RequireDualStack",
        "ports": [{"name": "t", "port": 80, "nodePort": 30_120}, {"name": "u", "port": 80, "protocol": "UDP", "nodePort": 30_120}],
    }}));
    let again = cast.frontends("moves");
    for at in again.iter().copied().chain(cast.at("node1", 30_120)) {
        each_client(cast, at, &[2]);
    }
    until_resolved(cast, "moves", &again);
}

/// Its name leads to the endpoints themselves.
fn headless(cast: &Cast) {
    cast.service("bare", json!({"clusterIP": "None"}));
    cast.ends("bare", &[End::ready(1), End::ready(3)]);
    let addresses = |server: usize| cast.servers[server - 1].addresses.iter();
    let ends: Vec<_> = addresses(1)
        .chain(addresses(3))
        .map(|ip| SocketAddr::new(*ip, PORT))
        .collect();
    until_resolved(cast, "bare", &ends);
    for at in ends {
        let server = if addresses(1).any(|ip| *ip == at.ip()) {
            1
        } else {
            3
        };
        each_client(cast, at, &[server]);
    }
}

fn labels(cast: &Cast) {
    cast.service_at("labelled", Some(30_121), json!({"type": "NodePort"}));
    cast.ends("labelled", &[End::ready(3)]);
    let label = |name: &str, value: Value| {
        let name = format!("service.kubernetes.io/{name}");
        cast.change("labelled", json!({"metadata": {"labels": {name: value}}}));
    };
    let ats: Vec<_> = cast
        .frontends("labelled")
        .into_iter()
        .chain(cast.at("node2", 30_121))
        .collect();
    for name in ["service-proxy-name", "headless"] {
        for at in &ats {
            each_client(cast, *at, &[3]);
        }
        label(name, json!("another"));
        for at in &ats {
            cast.until_nobody(From::Pod("node1"), *at);
            cast.until_nobody(From::Pod("node3"), *at);
        }
        label(name, Value::Null);
    }
    for at in &ats {
        each_client(cast, *at, &[3]);
    }
}

/// Slices of each family count for that family, those of names for none.
fn address_type(cast: &Cast) {
    cast.service("families", json!({}));
    let ports =
        json!([{"name": "t", "port": PORT}, {"name": "u", "port": PORT, "protocol": "UDP"}]);
    let [first, second] = [0, 1].map(|index: usize| cast.servers[index].addresses.clone());
    for (addresses, v4) in [(first, true), (second, false)] {
        let address = addresses.iter().find(|it| it.is_ipv4() == v4);
        let family = if v4 { "IPv4" } else { "IPv6" };
        let ends = json!([{"addresses": [address], "conditions": {"ready": true}}]);
        cast.endpoints("families", &family.to_lowercase(), family, (&ports, &ends));
    }
    let ends = json!([{"addresses": ["s3.example.org"], "conditions": {"ready": true}}]);
    cast.endpoints("families", "names", "FQDN", (&ports, &ends));
    for at in cast.frontends("families") {
        each_client(cast, at, &[if at.is_ipv4() { 1 } else { 2 }]);
    }
}

/// An endpoint of two slices counts once: it has no more traffic than the other.
fn several_slices(cast: &Cast) {
    cast.service("sliced", json!({}));
    let ports =
        json!([{"name": "t", "port": PORT}, {"name": "u", "port": PORT, "protocol": "UDP"}]);
    for (name, ends) in [("1", [1, 2]), ("2", [2, 3])] {
        cast.slice("sliced", name, ports.clone(), &ends.map(End::ready));
    }
    cast.slice("sliced", "3", ports.clone(), &[End::ready(2)]);
    for at in cast.frontends("sliced") {
        each_client(cast, at, &[1, 2, 3]);
        let url = format!("http://{at}");
        let argv = ["flatnet-demo", "get", &url, "--count", "300"];
        for from in [From::Pod("node1"), From::Pod("node3")] {
            let text = output(cast.command(from, &argv));
            let twice = text.lines().filter(|line| line.contains("\"s2\"")).count();
            assert!((50..150).contains(&twice), "a third of 300: {twice}");
        }
    }
    for name in ["1-ipv4", "1-ipv6", "3-ipv4", "3-ipv6"] {
        let name = format!("sliced-{name}");
        cast.lab
            .api()
            .delete(Kind::EndpointSlice, "default", &name)
            .expect("deleted");
    }
    for at in cast.frontends("sliced") {
        each_client(cast, at, &[2, 3]);
    }
}

/// The number is that of the slice, for each endpoint its own, whatever the Service says.
fn port_match(cast: &Cast) {
    let ports = json!([
        {"name": "t", "port": 80, "targetPort": "named"},
        {"name": "u", "port": 80, "targetPort": "named", "protocol": "UDP"},
        {"name": "other", "port": 81, "targetPort": 1},
    ]);
    cast.service("matched", json!({"ports": ports}));
    let both = |port: u16| json!([{"name": "t", "port": port}, {"name": "u", "port": port, "protocol": "UDP"}]);
    cast.slice("matched", "1", both(PORT), &[End::ready(1)]);
    cast.slice("matched", "2", both(PORT + 1), &[End::ready(2)]);
    cast.slice(
        "matched",
        "3",
        json!([{"name": "other", "port": PORT + 1}]),
        &[End::ready(3)],
    );
    for at in cast.frontends("matched") {
        each_client(cast, at, &[1, 2]);
        let other = SocketAddr::new(at.ip(), 81);
        CLIENTS
            .into_iter()
            .for_each(|from| cast.until_over(&["get"], from, other, &[3]));
    }
    cast.service("unnamed", json!({"ports": [{"port": 80}]}));
    cast.slice("unnamed", "1", json!([{"port": PORT}]), &[End::ready(2)]);
    for at in cast.frontends("unnamed") {
        CLIENTS
            .into_iter()
            .for_each(|from| cast.until_over(&["get"], from, at, &[2]));
    }
}

/// One number over two protocols, of which one goes.
fn protocols(cast: &Cast) {
    cast.service_at("both", Some(30_122), json!({"type": "NodePort"}));
    cast.ends("both", &[End::ready(1), End::ready(2)]);
    let ats: Vec<_> = cast
        .frontends("both")
        .into_iter()
        .chain(cast.at("node1", 30_122))
        .collect();
    for at in &ats {
        each_client(cast, *at, &[1, 2]);
    }
    for (kept, name, lost, protocol) in [("get", "t", "udp", "TCP"), ("udp", "u", "get", "UDP")] {
        let port = json!({"name": name, "port": 80, "protocol": protocol, "nodePort": 30_122});
        cast.change("both", json!({"spec": {"ports": [port]}}));
        for at in &ats {
            for from in CLIENTS {
                cast.until_not(lost, from, *at, true);
                cast.until_over(&[kept], from, *at, &[1, 2]);
            }
        }
    }
}

/// What a Service does not have is refused at once, also at an address that it has.
fn ports_change(cast: &Cast) {
    cast.service_at("edited", Some(30_123), json!({"type": "NodePort"}));
    cast.ends("edited", &[End::ready(2)]);
    let ips = cast.frontends("edited");
    let at = |port: u16| ips.iter().map(move |at| SocketAddr::new(at.ip(), port));
    let ports = |list: &[(u16, u16)]| {
        let each = list.iter().enumerate().flat_map(|(index, (port, node))| {
            [("t", "TCP"), ("u", "UDP")].map(|(name, protocol)| {
                let name = if index == 0 {
                    name.to_owned()
                } else {
                    format!("{name}{index}")
                };
                json!({"name": name, "port": port, "protocol": protocol, "nodePort": node})
            })
        });
        cast.change(
            "edited",
            json!({"spec": {"ports": each.collect::<Vec<_>>()}}),
        );
    };
    for at in at(80) {
        each_client(cast, at, &[2]);
    }
    for at in at(81) {
        CLIENTS
            .into_iter()
            .for_each(|from| cast.until_refused(from, at));
        cast.until_refused(From::Node("node1"), at);
    }
    ports(&[(81, 30_124)]);
    for at in at(81).chain(cast.at("node1", 30_124)) {
        each_client(cast, at, &[2]);
    }
    for at in at(80).chain(cast.at("node1", 30_123)) {
        CLIENTS
            .into_iter()
            .for_each(|from| cast.until_refused(from, at));
        cast.until_refused(From::Node("node1"), at);
    }
    for at in cast.at("node1", 30_123) {
        cast.until_refused(From::Outside, at);
    }
    ports(&[(81, 30_124), (82, 30_125)]);
    for at in at(82) {
        CLIENTS
            .into_iter()
            .for_each(|from| cast.until_refused(from, at));
    }
    let named = json!([
        {"name": "t", "port": PORT}, {"name": "u", "port": PORT, "protocol": "UDP"},
        {"name": "t1", "port": PORT}, {"name": "u1", "port": PORT, "protocol": "UDP"},
    ]);
    cast.slice("edited", "1", named, &[End::ready(2)]);
    for at in at(81).chain(at(82)).chain(cast.at("node3", 30_125)) {
        each_client(cast, at, &[2]);
    }
}

fn made_again(cast: &Cast) {
    let ips = json!({"clusterIPs": ["10.96.0.202", "fd00:10:96::ca"]});
    for servers in [[1, 2], [2, 3], [3, 1]] {
        cast.service("again", ips.clone());
        cast.ends("again", &servers.map(End::ready));
        let ats = cast.frontends("again");
        for at in &ats {
            each_client(cast, *at, &servers);
        }
        cast.lab
            .api()
            .delete(Kind::Service, "default", "again")
            .expect("deleted");
        for at in ats {
            for from in [From::Pod("node1"), From::Pod("node3"), From::Node("node2")] {
                cast.until_refused(from, at);
            }
        }
    }
}

/// One goes; the other does not mind.
fn shared_endpoints(cast: &Cast) {
    for name in ["one", "two"] {
        cast.service(name, json!({}));
        cast.ends(name, &[End::ready(1), End::ready(3)]);
    }
    let [one, two] = ["one", "two"].map(|name| cast.frontends(name));
    for at in one.iter().chain(&two) {
        each_client(cast, *at, &[1, 3]);
    }
    cast.lab
        .api()
        .delete(Kind::Service, "default", "one")
        .expect("deleted");
    for at in one {
        cast.until_refused(From::Pod("node3"), at);
    }
    for at in two {
        each_client(cast, at, &[1, 3]);
    }
}

/// The address of a balancer that wants to see the packets itself is none of the node's.
fn ip_mode(cast: &Cast) {
    let (ours, theirs) = ("198.51.100.21", "198.51.100.22");
    cast.service_at(
        "balanced",
        Some(30_126),
        json!({"type": "LoadBalancer", "externalIPs": ["198.51.100.23"]}),
    );
    cast.ends("balanced", &[End::ready(1)]);
    let ingress = json!([{"ip": ours, "ipMode": "VIP"}, {"ip": theirs, "ipMode": "Proxy"}]);
    cast.balance("balanced", ingress);
    let at = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), 80);
    for ip in [ours, "198.51.100.23"] {
        each_client(cast, at(ip), &[1]);
        cast.until(From::Node("node2"), at(ip), &[1]);
    }
    for from in CLIENTS {
        cast.until_nobody(from, at(theirs));
    }
}
