//! That packets travel, in each family: from pod to pod and from node to pod, from the first one
//! on, with the sender's own address, and through the pinned program only.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::node::{Node, Pod, on_a_node};
use crate::pinned::Verdict;
use crate::result::addresses_of;

/// Long enough for a loaded machine; only a failure waits it out.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long nothing must come for it to count as nothing.
const SILENCE: Duration = Duration::from_millis(300);
const PORT: u16 = 7000;
/// IPv4 alone, IPv6 alone, and both.
const CLUSTERS: [&[&str]; 3] = [
    &["10.244.1.0/24"],
    &["fd00:10:244:1::/64"],
    &["10.244.1.0/24", "fd00:10:244:1::/64"],
];

fn in_each_cluster(test: fn(&Node)) {
    for subnets in CLUSTERS {
        on_a_node(move |node| {
            let node = node.with_subnets(subnets);
            let before = node.leftovers();
            test(&node);
            assert_eq!(node.leftovers(), before, "{subnets:?}");
        });
    }
}

/// A socket that is bound to any address of that family.
fn any(family: IpAddr, port: u16) -> SocketAddr {
    let any = match family {
        IpAddr::V4(_) => "0.0.0.0",
        IpAddr::V6(_) => "::",
    };
    (any.parse::<IpAddr>().unwrap(), port).into()
}

fn listener(pod: &Pod, family: IpAddr, patience: Duration) -> UdpSocket {
    pod.inside(|| {
        let socket = UdpSocket::bind(any(family, PORT)).unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        socket
    })
}

/// The node's own address in the family of another.
fn of_the_node(family: IpAddr) -> IpAddr {
    let address = match family {
        IpAddr::V4(_) => "172.30.0.11",
        IpAddr::V6(_) => "fd00:30::11",
    };
    address.parse().unwrap()
}

#[test]
fn pods_talk_through_the_node_with_their_own_addresses() {
    in_each_cluster(|node| {
        let (client, server) = (Pod::new(), Pod::new());
        let clients = addresses_of(&node.add("client", &client));
        let servers = addresses_of(&node.add("server", &server));
        for (ours, theirs) in clients.into_iter().zip(servers) {
            let target: SocketAddr = (theirs, PORT).into();
            let udp = listener(&server, theirs, PATIENCE);
            let sender = client.inside(|| UdpSocket::bind(any(theirs, 0)).unwrap());
            sender.send_to(b"ping", target).unwrap();
            let mut buffer = [0; 16];
            let received = udp.recv_from(&mut buffer);
            let (length, from) = received.expect("the first datagram arrives");
            assert_eq!((&buffer[..length], from.ip()), (b"ping".as_slice(), ours));

            let tcp = server.inside(|| TcpListener::bind(any(theirs, PORT)).unwrap());
            let mut stream =
                client.inside(|| TcpStream::connect_timeout(&target, PATIENCE).unwrap());
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut accepted, from) = tcp.accept().unwrap();
            assert_eq!(from.ip(), ours);
            accepted.write_all(b"pong").unwrap();
            drop(accepted);
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "pong");
        }
        node.del("client");
        node.del("server");
    });
}

#[test]
fn the_first_packets_after_add_arrive_in_both_directions() {
    in_each_cluster(|node| {
        for round in 0..20 {
            let pod = Pod::new();
            let container = format!("c{round}");
            // A listener of IPv6 hears IPv4 as well.
            let udp = listener(&pod, "::".parse().unwrap(), PATIENCE);
            let addresses = addresses_of(&node.add(&container, &pod));
            for address in addresses {
                // The node's own socket: this thread is in the node's namespace.
                let prober = UdpSocket::bind((of_the_node(address), 0)).unwrap();
                prober.set_read_timeout(Some(PATIENCE)).unwrap();
                prober.send_to(b"probe", (address, PORT)).unwrap();
                let mut buffer = [0; 16];
                let received = udp.recv_from(&mut buffer);
                let (_, from) = received.unwrap_or_else(|error| panic!("round {round}: {error}"));
                udp.send_to(b"alive", from).unwrap();
                let (_, from) = prober.recv_from(&mut buffer).unwrap();
                assert_eq!(from.ip(), address);
            }
            node.del(&container);
        }
    });
}

#[test]
fn no_packet_of_a_pod_goes_past_the_program() {
    in_each_cluster(|node| {
        let (client, server) = (Pod::new(), Pod::new());
        let servers = addresses_of(&node.add("server", &server));
        for address in servers {
            let udp = listener(&server, address, SILENCE);
            // It sends as fast as it can from before the ADD on: whatever the order of steps
            // leaves open for an instant would be found.
            node.load(Verdict::Drop);
            let sender = client.inside(|| UdpSocket::bind(any(address, 0)).unwrap());
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let _no_route_yet = sender.send_to(b"past", (address, PORT));
                    }
                });
                node.add("client", &client);
                std::thread::sleep(Duration::from_millis(20));
                node.del("client");
                stop.store(true, Ordering::Relaxed);
            });
            let silence = loop {
                let received = udp.recv_from(&mut [0; 16]);
                let error = received.expect_err("every packet is dropped").kind();
                if error != ErrorKind::Interrupted {
                    break error;
                }
            };
            assert_eq!(silence, ErrorKind::WouldBlock);
        }
        node.del("server");
    });
}
