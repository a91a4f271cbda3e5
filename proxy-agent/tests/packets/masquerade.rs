//! What leaves the cluster, and what comes back.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use super::kernel::packet::{Builder, exceeded, ping, pong, tcp, udp, unreachable};
use super::kernel::{DROP, counted, endpoint, frontend, ip};
use super::*;

/// Runs a test for each family on a node with an uplink.
fn each_leaving(test: &str, check: impl Fn(&Net, &mut Kernel)) {
    for net in &NETS {
        let Some(mut kernel) = net.leaving(test) else {
            return;
        };
        check(net, &mut kernel);
    }
}

/// The source port (or identifier) of a frame that left.
fn port(net: &Net, frame: &[u8], at: usize) -> u16 {
    let transport = if net.v4 { 34 } else { 54 };
    u16::from_be_bytes([frame[transport + at], frame[transport + at + 1]])
}

/// Makes a packet from one end to another.
type Make = fn(&str, &str) -> Builder;

/// A request, how it looks from the node's address, its answer there, and in the pod.
type Row = (&'static str, usize, Builder, Make, Make);

fn syn(from: &str, to: &str) -> Builder {
    tcp(from, to, SYN)
}

fn syn_ack(from: &str, to: &str) -> Builder {
    tcp(from, to, SYN | ACK)
}

#[test]
fn a_pod_leaves_under_the_nodes_address_and_hears_the_answer() {
    each_leaving("leaves", |net, kernel| {
        let Net {
            client, outside, ..
        } = *net;
        let rows: [Row; 3] = [
            ("udp", 0, udp(client, outside), udp, udp),
            ("tcp", 0, tcp(client, outside, SYN), syn, syn_ack),
            ("ping", 4, ping(client, outside), ping, pong),
        ];
        for (name, at, request, asks, answers) in rows {
            let run = kernel.leave(&request.frame());
            let node = net.node_at(port(net, &run.frame, at));
            assert!(
                (61_000..=61_009).contains(&port(net, &run.frame, at)),
                "{name}"
            );
            assert_eq!(run, next(asks(&node, outside).frame()), "{name}");
            assert_eq!(
                kernel.leave(&request.frame()),
                run,
                "{name}: the same port again"
            );
            let run = kernel.run("from_network", &answers(outside, &node).frame());
            assert_eq!(
                run,
                straight(answers(outside, client).frame()),
                "{name}: the answer"
            );
        }
        let counters = counted([("masqueraded", 3), ("shortcut", 3)]);
        assert_eq!(kernel.counters(), counters);
    });
}

#[test]
fn inside_the_cluster_and_without_an_address_nothing_changes() {
    each_leaving("stays", |net, kernel| {
        let Net {
            client,
            remote,
            outside,
            ..
        } = *net;
        let forwarded = udp(remote, outside).frame();
        assert_eq!(
            kernel.leave(&forwarded),
            next(forwarded),
            "no pod of this node"
        );
        let inside = udp(client, remote).frame();
        assert_eq!(kernel.leave(&inside), next(inside), "to another pod");
        kernel.uplink(&[], 61_000, 61_009);
        let outwards = udp(client, outside).frame();
        assert_eq!(kernel.leave(&outwards), next(outwards), "masquerade is off");
        assert_eq!(kernel.counters(), counted([]));
    });
}

#[test]
fn two_pods_on_one_port_are_told_apart_until_no_port_is_left() {
    each_leaving("ports", |net, kernel| {
        let Net { outside, .. } = *net;
        let mut seen = std::collections::BTreeSet::new();
        let mut dropped = 0;
        for client in 40_000..40_040 {
            let run = kernel.leave(&udp(&net.client_at(client), outside).frame());
            if run.verdict == DROP {
                dropped += 1;
            } else {
                assert!(seen.insert(port(net, &run.frame, 0)), "a port given twice");
            }
        }
        assert!(
            seen.len() >= 9,
            "sixteen attempts find nearly all of ten ports: {seen:?}"
        );
        assert_eq!(kernel.counters()["ports-exhausted"], dropped);
        let elsewhere = if net.v4 {
            "192.0.2.10:443"
        } else {
            "[2001:db8::10]:443"
        };
        let run = kernel.leave(&udp(&net.client_at(40_000), elsewhere).frame());
        assert_eq!(run.verdict, NEXT, "to another receiver all are free");
    });
}

#[test]
fn a_closed_connections_port_serves_the_next() {
    const FIN: u8 = 0x01;
    each_leaving("reuse", |net, kernel| {
        let Net { outside, .. } = *net;
        for (round, ending) in (40_000..40_060).zip([RST, FIN | ACK].iter().cycle()) {
            let client = net.client_at(round);
            let run = kernel.leave(&tcp(&client, outside, SYN).frame());
            assert_eq!(run.verdict, NEXT, "connection {round}");
            let node = net.node_at(port(net, &run.frame, 0));
            kernel.run("from_network", &tcp(outside, &node, SYN | ACK).frame());
            kernel.leave(&tcp(&client, outside, ACK).frame());
            kernel.leave(&tcp(&client, outside, *ending).frame());
            kernel.run("from_network", &tcp(outside, &node, *ending).frame());
        }
        let open = net.client_at(39_999);
        let run = kernel.leave(&tcp(&open, outside, SYN).frame());
        let node = net.node_at(port(net, &run.frame, 0));
        kernel.run("from_network", &tcp(outside, &node, SYN | ACK).frame());
        kernel.leave(&tcp(&open, outside, ACK).frame());
        for client in 41_000..41_040 {
            kernel.leave(&tcp(&net.client_at(client), outside, SYN).frame());
        }
        let answer = kernel.run("from_network", &tcp(outside, &node, ACK).frame());
        assert_eq!(
            answer,
            straight(tcp(outside, &open, ACK).frame()),
            "an open one is kept"
        );
    });
}

#[test]
fn no_port_of_the_nodes_own_sockets_is_taken() {
    for net in &NETS {
        let Some(mut kernel) = net.leaving("own sockets") else {
            return;
        };
        ip("link set lo up");
        let flags = if net.v4 { "" } else { "nodad" };
        ip(&format!(
            "addr add {}/{} dev lo {flags}",
            net.node,
            if net.v4 { 32 } else { 128 }
        ));
        let own = |port| net.node_at(port).parse::<SocketAddr>().expect("an address");
        let udp_sockets: Vec<_> = (61_000..61_009)
            .map(|port| UdpSocket::bind(own(port)).expect("a socket"))
            .collect();
        let listeners: Vec<_> = (61_000..61_009)
            .map(|port| TcpListener::bind(own(port)).expect("a socket"))
            .collect();
        // One pod after another, since each tries only some of the ten ports.
        for (name, request) in [("udp", udp as Make), ("tcp", syn)] {
            let runs = (40_000..40_030).map(|client| {
                let request = request(&net.client_at(client), net.outside);
                kernel.leave(&request.frame())
            });
            let left = runs.filter(|run| run.verdict != DROP);
            let ports: Vec<u16> = left.map(|run| port(net, &run.frame, 0)).collect();
            assert_eq!(ports, [61_009], "{name}: the one that no socket has, once");
        }
        drop((udp_sockets, listeners));
    }
}

#[test]
fn an_answer_to_what_came_to_the_pods_own_address_comes_from_there() {
    each_leaving("entered", |net, kernel| {
        let Net {
            client, outside, ..
        } = *net;
        for (name, question, answer) in [
            ("udp", udp(outside, client), udp(client, outside)),
            ("ping", ping(outside, client), pong(client, outside)),
            ("tcp", syn(outside, client), syn_ack(client, outside)),
        ] {
            let run = kernel.run("from_network", &question.frame());
            assert_eq!(run, straight(question.frame()), "{name}");
            assert_eq!(
                kernel.leave(&answer.frame()),
                next(answer.frame()),
                "{name}: the answer"
            );
        }
    });
}

#[test]
fn what_cannot_be_told_apart_does_not_leave() {
    each_leaving("no ports", |net, kernel| {
        let frame = udp(net.client, net.outside).protocol(47).frame();
        assert_eq!(kernel.leave(&frame).verdict, DROP);
        assert_eq!(kernel.counters(), counted([("not-masqueradable", 1)]));
    });
}

#[test]
fn an_error_on_the_way_reaches_the_pod_as_if_about_its_own_packet() {
    each_leaving("errors", |net, kernel| {
        let Net {
            client, outside, ..
        } = *net;
        let router = if net.v4 {
            "198.51.100.1:0"
        } else {
            "[2001:db8:1::1]:0"
        };
        let rows: [(&str, usize, Builder, Make); 3] = [
            ("udp", 0, udp(client, outside), udp),
            ("tcp", 0, tcp(client, outside, SYN), syn),
            ("ping", 4, ping(client, outside), ping),
        ];
        for (name, at, request, asks) in rows {
            let left = kernel.leave(&request.frame());
            let node = net.node_at(port(net, &left.frame, at));
            for (from, error) in [
                (router, exceeded as fn(&str, &str, &Builder) -> Builder),
                (outside, unreachable),
            ] {
                let on_the_wire = error(from, &node, &asks(&node, outside));
                let run = kernel.run("from_network", &on_the_wire.frame());
                let in_the_pod = error(from, client, &request);
                assert_eq!(run, straight(in_the_pod.frame()), "{name} from {from}");
            }
        }
        assert_eq!(kernel.counters()["error-translated"], 6);
    });
}

#[test]
fn a_pods_error_about_an_answer_names_the_nodes_address() {
    each_leaving("pods error", |net, kernel| {
        let Net {
            client, outside, ..
        } = *net;
        let left = kernel.leave(&udp(client, outside).frame());
        let node = net.node_at(port(net, &left.frame, 0));
        let error = unreachable(client, outside, &udp(outside, client));
        let run = kernel.leave(&error.frame());
        assert_eq!(
            run,
            next(unreachable(&node, outside, &udp(outside, &node)).frame())
        );
    });
}

#[test]
fn a_service_outside_the_cluster_answers_through_both() {
    each_leaving("chained", |net, kernel| {
        let Net {
            client,
            dns,
            outside,
            ..
        } = *net;
        kernel.point(frontend(dns, UDP), &[endpoint(outside)]);
        let run = kernel.run("from_pod", &udp(client, dns).frame());
        assert_eq!(run.frame, udp(client, outside).frame());
        let left = kernel.leave(&run.frame);
        let node = net.node_at(port(net, &left.frame, 0));
        let run = kernel.run("from_network", &udp(outside, &node).frame());
        assert_eq!(run, straight(udp(dns, client).frame()));
        let error = unreachable(outside, &node, &udp(&node, outside));
        let run = kernel.run("from_network", &error.frame());
        assert_eq!(
            run,
            straight(unreachable(dns, client, &udp(client, dns)).frame())
        );
    });
}
