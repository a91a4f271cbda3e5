//! The packet programs, as a table: what is in the maps, what comes in, and then the verdict, the
//! bytes and the counters. Run by the kernel itself (BPF_PROG_TEST_RUN), on the programs as the
//! agent loads them.

mod kernel;

use kernel::packet::{tcp, udp};
use kernel::{DROP, Kernel, NEXT, REDIRECT, Run, counted, endpoint, frontend, ip};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

const CLIENT: &str = "10.244.1.2:40000";
const WEB: &str = "10.96.1.1:80";
const DNS: &str = "10.96.0.10:53";
const ONE: &str = "10.244.1.7:8080";
const TWO: &str = "10.244.2.8:8080";

/// A kernel with `web` (TCP) and `dns` (UDP), one endpoint each.
fn kernel(test: &str) -> Option<Kernel> {
    let mut kernel = Kernel::new(test)?;
    kernel.point(frontend(WEB, TCP), &[endpoint(ONE)]);
    kernel.point(frontend(DNS, UDP), &[endpoint(ONE)]);
    Some(kernel)
}

fn next(frame: Vec<u8>) -> Run {
    Run {
        verdict: NEXT,
        frame,
    }
}

#[test]
fn a_request_goes_to_the_endpoint_and_the_reply_comes_from_the_frontend() {
    let Some(mut kernel) = kernel("request and reply") else {
        return;
    };
    let rows = [
        (
            "udp",
            udp(CLIENT, DNS),
            udp(CLIENT, ONE),
            udp(ONE, CLIENT),
            udp(DNS, CLIENT),
        ),
        (
            "udp without a checksum",
            udp("10.244.1.3:1", DNS).no_checksum(),
            udp("10.244.1.3:1", ONE).no_checksum(),
            udp(ONE, "10.244.1.3:1").no_checksum(),
            udp(DNS, "10.244.1.3:1").no_checksum(),
        ),
        (
            "udp with ip options",
            udp("10.244.1.4:1", DNS).options(),
            udp("10.244.1.4:1", ONE).options(),
            udp(ONE, "10.244.1.4:1").options(),
            udp(DNS, "10.244.1.4:1").options(),
        ),
        (
            "tcp",
            tcp(CLIENT, WEB, SYN),
            tcp(CLIENT, ONE, SYN),
            tcp(ONE, CLIENT, SYN | ACK),
            tcp(WEB, CLIENT, SYN | ACK),
        ),
    ];
    for (name, request, translated, reply, restored) in &rows {
        assert_eq!(
            kernel.run("from_pod", &request.frame()),
            next(translated.frame()),
            "{name}"
        );
        for program in ["from_pod", "from_network"] {
            let run = kernel.run(program, &reply.frame());
            assert_eq!(run, next(restored.frame()), "{name}: reply at {program}");
        }
    }
    assert_eq!(
        kernel.counters(),
        counted([("flow-created", rows.len() as u64)])
    );
}

#[test]
fn what_concerns_no_service_passes_as_it_came() {
    let Some(mut kernel) = kernel("not ours") else {
        return;
    };
    let mut arp = udp(CLIENT, DNS).frame();
    arp[12..14].copy_from_slice(&[8, 6]);
    let mut icmp = udp(CLIENT, DNS).frame();
    icmp[23] = 1;
    let rows = [
        ("another address", udp(CLIENT, "10.244.2.9:53").frame()),
        ("another port", udp(CLIENT, "10.96.0.10:54").frame()),
        ("another protocol", tcp(CLIENT, DNS, SYN).frame()),
        ("a later fragment", udp(CLIENT, DNS).fragment(185).frame()),
        ("arp", arp),
        ("icmp", icmp),
        ("an unknown reply", udp(ONE, "10.244.1.99:1").frame()),
    ];
    for (name, frame) in rows {
        for program in ["from_pod", "from_network", "to_network"] {
            let run = kernel.run(program, &frame);
            assert_eq!(run, next(frame.clone()), "{name} at {program}");
        }
    }
    assert_eq!(kernel.counters(), counted([]));
}

#[test]
fn the_network_reaches_no_cluster_ip() {
    let Some(mut kernel) = kernel("from the network") else {
        return;
    };
    let frame = udp("203.0.113.7:9", DNS).frame();
    assert_eq!(kernel.run("from_network", &frame), next(frame));
    assert_eq!(kernel.counters(), counted([]));
}

