//! What a Service's fields ask for: sides, policies, affinity, source ranges.

use std::sync::Arc;

use cluster_model::FrontendKind;
use proxy_abi::{Endpoint, Treatment};
use proxy_agent::plan::desired::FrontendWish;

use super::kernel::packet::{Builder, sctp, tcp, udp};
use super::kernel::{DROP, endpoint, frontend};
use super::*;

const SCTP: u8 = 132;

fn wish(inside: &[&str], outside: &[&str], treatment: Treatment) -> FrontendWish {
    let list = |all: &[&str]| -> Arc<[Endpoint]> {
        let mut list: Vec<_> = all.iter().map(|at| endpoint(at)).collect();
        list.sort();
        list.into()
    };
    FrontendWish {
        kind: FrontendKind::NodePort,
        inside: list(inside),
        outside: list(outside),
        treatment,
    }
}

/// Runs a test for each family on a node whose NodePort 30080 is as `wish` says.
fn each_node_port(test: &str, check: impl Fn(&Net, &mut Kernel, &str)) {
    for net in &NETS {
        let Some(mut kernel) = net.leaving(test) else {
            return;
        };
        check(net, &mut kernel, &net.node_at(30_080));
    }
}

#[test]
fn a_client_from_outside_reaches_another_nodes_pod_under_the_nodes_address() {
    each_node_port("cluster policy", |net, kernel, at| {
        let Net {
            outside, remote, ..
        } = *net;
        let wish = wish(&[remote], &[remote], Treatment::MASQUERADE);
        kernel.wish(frontend(at, UDP), wish, 0);
        let asked = kernel.run("from_network", &udp(outside, at).frame());
        // The test's loopback has no route there, and the stack would not forward what comes from
        // the node's own address.
        assert_eq!(asked.verdict, DROP, "no way");
        let node = net.node_at(net.source_port(&asked.frame));
        assert_eq!(asked.frame, udp(&node, remote).frame());
        let answered = kernel.run("from_network", &udp(remote, &node).frame());
        assert_eq!(answered.frame, udp(at, outside).frame());
        assert_eq!(kernel.counters()["flow-created"], 1);
        let inside = kernel.run("from_pod", &udp(net.client, at).frame());
        assert_eq!(
            inside,
            next(udp(net.client, remote).frame()),
            "a pod keeps its own"
        );
    });
}

#[test]
fn a_local_endpoint_sees_the_client_from_outside() {
    each_node_port("source kept", |net, kernel, at| {
        let Net { outside, local, .. } = *net;
        let wish = wish(&[local], &[local], Treatment::MASQUERADE);
        kernel.wish(frontend(at, TCP), wish, 0);
        let run = kernel.run("from_network", &tcp(outside, at, SYN).frame());
        assert_eq!(run, straight(tcp(outside, local, SYN).frame()));
    });
}

#[test]
fn a_client_from_outside_whose_port_is_taken_at_the_endpoint_comes_from_the_node() {
    each_node_port("port taken", |net, kernel, at| {
        let Net { outside, local, .. } = *net;
        let other = net.node_at(30_081);
        for (at, treatment) in [
            (at, Treatment::MASQUERADE),
            (&other, Treatment::MASQUERADE),
            (&net.node_at(30_082), Treatment::default()),
        ] {
            let wish = wish(&[local], &[local], treatment);
            kernel.wish(frontend(at, TCP), wish, 0);
        }
        let first = kernel.run("from_network", &tcp(outside, at, SYN).frame());
        assert_eq!(first, straight(tcp(outside, local, SYN).frame()));
        let second = kernel.run("from_network", &tcp(outside, &other, SYN).frame());
        let node = net.node_at(net.source_port(&second.frame));
        assert_eq!(second, straight(tcp(&node, local, SYN).frame()));
        for (to, frontend) in [(outside, at), (&node, &other)] {
            let answered = kernel.run("from_pod", &tcp(local, to, ACK).frame());
            assert_eq!(answered.frame, tcp(frontend, outside, ACK).frame());
        }
        let third = net.node_at(30_082);
        let run = kernel.run("from_network", &tcp(outside, &third, SYN).frame());
        let himself = net.at_another_port(outside, &run.frame);
        let expected = straight(tcp(&himself, local, SYN).frame());
        assert_eq!(
            run, expected,
            "who is to be seen as he is keeps his address"
        );
        let answered = kernel.run("from_pod", &tcp(local, &himself, SYN | ACK).frame());
        assert_eq!(answered.frame, tcp(&third, outside, SYN | ACK).frame());
    });
}

