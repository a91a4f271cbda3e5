//! One address for many: pods on the same port towards the same server, beside sockets of the
//! node's own. Nobody gets another's answer, and nobody loses a connection.

mod stage;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use lab::network::{Families, Network};
use tokio::net::TcpSocket;

use stage::outside::{BYTE_PORT, client_addresses, outside_servers, serve_outside};
use stage::place::Place;
use stage::servers::{of_family, servers};
use stage::{agents_with, product_of, product_on, told};

/// The port of everybody's own socket.
const OWN_PORT: u16 = 40_000;
/// Where the test's own server listens on the client.
const SERVER: u16 = 7000;
/// What is not there by then does not come.
const SOON: Duration = Duration::from_secs(3);

const DUAL: Network = Network {
    families: Families::Dual,
    subnets: lab::network::Subnets::Shared,
    mtu: None,
};

fn any(address: IpAddr, port: u16) -> SocketAddr {
    let any = match address {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(any, port)
}

/// A socket in `place` at `port`, towards `to` alone.
fn datagrams(place: &Place, port: u16, to: SocketAddr) -> UdpSocket {
    place.inside(|| {
        let socket = UdpSocket::bind(any(to.ip(), port)).expect("bound");
        socket.connect(to).expect("connected");
        socket.set_read_timeout(Some(SOON)).expect("patient");
        socket
    })
}

/// A connection from `port` of `place` to `to`.
fn connection(place: &Place, port: u16, to: SocketAddr) -> TcpStream {
    let connected = async || {
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.bind(any(to.ip(), port))?;
        socket.connect(to).await?.into_std()
    };
    let stream = place.inside(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        runtime.block_on(async { tokio::time::timeout(SOON, connected()).await })
    });
    let stream = stream.expect("connected in time").expect("connected");
    stream.set_nonblocking(false).expect("blocking");
    stream.set_read_timeout(Some(SOON)).expect("patient");
    stream
}

/// Everybody says who they are and hears it back, many times in turn; whom the server saw, by
/// name.
fn datagrams_in_turn(server: &UdpSocket, all: &[UdpSocket]) -> BTreeMap<String, SocketAddr> {
    let mut seen = BTreeMap::new();
    for _ in 0..20 {
        let mut buffer = [0; 16];
        for (number, socket) in all.iter().enumerate() {
            socket
                .send(&[u8::try_from(number).expect("few")])
                .expect("sent");
        }
        for _ in all {
            let (length, from) = server.recv_from(&mut buffer).expect("a question");
            let name = format!("{:?}", &buffer[..length]);
            let before = seen.insert(name, from);
            assert!(before.is_none_or(|before| before == from), "it moved");
            server.send_to(&buffer[..length], from).expect("answered");
        }
        for (number, socket) in all.iter().enumerate() {
            let length = socket.recv(&mut buffer).expect("an answer");
            assert_eq!(&buffer[..length], [u8::try_from(number).expect("few")]);
        }
    }
    seen
}

/// The same over connections.
fn connections_in_turn(
    server: &TcpListener,
    all: &mut [TcpStream],
) -> BTreeMap<String, SocketAddr> {
    let accepted = all.iter().map(|_| server.accept().expect("a connection"));
    let mut accepted: Vec<_> = accepted.collect();
    let mut seen = BTreeMap::new();
    for _ in 0..20 {
        for (number, stream) in all.iter_mut().enumerate() {
            let said = [u8::try_from(number).expect("few")];
            stream.write_all(&said).expect("sent");
        }
        for (stream, from) in &mut accepted {
            let mut said = [0];
            stream.set_read_timeout(Some(SOON)).expect("patient");
            stream.read_exact(&mut said).expect("a question");
            let before = seen.insert(format!("{said:?}"), *from);
            assert!(before.is_none_or(|before| before == *from), "it moved");
            stream.write_all(&said).expect("answered");
        }
        for (number, stream) in all.iter_mut().enumerate() {
            let mut said = [0];
            stream.read_exact(&mut said).expect("an answer");
            assert_eq!(said, [u8::try_from(number).expect("few")]);
        }
    }
    seen
}

/// Everybody's packets carry the node's address: the node's with its own port, the pods' each with
/// another.
fn told_apart(seen: &BTreeMap<String, SocketAddr>, node: IpAddr) {
    let mut all: Vec<_> = seen.values().collect();
    assert!(all.iter().all(|from| from.ip() == node), "{seen:?}");
    assert_eq!(
        seen["[0]"],
        SocketAddr::new(node, OWN_PORT),
        "the node's own"
    );
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 3, "{seen:?}");
}