#[test]
fn a_frontend_without_endpoints_refuses_at_once() {
    let Some(mut kernel) = kernel("refusal") else {
        return;
    };
    kernel.point(frontend(WEB, TCP), &[]);
    kernel.point(frontend(DNS, UDP), &[]);
    for program in ["from_pod", "to_network"] {
        let reset = kernel.run(program, &tcp(CLIENT, WEB, SYN).frame());
        assert_eq!(reset.verdict, REDIRECT, "tcp at {program}");
        assert_eq!(reset.frame.len(), 54);
        assert_eq!(reset.frame[47], 0x14, "RST and ACK");
        assert_eq!(&reset.frame[26..34], &[10, 96, 1, 1, 10, 244, 1, 2]);
        let datagram = udp(CLIENT, DNS).frame();
        let unreachable = kernel.run(program, &datagram);
        assert_eq!(unreachable.verdict, REDIRECT, "udp at {program}");
        assert_eq!(unreachable.frame[23], 1, "ICMP");
        assert_eq!(&unreachable.frame[34..36], &[3, 3], "port unreachable");
        assert_eq!(
            &unreachable.frame[42..70],
            &datagram[14..42],
            "quotes the datagram"
        );
    }
    let silent = kernel.run("from_pod", &udp(CLIENT, DNS).options().frame());
    assert_eq!(silent.verdict, DROP);
    let reset = kernel.run("from_pod", &tcp(CLIENT, WEB, 0x04).frame());
    assert_eq!(reset.verdict, DROP, "a reset is not answered");
    assert_eq!(
        kernel.counters(),
        counted([("no-endpoint", 4), ("no-endpoint-silent", 2)])
    );
}

#[test]
fn what_ends_before_its_headers_do_is_dropped() {
    let Some(mut kernel) = kernel("malformed") else {
        return;
    };
    let whole = tcp(CLIENT, WEB, SYN).frame();
    let mut version = whole.clone();
    version[14] = 0x65;
    let mut options = whole[..54].to_vec();
    options[14] = 0x4f;
    // A frame without a whole IP header cannot be made: the kernel refuses to run on it.
    let rows = [
        ("half a tcp header", whole[..40].to_vec()),
        ("no ports", udp(CLIENT, DNS).frame()[..36].to_vec()),
        ("another ip version", version),
        ("options beyond the end", options),
    ];
    let count = rows.len() as u64;
    for (name, frame) in rows {
        assert_eq!(kernel.run("from_pod", &frame).verdict, DROP, "{name}");
    }
    assert_eq!(kernel.counters(), counted([("malformed", count)]));
}

#[test]
fn a_datagram_leaves_a_dead_endpoint_and_a_connection_drains() {
    let Some(mut kernel) = kernel("endpoint gone") else {
        return;
    };
    kernel.run("from_pod", &udp(CLIENT, DNS).frame());
    kernel.run("from_pod", &tcp(CLIENT, WEB, SYN).frame());
    kernel.point(frontend(DNS, UDP), &[endpoint(TWO)]);
    kernel.point(frontend(WEB, TCP), &[endpoint(TWO)]);

    let run = kernel.run("from_pod", &udp(CLIENT, DNS).frame());
    assert_eq!(run, next(udp(CLIENT, TWO).frame()), "the datagram moves");
    let run = kernel.run("from_network", &udp(TWO, CLIENT).frame());
    assert_eq!(
        run,
        next(udp(DNS, CLIENT).frame()),
        "and its reply is known"
    );
    let late = udp(ONE, CLIENT).frame();
    assert_eq!(
        kernel.run("from_pod", &late),
        next(late),
        "the dead one's flow is forgotten"
    );

    let run = kernel.run("from_pod", &tcp(CLIENT, WEB, ACK).frame());
    assert_eq!(
        run,
        next(tcp(CLIENT, ONE, ACK).frame()),
        "the connection stays"
    );
    let run = kernel.run("from_pod", &tcp(CLIENT, WEB, SYN).frame());
    assert_eq!(
        run,
        next(tcp(CLIENT, TWO, SYN).frame()),
        "a new one on the same port moves"
    );
    assert_eq!(
        kernel.counters(),
        counted([("flow-created", 4), ("flow-moved", 2)])
    );
}

#[test]
fn a_flow_stays_where_it_is_while_its_endpoint_serves() {
    let Some(mut kernel) = kernel("endpoint stays") else {
        return;
    };
    kernel.run("from_pod", &udp(CLIENT, DNS).frame());
    let many: Vec<String> = (1..=40)
        .map(|last| format!("10.244.3.{last}:8080"))
        .collect();
    let mut list: Vec<_> = many.iter().map(|at| endpoint(at)).collect();
    list.push(endpoint(ONE));
    kernel.point(frontend(DNS, UDP), &list);
    for _ in 0..2 {
        let run = kernel.run("from_pod", &udp(CLIENT, DNS).frame());
        assert_eq!(run, next(udp(CLIENT, ONE).frame()));
    }
    assert_eq!(kernel.counters(), counted([("flow-created", 1)]));
}