#[test]
fn each_side_has_its_endpoints() {
    each_node_port("sides", |net, kernel, at| {
        let Net {
            client,
            outside,
            local,
            remote,
            ..
        } = *net;
        kernel.wish(
            frontend(at, UDP),
            wish(&[remote], &[local], Treatment::default()),
            0,
        );
        let run = kernel.run("from_network", &udp(outside, at).frame());
        assert_eq!(run, straight(udp(outside, local).frame()));
        let run = kernel.run("from_pod", &udp(client, at).frame());
        assert_eq!(run, next(udp(client, remote).frame()));
        let run = kernel.run("from_network", &udp(outside, at).frame());
        assert_eq!(
            run,
            straight(udp(outside, local).frame()),
            "the flow holds on its side"
        );
    });
}

#[test]
fn a_policy_without_endpoints_drops_and_no_endpoint_at_all_refuses() {
    each_node_port("no local endpoint", |net, kernel, at| {
        let Net {
            client,
            outside,
            local,
            ..
        } = *net;
        let local_only = wish(&[local], &[], Treatment::DROP_OUTSIDE);
        kernel.wish(frontend(at, UDP), local_only, 0);
        assert_eq!(
            kernel
                .run("from_network", &udp(outside, at).frame())
                .verdict,
            DROP
        );
        assert_eq!(kernel.counters()["no-local-endpoint"], 1);
        let run = kernel.run("from_pod", &udp(client, at).frame());
        assert_eq!(
            run,
            straight(udp(client, local).frame()),
            "from inside as Cluster"
        );
        kernel.wish(frontend(at, UDP), wish(&[], &[], Treatment::default()), 0);
        let run = kernel.run("from_network", &udp(outside, at).frame());
        assert_eq!(run.verdict, super::REDIRECT, "answered");
        assert_eq!(kernel.counters()["no-endpoint"], 1);
    });
}

#[test]
fn a_client_keeps_its_endpoint_over_every_frontend_while_it_serves() {
    each_family("affinity", |net, kernel| {
        let Net {
            web,
            dns,
            local,
            remote,
            ..
        } = *net;
        let both = [local, remote];
        let wish = |ends: &[&str]| wish(ends, ends, Treatment::default());
        let (web, other) = (frontend(web, UDP), dns.replace(":53", ":5353"));
        let frontends = |ends: &[&str]| [(web, wish(ends)), (frontend(&other, UDP), wish(ends))];
        kernel.wishes("kept", frontends(&both), 10_800);
        let goes = |kernel: &mut Kernel, port: u16, to: &str| {
            let client = net.client_at(port);
            let run = kernel.run("from_pod", &udp(&client, to).frame());
            match run.frame == udp(&client, local).frame() {
                true => local,
                false => {
                    assert_eq!(run.frame, udp(&client, remote).frame());
                    remote
                }
            }
        };
        let first = goes(kernel, 10_000, net.web);
        for port in 10_001..10_040 {
            assert_eq!(goes(kernel, port, net.web), first, "port {port}");
            assert_eq!(goes(kernel, port + 100, &other), first, "another frontend");
        }
        let rest = if first == local { remote } else { local };
        kernel.wishes("kept", frontends(&[rest]), 10_800);
        assert_eq!(
            goes(kernel, 10_300, net.web),
            rest,
            "a vanished endpoint is replaced"
        );
        kernel.wishes("kept", frontends(&both), 10_800);
        assert_eq!(goes(kernel, 10_301, &other), rest, "and the new one kept");
        kernel.wishes("kept", frontends(&both), 0);
        let spread = (10_400..10_440).map(|port| goes(kernel, port, net.web));
        let spread: std::collections::BTreeSet<_> = spread.collect();
        assert_eq!(spread.len(), 2, "switched off, it is off at once");
    });
}

#[test]
fn an_affinity_ends_after_its_time() {
    each_family("affinity's end", |net, kernel| {
        let Net {
            web, local, remote, ..
        } = *net;
        let ends = wish(&[local, remote], &[local, remote], Treatment::default());
        kernel.wish(frontend(web, UDP), ends, 1);
        let mut seen = std::collections::BTreeSet::new();
        for port in 10_000..10_008 {
            let client = net.client_at(port);
            seen.insert(kernel.run("from_pod", &udp(&client, web).frame()).verdict);
            std::thread::sleep(std::time::Duration::from_millis(2_200));
        }
        assert_eq!(seen.len(), 2, "eight choices, each free");
    });
}

