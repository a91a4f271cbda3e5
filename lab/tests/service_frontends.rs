//! Where a Service answers, and where nobody does: every row, on the path of packets and on that of
//! sockets, over TCP and UDP, in both families.

mod stage;

use std::io;
use std::net::{SocketAddr, UdpSocket};

use lab::store::Kind;
use serde_json::json;
use stage::askers::From;
use stage::cast::{CLIENTS, Cast, End, PORT, Row};
use stage::place::Place;
use stage::servers::of_family;
use stage::talk::Connection;
use stage::{PATIENCE, output};

const ROWS: [Row; 7] = [
    (
        "hairpin and large datagrams over every frontend",
        every_frontend,
    ),
    ("type", types_change),
    (
        "two frontends, one endpoint, one client port",
        one_client_port,
    ),
    ("a cluster IP that no Service has", unallocated),
    ("another ServiceCIDR", another_service_cidr),
    ("an external IP on the nodes' own link", external_on_link),
    (
        "source ranges at a balancer's address that the node holds",
        ranges_at_the_nodes_address,
    ),
];

/// From which every conversation of a row is.
const CLIENT_PORT: u16 = 12_351;

/// Who is in the cluster.
const INSIDE: [From; 5] = [
    CLIENTS[0],
    CLIENTS[1],
    CLIENTS[2],
    From::Node("node1"),
    From::Node("node2"),
];

#[test]
fn every_row_about_frontends() {
    if let Some(cast) = Cast::new("rows-fronts") {
        cast.show(&ROWS);
    }
}

fn at_80(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), 80)
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
    cast.balance("all", json!(balancer.map(|ip| json!({"ip": ip}))));
    let of = |ips: [&str; 2]| ips.map(at_80);
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

/// One endpoint behind two Services, asked from one port: whom the client asked answers.
fn one_client_port(cast: &Cast) {
    for (name, node_port, policy) in [("first", 30_151, "Cluster"), ("second", 30_152, "Local")] {
        let fields = json!({"type": "NodePort", "externalTrafficPolicy": policy});
        cast.service_at(name, Some(node_port), fields);
        cast.ends(name, &[End::ready(1)]);
    }
    let pairs = |first: Vec<SocketAddr>, second: Vec<SocketAddr>| first.into_iter().zip(second);
    let inside = [From::Pod("node1"), From::Pod("node2"), From::Node("node2")].map(|from| {
        let frontends = pairs(cast.frontends("first"), cast.frontends("second"));
        (from, frontends)
    });
    let outside = pairs(cast.at("node1", 30_151), cast.at("node1", 30_152));
    for (from, frontends) in inside.into_iter().chain([(From::Outside, outside)]) {
        for (first, second) in frontends {
            cast.until(from, first, &[1]);
            cast.until(from, second, &[1]);
            let ask = || ask_in_turn([first, second]);
            let answered = cast.place(from).inside(ask);
            let expected = [first, second].repeat(3);
            assert_eq!(answered.expect("answers"), expected, "{from:?}");
            let server = SocketAddr::new(cast.server_address(1, first.ip()), PORT);
            let direct = (from != From::Outside).then_some(server);
            let ends: Vec<_> = [first, second].into_iter().chain(direct).collect();
            connections_at_once(&cast.place(from), &ends);
        }
    }
}