#[test]
fn a_datagram_survives_zero_endpoints_and_a_removed_service() {
    let Some(mut kernel) = kernel("n to 0 to n") else {
        return;
    };
    let datagram = udp(CLIENT, DNS).frame();
    kernel.run("from_pod", &datagram);
    kernel.point(frontend(DNS, UDP), &[]);
    assert_eq!(
        kernel.run("from_pod", &datagram).verdict,
        REDIRECT,
        "refused meanwhile"
    );
    kernel.point(frontend(DNS, UDP), &[endpoint(TWO)]);
    assert_eq!(
        kernel.run("from_pod", &datagram),
        next(udp(CLIENT, TWO).frame())
    );
    kernel.remove(frontend(DNS, UDP));
    assert_eq!(
        kernel.run("from_pod", &datagram),
        next(datagram.clone()),
        "no Service, no flow"
    );
}

#[test]
fn new_flows_spread_over_the_endpoints() {
    let Some(mut kernel) = kernel("spread") else {
        return;
    };
    kernel.point(frontend(DNS, UDP), &[endpoint(ONE), endpoint(TWO)]);
    let mut to_one = 0;
    for port in 10_000..10_200 {
        let client = format!("10.244.1.2:{port}");
        let run = kernel.run("from_pod", &udp(&client, DNS).frame());
        if run == next(udp(&client, ONE).frame()) {
            to_one += 1;
        } else {
            assert_eq!(run, next(udp(&client, TWO).frame()));
        }
    }
    assert!(
        (60..140).contains(&to_one),
        "{to_one} of 200 went to one of two endpoints"
    );
}

#[test]
fn two_frontends_never_share_a_reverse_tuple() {
    let Some(mut kernel) = kernel("conflict") else {
        return;
    };
    let other = "10.96.9.9:53";
    kernel.point(frontend(other, UDP), &[endpoint(ONE)]);
    assert_eq!(
        kernel.run("from_pod", &udp(CLIENT, DNS).frame()),
        next(udp(CLIENT, ONE).frame())
    );
    assert_eq!(
        kernel.run("from_pod", &udp(CLIENT, other).frame()).verdict,
        DROP,
        "refused"
    );
    kernel.point(frontend(other, UDP), &[endpoint(ONE), endpoint(TWO)]);
    let run = kernel.run("from_pod", &udp(CLIENT, other).frame());
    assert_eq!(
        run,
        next(udp(CLIENT, TWO).frame()),
        "another endpoint is free"
    );
    let run = kernel.run("from_pod", &udp(ONE, CLIENT).frame());
    assert_eq!(
        run,
        next(udp(DNS, CLIENT).frame()),
        "the first keeps its replies"
    );
    assert_eq!(
        kernel.counters(),
        counted([("flow-created", 2), ("reverse-conflict", 1)])
    );
}

#[test]
fn the_nodes_own_packet_takes_the_way_to_its_endpoint() {
    let Some(mut kernel) = kernel("node's own") else {
        return;
    };
    let node = "172.30.0.11:40000";
    // The test run's packets stand on `lo`, so every real interface is another one.
    ip("link set lo up");
    ip("link add up0 address 02:00:00:00:00:11 type veth peer name peer0");
    ip("addr add 172.30.0.11/24 dev up0");
    ip("link set up0 up");
    ip("link set peer0 up");
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding");
    let run = kernel.run("to_network", &udp(node, DNS).frame());
    assert_eq!(run.verdict, DROP, "no route to the endpoint");
    ip("route add 10.244.1.0/24 via 172.30.0.12");
    let run = kernel.run("to_network", &udp(node, DNS).frame());
    assert_eq!(run.verdict, REDIRECT, "through the stack's neighbour table");
    ip("neigh add 172.30.0.12 lladdr 02:00:00:00:00:12 dev up0");
    let mut expected = udp(node, ONE).frame();
    expected[..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x12, 2, 0, 0, 0, 0, 0x11]);
    let run = kernel.run("to_network", &udp(node, DNS).frame());
    assert_eq!(
        run,
        Run {
            verdict: REDIRECT,
            frame: expected
        }
    );
    let run = kernel.run("from_network", &udp(ONE, node).frame());
    assert_eq!(run, next(udp(DNS, node).frame()));
    assert_eq!(
        kernel.counters(),
        counted([("flow-created", 1), ("no-route", 1)])
    );
}
