//! Where packets go: out of the node past its stack, back into the stack when the way is not
//! plain, and the way of the node's own packets once they are translated. As packets.rs, with
//! interfaces and routes.

mod kernel;

use kernel::packet::{Builder, tcp, udp};
use kernel::{DROP, Kernel, NEXT, REDIRECT, Run, counted, endpoint, frontend, ifindex, ip};

const UDP: u8 = 17;

/// The addresses of one family.
struct Net {
    node: &'static str,
    peer: &'static str,
    link: &'static str,
    pods: &'static str,
    client: &'static str,
    client_pod: &'static str,
    endpoint: &'static str,
    dns: &'static str,
    flags: &'static str,
}

const NETS: [Net; 2] = [
    Net {
        node: "172.30.0.11",
        peer: "172.30.0.12",
        link: "24",
        pods: "10.244.2.0/24",
        client: "10.244.1.2:40000",
        client_pod: "10.244.1.2",
        endpoint: "10.244.2.8:8080",
        dns: "10.96.0.10:53",
        flags: "",
    },
    Net {
        node: "fd00:30::11",
        peer: "fd00:30::12",
        link: "64",
        pods: "fd00:10:244:2::/64",
        client: "[fd00:10:244:1::2]:40000",
        client_pod: "fd00:10:244:1::2",
        endpoint: "[fd00:10:244:2::8]:8080",
        dns: "[fd00:10:96::a]:53",
        flags: "nodad",
    },
];

/// A kernel with an uplink `up0` (the test run's packets stand on `lo`, so it is another
/// interface), forwarding, a client pod and `dns` with an endpoint behind the peer.
fn kernel(net: &Net, test: &str) -> Option<Kernel> {
    let mut kernel = Kernel::new(test)?;
    ip("link set lo up");
    ip("link add up0 address 02:00:00:00:00:11 type veth peer name peer0");
    ip(&format!(
        "addr add {}/{} dev up0 {}",
        net.node, net.link, net.flags
    ));
    ip("link set up0 up");
    ip("link set peer0 up");
    for sysctl in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        std::fs::write(format!("/proc/sys/net/{sysctl}"), "1").expect("forwarding");
    }
    kernel.pod(net.client_pod);
    kernel.uplink_at(ifindex("up0"), &[net.node], 61_000, 61_009);
    kernel.point(frontend(net.dns, UDP), &[endpoint(net.endpoint)]);
    Some(kernel)
}

fn know_the_peer(net: &Net) {
    ip(&format!("route add {} via {}", net.pods, net.peer));
    ip(&format!(
        "neigh add {} lladdr 02:00:00:00:00:12 dev up0",
        net.peer
    ));
}

/// The frame as it leaves on the uplink to the peer.
fn on_the_wire(frame: &Builder) -> Vec<u8> {
    let mut frame = frame.frame();
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x12, 2, 0, 0, 0, 0, 0x11]);
    frame
}

#[test]
fn a_pods_packet_leaves_past_the_stack_one_hop_poorer() {
    for net in &NETS {
        let Some(mut kernel) = kernel(net, "leaves") else {
            return;
        };
        know_the_peer(net);
        let run = kernel.run("from_pod", &udp(net.client, net.endpoint).frame());
        let expected = on_the_wire(&udp(net.client, net.endpoint).hops(63));
        assert_eq!(
            run,
            Run {
                verdict: REDIRECT,
                frame: expected
            },
            "untranslated"
        );
        let run = kernel.run("from_pod", &udp(net.client, net.dns).hops(2).frame());
        let expected = on_the_wire(&udp(net.client, net.endpoint).hops(1));
        assert_eq!(
            run,
            Run {
                verdict: REDIRECT,
                frame: expected
            },
            "translated"
        );
        assert_eq!(
            kernel.counters(),
            counted([("flow-created", 1), ("shortcut", 2)])
        );
    }
}