/// Who answers each of six questions from one port.
fn ask_in_turn(frontends: [SocketAddr; 2]) -> io::Result<Vec<SocketAddr>> {
    let any = if frontends[0].is_ipv4() {
        "0.0.0.0"
    } else {
        "::"
    };
    let socket = UdpSocket::bind((any, CLIENT_PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let ask = |at| {
        socket.send_to(b"who?", at)?;
        Ok(socket.recv_from(&mut [0; 2048])?.1)
    };
    frontends.repeat(3).into_iter().map(ask).collect()
}

/// Connections from one port to all of these, each of which is answered while the others stand.
fn connections_at_once(place: &Place, ends: &[SocketAddr]) {
    let connect = |end| Connection::open_from(place, CLIENT_PORT, end);
    let mut connections = Vec::new();
    for &end in ends {
        let connection = connect(end).unwrap_or_else(|error| panic!("{end}: {error}"));
        connections.push((end, connection));
        for (end, connection) in &mut connections {
            let answered = connection.ask().map_err(|error| error.to_string());
            assert_eq!(answered.as_deref(), Ok("s1"), "{end} of {ends:?}");
        }
    }
}

/// A node port closes with the type that had it; a load balancer need not have one.
fn types_change(cast: &Cast) {
    let balancer = at_80("198.51.100.42");
    cast.service_at("typed", Some(30_138), json!({"type": "NodePort"}));
    cast.ends("typed", &[End::ready(1), End::ready(3)]);
    let node_ports = [cast.at("node1", 30_138), cast.at("node2", 30_138)].concat();
    for at in &node_ports {
        for from in INSIDE.into_iter().chain([From::Outside]) {
            cast.until(from, *at, &[1, 3]);
        }
    }
    let without = |kind: &str| {
        let ports = json!([{"name": "t", "port": 80, "nodePort": null},
            {"name": "u", "port": 80, "protocol": "UDP", "nodePort": null}]);
        let fields = json!({"type": kind, "ports": ports, "allocateLoadBalancerNodePorts": false});
        cast.change("typed", json!({"spec": fields}));
    };
    let closed = || {
        for at in &node_ports {
            for from in INSIDE.into_iter().chain([From::Outside]) {
                cast.until_refused(from, *at);
            }
        }
    };
    without("LoadBalancer");
    cast.balance("typed", json!([{"ip": balancer.ip()}]));
    closed();
    CLIENTS
        .into_iter()
        .for_each(|from| cast.until(from, balancer, &[1, 3]));
    let plain = json!({"type": "ClusterIP", "allocateLoadBalancerNodePorts": null});
    cast.change("typed", json!({"spec": plain}));
    cast.balance("typed", json!([]));
    for at in cast.frontends("typed") {
        INSIDE
            .into_iter()
            .for_each(|from| cast.until(from, at, &[1, 3]));
    }
    closed();
}

/// Refused at once, also from outside, where somebody routes Service addresses to a node.
fn unallocated(cast: &Cast) {
    let nobody = ["10.96.77.77", "fd00:10:96::7777"].map(at_80);
    for at in nobody {
        INSIDE
            .into_iter()
            .for_each(|from| cast.until_refused(from, at));
        let via = of_family(&cast.lab.node_addresses("node2"), at.ip()).to_string();
        let family = if at.is_ipv4() { "-4" } else { "-6" };
        let to = at.ip().to_string();
        let route = ["ip", family, "route", "replace", &to, "via", &via];
        output(cast.lab.on_client(&route));
        cast.until_refused(From::Outside, at);
    }
}

/// Added, used and emptied again while everything runs.
fn another_service_cidr(cast: &Cast) {
    let at = at_80("10.196.196.9");
    cast.apply(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "more"},
        "spec": {"cidrs": ["10.196.196.0/24"]},
    }));
    INSIDE
        .into_iter()
        .for_each(|from| cast.until_refused(from, at));
    let fields = json!({"ipFamilyPolicy": "SingleStack", "clusterIPs": ["10.196.196.9"]});
    cast.service_at("more", Some(30_136), with_type(fields, "NodePort"));
    cast.ends("more", &[End::ready(1), End::ready(3)]);
    let node_port = cast.at("node2", 30_136)[0];
    for from in INSIDE {
        cast.until(from, at, &[1, 3]);
        cast.until(from, node_port, &[1, 3]);
    }
    let deleted = cast.lab.api().delete(Kind::Service, "default", "more");
    deleted.expect("deleted");
    INSIDE
        .into_iter()
        .for_each(|from| cast.until_refused(from, at));
}

/// Nobody has the address, and the nodes ask their neighbours for it: only what is pointed
/// elsewhere before it is a packet gets anywhere.
fn external_on_link(cast: &Cast) {
    let external = ["172.30.0.77", "fd00:172:30::77"];
    cast.service("on-link", json!({"externalIPs": external}));
    cast.ends("on-link", &[End::ready(1), End::ready(2)]);
    for at in external.map(at_80) {
        INSIDE
            .into_iter()
            .for_each(|from| cast.until(from, at, &[1, 2]));
    }
    cast.ends("on-link", &[]);
    for at in external.map(at_80) {
        INSIDE
            .into_iter()
            .for_each(|from| cast.until_refused(from, at));
    }
}

/// What the node's own processes send to an address of the node's comes from that address.
fn ranges_at_the_nodes_address(cast: &Cast) {
    let balancer = "198.51.100.41";
    let ranges = |ranges: &[&str]| json!({"spec": {"loadBalancerSourceRanges": ranges}});
    let hold = ["ip", "address", "add", "198.51.100.41/32", "dev", "lo"];
    output(cast.lab.on_node("node1", &hold));
    let fields = json!({"loadBalancerSourceRanges": ["10.244.2.0/24"]});
    cast.service_at("ranges", Some(30_137), with_type(fields, "LoadBalancer"));
    cast.ends("ranges", &[End::ready(1), End::ready(2)]);
    cast.balance("ranges", json!([{"ip": balancer}]));
    let at = at_80(balancer);
    cast.until(From::Pod("node2"), at, &[1, 2]);
    cast.until_dropped(From::Pod("node1"), at);
    cast.until_dropped(From::Node("node1"), at);
    // The node is in them, and so are its balancer's addresses.
    cast.change("ranges", ranges(&["172.30.0.11/32"]));
    cast.until(From::Node("node1"), at, &[1, 2]);
    cast.until_dropped(From::Pod("node2"), at);
}

fn with_type(mut fields: serde_json::Value, kind: &str) -> serde_json::Value {
    fields["type"] = json!(kind);
    fields
}
