//! That packets travel: from pod to pod and from node to pod, from the first one on, with the
//! sender's own address, and through the pinned program only.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::node::{Pod, address_of, on_a_node};
use crate::pinned::Verdict;

/// Long enough for a loaded machine; only a failure waits it out.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long nothing must come for it to count as nothing.
const SILENCE: Duration = Duration::from_millis(300);
const PORT: u16 = 7000;

fn listener(pod: &Pod) -> UdpSocket {
    pod.inside(|| {
        let socket = UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    })
}

#[test]
fn pods_talk_through_the_node_with_their_own_addresses() {
    on_a_node(|node| {
        let (client, server) = (Pod::new(), Pod::new());
        let client_address = address_of(&node.add("client", &client));
        let server_address = address_of(&node.add("server", &server));

        let udp = listener(&server);
        let sender = client.inside(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        sender
            .send_to(b"ping", (server_address.as_str(), PORT))
            .unwrap();
        let mut buffer = [0; 16];
        let (length, from) = udp
            .recv_from(&mut buffer)
            .expect("the first datagram arrives");
        assert_eq!(
            (&buffer[..length], from.ip().to_string()),
            (b"ping".as_slice(), client_address.clone())
        );

        let tcp = server.inside(|| TcpListener::bind(("0.0.0.0", PORT)).unwrap());
        let target = (server_address.parse::<std::net::IpAddr>().unwrap(), PORT).into();
        let mut stream = client.inside(|| TcpStream::connect_timeout(&target, PATIENCE).unwrap());
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut accepted, from) = tcp.accept().unwrap();
        assert_eq!(from.ip().to_string(), client_address);
        accepted.write_all(b"pong").unwrap();
        drop(accepted);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "pong");
    });
}

#[test]
fn the_nodes_first_packet_after_add_arrives() {
    on_a_node(|node| {
        for round in 0..20 {
            let pod = Pod::new();
            let udp = listener(&pod);
            let result = node.add(&format!("c{round}"), &pod);
            // The node's own socket: this thread is in the node's namespace.
            let prober = UdpSocket::bind("172.30.0.11:0").unwrap();
            prober
                .send_to(b"probe", (address_of(&result).as_str(), PORT))
                .unwrap();
            let mut buffer = [0; 16];
            let (_, from) = udp
                .recv_from(&mut buffer)
                .unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(from.ip().to_string(), "172.30.0.11");
        }
    });
}

#[test]
fn no_packet_of_a_pod_goes_past_the_program() {
    on_a_node(|node| {
        let (client, server) = (Pod::new(), Pod::new());
        let server_address = address_of(&node.add("server", &server));
        let udp = listener(&server);
        udp.set_read_timeout(Some(SILENCE)).unwrap();

        // It sends as fast as it can from before the ADD on: whatever the order of steps leaves
        // open for an instant would be found.
        node.load(Verdict::Drop);
        let sender = client.inside(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let _no_route_yet = sender.send_to(b"past", (server_address.as_str(), PORT));
                }
            });
            node.add("client", &client);
            std::thread::sleep(Duration::from_millis(20));
            node.del("client");
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let error = udp
            .recv_from(&mut [0; 16])
            .expect_err("every packet is dropped");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}