#[test]
fn the_way_out_of_a_connection_is_remembered_for_a_moment() {
    const ACK: u8 = 0x10;
    for net in &NETS {
        let Some(mut kernel) = kernel(net, "remembered") else {
            return;
        };
        know_the_peer(net);
        let segment = tcp(net.client, net.endpoint, ACK);
        let out = Run {
            verdict: REDIRECT,
            frame: on_the_wire(&tcp(net.client, net.endpoint, ACK).hops(63)),
        };
        assert_eq!(
            kernel.run("from_pod", &segment.frame()),
            out,
            "the whole walk"
        );
        ip(&format!("route del {}", net.pods));
        assert_eq!(
            kernel.run("from_pod", &segment.frame()),
            out,
            "the short one"
        );
        let last = kernel.run("from_pod", &segment.clone().hops(1).frame());
        assert_eq!(last.verdict, NEXT, "the last hop is the stack's");
        let mut longer = segment.frame();
        longer.extend([0; 100]);
        assert_eq!(kernel.run("from_pod", &longer).verdict, NEXT, "may not fit");
    }
}

#[test]
fn what_is_not_plain_is_the_stacks() {
    for net in &NETS {
        let Some(mut kernel) = kernel(net, "stack") else {
            return;
        };
        let to_endpoint = udp(net.client, net.endpoint);
        let stack = |run: Run, sent: &Builder, why: &str| {
            assert_eq!(
                run,
                Run {
                    verdict: NEXT,
                    frame: sent.frame()
                },
                "{why}"
            );
        };
        stack(
            kernel.run("from_pod", &to_endpoint.frame()),
            &to_endpoint,
            "no route",
        );
        ip(&format!("route add {} via {}", net.pods, net.peer));
        stack(
            kernel.run("from_pod", &to_endpoint.frame()),
            &to_endpoint,
            "no neighbour",
        );
        ip(&format!(
            "neigh add {} lladdr 02:00:00:00:00:12 dev up0",
            net.peer
        ));
        let last = to_endpoint.clone().hops(1);
        stack(kernel.run("from_pod", &last.frame()), &last, "the last hop");
        let node = format!("[{}]:9", net.node);
        let node = if net.node.contains(':') {
            node
        } else {
            format!("{}:9", net.node)
        };
        let to_node = udp(net.client, &node);
        stack(
            kernel.run("from_pod", &to_node.frame()),
            &to_node,
            "the node itself",
        );
        assert_eq!(kernel.counters(), counted([]));
    }
}

#[test]
fn the_nodes_own_packet_takes_the_way_to_its_endpoint() {
    for net in &NETS {
        let Some(mut kernel) = kernel(net, "node's own") else {
            return;
        };
        let node = match net.node.contains(':') {
            true => format!("[{}]:40000", net.node),
            false => format!("{}:40000", net.node),
        };
        let request = udp(&node, net.dns).frame();
        assert_eq!(
            kernel.run("to_network", &request).verdict,
            DROP,
            "no route to the endpoint"
        );
        ip(&format!("route add {} via {}", net.pods, net.peer));
        let run = kernel.run("to_network", &request);
        assert_eq!(run.verdict, REDIRECT, "through the stack's neighbour table");
        ip(&format!(
            "neigh add {} lladdr 02:00:00:00:00:12 dev up0",
            net.peer
        ));
        let run = kernel.run("to_network", &request);
        let expected = on_the_wire(&udp(&node, net.endpoint));
        assert_eq!(
            run,
            Run {
                verdict: REDIRECT,
                frame: expected
            }
        );
        let run = kernel.run("from_network", &udp(net.endpoint, &node).frame());
        assert_eq!(
            run,
            Run {
                verdict: NEXT,
                frame: udp(net.dns, &node).frame()
            },
            "the reply"
        );
        let counters = kernel.counters();
        assert_eq!((counters["flow-created"], counters["no-route"]), (1, 1));
    }
}