#[test]
fn two_pods_and_their_node_speak_from_one_port_to_one_server() {
    let Some(lab) = product_on("masq-same", 1, DUAL, &[]) else {
        return;
    };
    let pods = servers(&lab, 2);
    let client = Place::member(&lab, "client");
    let pods = pods.iter().map(|pod| Place::pod(&lab, &pod.name));
    // The node's own first: it is number 0.
    let places: Vec<_> = std::iter::once(Place::member(&lab, "node1"))
        .chain(pods)
        .collect();
    for address in client_addresses(&lab) {
        let to = SocketAddr::new(address, SERVER);
        let node = of_family(&lab.node_addresses("node1"), address);
        let server = client.inside(|| UdpSocket::bind(to).expect("bound"));
        server.set_read_timeout(Some(SOON)).expect("patient");
        let all = places.iter().map(|place| datagrams(place, OWN_PORT, to));
        let all: Vec<_> = all.collect();
        told_apart(&datagrams_in_turn(&server, &all), node);
        let server = client.inside(|| TcpListener::bind(to).expect("bound"));
        let all = places.iter().map(|place| connection(place, OWN_PORT, to));
        let mut all: Vec<_> = all.collect();
        told_apart(&connections_in_turn(&server, &mut all), node);
    }
}

/// Few ports for masquerade, of which the node's own sockets hold half: pods get the others.
#[test]
fn a_port_that_a_socket_of_the_node_has_is_not_a_pods() {
    let Some(agents) = agents_with("--masquerade-ports 50000-50003") else {
        return;
    };
    let Some(lab) = product_of(agents.path(), "masq-few", 1, DUAL, &[]) else {
        return;
    };
    let pods = servers(&lab, 2);
    let client = Place::member(&lab, "client");
    let node = Place::member(&lab, "node1");
    for address in client_addresses(&lab) {
        let to = SocketAddr::new(address, SERVER);
        let server = client.inside(|| UdpSocket::bind(to).expect("bound"));
        server.set_read_timeout(Some(SOON)).expect("patient");
        let own = [50_000, 50_002].map(|port| datagrams(&node, port, to));
        let of_pods = pods
            .iter()
            .map(|pod| datagrams(&Place::pod(&lab, &pod.name), OWN_PORT, to));
        let all: Vec<_> = own.into_iter().chain(of_pods).collect();
        let mut ports: Vec<_> = datagrams_in_turn(&server, &all)
            .into_values()
            .map(|from| from.port())
            .collect();
        assert_eq!(ports[..2], [50_000, 50_002], "the node's own");
        ports.sort_unstable();
        assert_eq!(ports, [50_000, 50_001, 50_002, 50_003]);
    }
}

/// Connections in a quick row from pods and from the node at once, to one server.
#[test]
fn a_node_and_its_pods_connect_to_one_server_at_once() {
    let Some(lab) = product_on("masq-many", 1, DUAL, &[]) else {
        return;
    };
    let _server = serve_outside(&lab);
    let pods = servers(&lab, 2);
    for server in outside_servers(&lab) {
        let target = SocketAddr::new(server.ip(), BYTE_PORT).to_string();
        let argv = ["flatnet-demo", "connect", &target, "--count", "800"];
        let node = (0..2).map(|_| lab.on_node("node1", &argv));
        let of_pods = pods.iter().map(|pod| lab.in_pod(&pod.name, &argv));
        let all = node.chain(of_pods).map(|mut command| {
            let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
            piped.spawn().expect("it runs")
        });
        let all: Vec<_> = all.collect();
        for one in all {
            let ended = one.wait_with_output().expect("it ends");
            assert!(ended.status.success(), "{target}: {}", told(&ended));
        }
    }
}

/// More connections one after another than masquerade has ports: a port is free again once its
/// connection is closed.
#[test]
fn a_closed_connections_port_serves_the_next() {
    let Some(agents) = agents_with("--masquerade-ports 50000-50063") else {
        return;
    };
    let Some(lab) = product_of(agents.path(), "masq-reuse", 1, DUAL, &[]) else {
        return;
    };
    let _server = serve_outside(&lab);
    let pod = servers(&lab, 1).remove(0);
    for server in outside_servers(&lab) {
        let target = SocketAddr::new(server.ip(), BYTE_PORT).to_string();
        let argv = ["timeout", "30", "flatnet-demo", "connect", &target, "--count", "300"];
        let ended = lab.in_pod(&pod.name, &argv).output().expect("it runs");
        assert!(ended.status.success(), "{target}: {}", told(&ended));
    }
}
