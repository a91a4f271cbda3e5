//! Ports of the node that are one pod's.

use super::kernel::packet::{tcp, udp};
use super::kernel::{counted, frontend};
use super::*;

/// A node with a host port 8000 at each of its addresses, of the pod at `local`.
fn each_node(test: &str, check: impl Fn(&Net, &mut Kernel, &str)) {
    for net in &NETS {
        let Some(mut kernel) = net.leaving(test) else {
            return;
        };
        let any = if net.v4 { "0.0.0.0:8000" } else { "[::]:8000" };
        kernel.host_port(any, UDP, net.local);
        kernel.host_port(any, TCP, net.local);
        check(net, &mut kernel, &net.node_at(8000));
    }
}

#[test]
fn a_host_port_leads_to_its_pod_from_outside_and_from_pods() {
    each_node("host port", |net, kernel, at| {
        let Net {
            client,
            local,
            outside,
            ..
        } = *net;
        for (client, program) in [(outside, "from_network"), (client, "from_pod")] {
            let run = kernel.run(program, &udp(client, at).frame());
            assert_eq!(run, straight(udp(client, local).frame()), "{program}");
            let run = kernel.run("from_pod", &udp(local, client).frame());
            assert_eq!(run.frame, udp(at, client).frame(), "{program}: the answer");
            let run = kernel.run(program, &tcp(client, at, SYN).frame());
            assert_eq!(run, straight(tcp(client, local, SYN).frame()), "{program}");
            let run = kernel.run(program, &tcp(client, at, ACK).frame());
            assert_eq!(
                run,
                straight(tcp(client, local, ACK).frame()),
                "{program}: goes on"
            );
        }
        assert_eq!(kernel.counters()["flow-created"], 4);
    });
}

#[test]
fn a_pod_reaches_itself_through_its_host_port() {
    each_node("hairpin", |net, kernel, at| {
        let Net { local, .. } = *net;
        let itself = local.replace("8080", "40000");
        let run = kernel.run("from_pod", &tcp(&itself, at, SYN).frame());
        let transport = if net.v4 { 34 } else { 54 };
        let port = u16::from_be_bytes([run.frame[transport], run.frame[transport + 1]]);
        let node = net.node_at(port);
        assert_eq!(run, straight(tcp(&node, local, SYN).frame()));
        let run = kernel.run("from_pod", &tcp(local, &node, SYN | ACK).frame());
        assert_eq!(run, straight(tcp(at, &itself, SYN | ACK).frame()));
    });
}

#[test]
fn an_address_of_its_own_comes_before_all_and_others_are_nobodys() {
    each_node("host ip", |net, kernel, at| {
        let Net {
            client, outside, ..
        } = *net;
        kernel.host_port(at, UDP, client);
        let run = kernel.run("from_network", &udp(outside, at).frame());
        assert_eq!(run, straight(udp(outside, client).frame()), "hostIP");
        let elsewhere = udp(outside, &net.remote.replace("8080", "8000")).frame();
        assert_eq!(
            kernel.run("from_network", &elsewhere),
            next(elsewhere),
            "no address of ours"
        );
        let other = udp(outside, &net.node_at(8001)).frame();
        assert_eq!(
            kernel.run("from_network", &other),
            next(other),
            "another port"
        );
        let service = frontend(&net.node_at(8000), UDP);
        kernel.point(service, &[super::endpoint(net.local)]);
        let run = kernel.run("from_network", &udp(net.remote, at).frame());
        assert_eq!(
            run,
            straight(udp(net.remote, net.local).frame()),
            "a Service comes first"
        );
        assert_eq!(
            kernel.counters(),
            counted([("flow-created", 2), ("shortcut", 2)])
        );
    });
}