/// Eight clients, each with a connection that outlasts the time-out: by chance half of them would go
/// elsewhere with their next one.
#[test]
fn an_affinity_counts_from_the_clients_last_packet() {
    each_family("affinity's use", |net, kernel| {
        let Net {
            web, local, remote, ..
        } = *net;
        let ends = wish(&[local, remote], &[local, remote], Treatment::default());
        kernel.wish(frontend(web, TCP), ends, 3);
        let clients = (21..29).map(|last| match net.v4 {
            true => (format!("10.244.1.{last}"), format!("10.244.1.{last}")),
            false => (
                format!("fd00:10:244:1::{last}"),
                format!("[fd00:10:244:1::{last}]"),
            ),
        });
        let clients: Vec<_> = clients.collect();
        for (address, _) in &clients {
            kernel.pod(address);
        }
        let mut goes = |(_, host): &(String, String), port: u16, flags: u8| {
            let from = format!("{host}:{port}");
            let run = kernel.run("from_pod", &tcp(&from, web, flags).frame());
            run.frame == tcp(&from, local, flags).frame()
        };
        let first: Vec<_> = clients.iter().map(|it| goes(it, 10_000, SYN)).collect();
        for _ in 0..4 {
            std::thread::sleep(std::time::Duration::from_millis(1_100));
            let on: Vec<_> = clients.iter().map(|it| goes(it, 10_000, ACK)).collect();
            assert_eq!(on, first, "the connections stay");
        }
        let next: Vec<_> = clients.iter().map(|it| goes(it, 10_001, SYN)).collect();
        assert_eq!(next, first);
    });
}

#[test]
fn only_clients_in_the_source_ranges_are_served() {
    each_node_port("source ranges", |net, kernel, at| {
        let Net { outside, local, .. } = *net;
        let wish = wish(&[local], &[local], Treatment::SOURCE_RANGES);
        let range = if net.v4 {
            "192.0.2.0/28"
        } else {
            "2001:db8::/124"
        };
        kernel.wish_for(frontend(at, TCP), wish, &[range]);
        let run = kernel.run("from_network", &tcp(outside, at, SYN).frame());
        assert_eq!(run, straight(tcp(outside, local, SYN).frame()));
        let other = if net.v4 {
            "192.0.2.99:443"
        } else {
            "[2001:db8::99]:443"
        };
        let run = kernel.run("from_network", &tcp(other, at, SYN).frame());
        assert_eq!(run.verdict, DROP);
        assert_eq!(kernel.counters()["source-range"], 1);
    });
}

#[test]
fn the_nodes_own_process_answers_a_pod_as_the_frontend() {
    each_node_port("host network", |net, kernel, _| {
        let Net { client, dns, .. } = *net;
        let own = net.node_at(5353);
        kernel.point(frontend(dns, UDP), &[endpoint(&own)]);
        let run = kernel.run("from_pod", &udp(client, dns).frame());
        assert_eq!(run, next(udp(client, &own).frame()), "to the stack");
        let run = kernel.run("to_pod", &udp(&own, client).frame());
        assert_eq!(run, next(udp(dns, client).frame()));
        let direct = udp(&net.node_at(9), client).frame();
        assert_eq!(
            kernel.run("to_pod", &direct),
            next(direct),
            "what is no answer"
        );
    });
}

#[test]
fn sctp_is_translated_with_its_checksum() {
    each_family("sctp", |net, kernel| {
        let Net { client, local, .. } = *net;
        let at = net.dns.replace(":53", ":3868");
        kernel.point(frontend(&at, SCTP), &[endpoint(local)]);
        const INIT: u8 = 1;
        const DATA: u8 = 0;
        for (name, chunk) in [("init", INIT), ("data", DATA)] {
            let there = |from: &str, to: &str| -> Builder { sctp(from, to, chunk) };
            let run = kernel.run("from_pod", &there(client, &at).frame());
            assert_eq!(run, straight(there(client, local).frame()), "{name}");
            let run = kernel.run("from_pod", &there(local, client).frame());
            assert_eq!(
                run,
                straight(there(&at, client).frame()),
                "{name}: the answer"
            );
        }
    });
}
