//! Conversations under way: moved, kept, forgotten, told apart.

use super::kernel::packet::{tcp, udp, unreachable};
use super::kernel::{endpoint, frontend};
use super::*;

const FIN: u8 = 0x01;

#[test]
fn a_datagram_leaves_a_dead_endpoint_and_a_connection_drains() {
    each_family("endpoint gone", |net, kernel| {
        let Net {
            client,
            web,
            dns,
            local,
            remote,
            ..
        } = *net;
        kernel.run("from_pod", &udp(client, dns).frame());
        kernel.run("from_pod", &tcp(client, web, SYN).frame());
        kernel.point(frontend(dns, UDP), &[endpoint(remote)]);
        kernel.point(frontend(web, TCP), &[endpoint(remote)]);

        let run = kernel.run("from_pod", &udp(client, dns).frame());
        assert_eq!(run, next(udp(client, remote).frame()), "the datagram moves");
        let run = kernel.run("from_network", &udp(remote, client).frame());
        assert_eq!(
            run,
            straight(udp(dns, client).frame()),
            "and its reply is known"
        );
        let late = udp(local, client).frame();
        assert_eq!(
            kernel.run("from_pod", &late),
            straight(late),
            "the dead one's is forgotten"
        );

        let run = kernel.run("from_pod", &tcp(client, web, ACK).frame());
        assert_eq!(
            run,
            straight(tcp(client, local, ACK).frame()),
            "the connection stays"
        );
        let run = kernel.run("from_pod", &tcp(client, web, SYN).frame());
        assert_eq!(
            run,
            next(tcp(client, remote, SYN).frame()),
            "a new one on its port moves"
        );
        let counters = kernel.counters();
        assert_eq!((counters["flow-created"], counters["flow-moved"]), (4, 2));
    });
}

#[test]
fn a_flow_stays_where_it_is_while_its_endpoint_serves() {
    each_family("endpoint stays", |net, kernel| {
        let Net {
            v4,
            client,
            dns,
            local,
            ..
        } = *net;
        kernel.run("from_pod", &udp(client, dns).frame());
        let at = |last| match v4 {
            true => format!("10.244.3.{last}:8080"),
            false => format!("[fd00:10:244:3::{last}]:8080"),
        };
        let mut list: Vec<_> = (1..=40).map(|last| endpoint(&at(last))).collect();
        list.push(endpoint(local));
        kernel.point(frontend(dns, UDP), &list);
        for _ in 0..2 {
            let run = kernel.run("from_pod", &udp(client, dns).frame());
            assert_eq!(run, straight(udp(client, local).frame()));
        }
        assert_eq!(kernel.counters()["flow-created"], 1);
    });
}

#[test]
fn a_datagram_survives_zero_endpoints_and_a_removed_service() {
    each_family("n to 0 to n", |net, kernel| {
        let Net {
            client,
            dns,
            remote,
            ..
        } = *net;
        let datagram = udp(client, dns).frame();
        kernel.run("from_pod", &datagram);
        kernel.point(frontend(dns, UDP), &[]);
        assert_ne!(
            kernel.run("from_pod", &datagram).frame.len(),
            datagram.len(),
            "refused"
        );
        kernel.point(frontend(dns, UDP), &[endpoint(remote)]);
        assert_eq!(
            kernel.run("from_pod", &datagram),
            next(udp(client, remote).frame())
        );
        kernel.remove(frontend(dns, UDP));
        assert_eq!(
            kernel.run("from_pod", &datagram),
            next(datagram.clone()),
            "no Service"
        );
        kernel.point(frontend(dns, UDP), &[endpoint(remote)]);
        kernel.run("from_pod", &datagram);
        kernel.remove(frontend(dns, UDP));
        kernel.point(frontend(dns, UDP), &[endpoint(net.local)]);
        let again = kernel.run("from_pod", &datagram);
        let moved = straight(udp(client, net.local).frame());
        assert_eq!(again, moved, "another Service, another list");
    });
}

#[test]
fn the_replies_half_comes_back_after_its_eviction() {
    each_family("evicted half", |net, kernel| {
        let Net {
            client, dns, local, ..
        } = *net;
        kernel.run("from_pod", &udp(client, dns).frame());
        kernel.evict(local, client, UDP);
        let reply = udp(local, client).frame();
        assert_eq!(
            kernel.run("from_pod", &reply),
            straight(reply.clone()),
            "lost"
        );
        kernel.run("from_pod", &udp(client, dns).frame());
        assert_eq!(
            kernel.run("from_pod", &reply),
            straight(udp(dns, client).frame()),
            "restored"
        );
    });
}

#[test]
fn a_conversation_without_a_service_is_not_answered_by_one() {
    each_family("direct after translated", |net, kernel| {
        let Net {
            client, dns, local, ..
        } = *net;
        kernel.run("from_pod", &udp(client, dns).frame());
        let direct = udp(client, local).frame();
        assert_eq!(kernel.run("from_pod", &direct), straight(direct.clone()));
        let answer = udp(local, client).frame();
        assert_eq!(
            kernel.run("from_pod", &answer),
            straight(answer.clone()),
            "as it came"
        );
        kernel.run("from_pod", &udp(client, dns).frame());
        let restored = straight(udp(dns, client).frame());
        assert_eq!(
            kernel.run("from_pod", &answer),
            restored,
            "the Service's flow is in use again"
        );
    });
}

#[test]
fn two_frontends_never_share_a_reverse_tuple() {
    each_family("conflict", |net, kernel| {
        let Net {
            v4,
            client,
            dns,
            local,
            ..
        } = *net;
        let other = if v4 {
            "10.96.9.9:53"
        } else {
            "[fd00:10:96::9]:53"
        };
        kernel.point(frontend(other, UDP), &[endpoint(local)]);
        let first = kernel.run("from_pod", &udp(client, dns).frame());
        assert_eq!(first, straight(udp(client, local).frame()));
        let ask = udp(client, other);
        let second = kernel.run("from_pod", &ask.frame());
        let moved = net.at_another_port(client, &second.frame);
        assert_eq!(second, straight(udp(&moved, local).frame()));
        let again = kernel.run("from_pod", &ask.frame());
        assert_eq!(again, second, "the same port again");
        for (to, frontend) in [(client, dns), (&moved, other)] {
            let run = kernel.run("from_pod", &udp(local, to).frame());
            assert_eq!(run, straight(udp(frontend, client).frame()), "{frontend}");
        }
        // An error about the second says what the client knows of it.
        let error = unreachable(local, &moved, &udp(&moved, local));
        let seen = unreachable(other, client, &ask);
        let run = kernel.run("from_pod", &error.frame());
        assert_eq!(run, straight(seen.frame()));
        assert_eq!(kernel.counters()["flow-created"], 2);
    });
}

#[test]
fn one_client_port_reaches_an_endpoint_through_many_frontends() {
    each_family("many frontends", |net, kernel| {
        let Net {
            client, local, dns, ..
        } = *net;
        let (address, _) = dns.rsplit_once(':').expect("address:port");
        let mut answered = Vec::new();
        for port in 10_000..10_050 {
            let at = format!("{address}:{port}");
            kernel.point(frontend(&at, TCP), &[endpoint(local)]);
            let run = kernel.run("from_pod", &tcp(client, &at, SYN).frame());
            let seen = net.client_at(net.source_port(&run.frame));
            assert_eq!(run, straight(tcp(&seen, local, SYN).frame()), "{at}");
            answered.push((seen, at));
        }
        for (seen, at) in answered {
            let run = kernel.run("from_pod", &tcp(local, &seen, SYN | ACK).frame());
            assert_eq!(run, straight(tcp(&at, client, SYN | ACK).frame()), "{at}");
        }
    });
}

/// A connection through the frontend, to its end or only until it is established.
fn connect(net: &Net, kernel: &mut Kernel, flags: &[u8]) {
    for &flags in flags {
        kernel.run("from_pod", &tcp(net.client, net.web, flags).frame());
        if flags & (SYN | FIN) != 0 {
            kernel.run("from_pod", &tcp(net.local, net.client, flags | ACK).frame());
        }
    }
}

#[test]
fn a_port_serves_a_frontend_and_its_endpoint_in_turn() {
    each_family("in turn", |net, kernel| {
        let Net {
            client, web, local, ..
        } = *net;
        for turn in 0..3 {
            connect(net, kernel, &[SYN, ACK, FIN | ACK, ACK]);
            let direct = tcp(client, local, SYN).frame();
            assert_eq!(kernel.run("from_pod", &direct), straight(direct), "{turn}");
            let answer = tcp(local, client, SYN | ACK).frame();
            let run = kernel.run("from_pod", &answer);
            assert_eq!(run, straight(answer), "turn {turn}: from the endpoint");
            kernel.run("from_pod", &tcp(client, web, SYN).frame());
            let run = kernel.run("from_pod", &tcp(local, client, SYN | ACK).frame());
            let expected = straight(tcp(web, client, SYN | ACK).frame());
            assert_eq!(run, expected, "turn {turn}: from the frontend");
        }
    });
}

#[test]
fn an_established_connection_keeps_its_tuple_from_a_direct_one() {
    each_family("keeps its tuple", |net, kernel| {
        let Net {
            client, web, local, ..
        } = *net;
        // The way of a direct connection before is no more theirs.
        kernel.run("from_pod", &tcp(client, local, ACK).frame());
        connect(net, kernel, &[SYN, ACK]);
        let direct = kernel.run("from_pod", &tcp(client, local, SYN).frame());
        let moved = net.at_another_port(client, &direct.frame);
        assert_eq!(direct, straight(tcp(&moved, local, SYN).frame()));
        let again = kernel.run("from_pod", &tcp(client, local, SYN).frame());
        assert_eq!(again, direct, "the same port again");
        assert_eq!(kernel.counters()["another-port"], 2);
        for (to, seen_from) in [(client, web), (&moved, local)] {
            let run = kernel.run("from_pod", &tcp(local, to, SYN | ACK).frame());
            let expected = straight(tcp(seen_from, client, SYN | ACK).frame());
            assert_eq!(run, expected, "{seen_from}");
        }
        for (at, to) in [(client, web), (&moved, local)] {
            let run = kernel.run("from_pod", &tcp(client, to, ACK).frame());
            assert_eq!(run, straight(tcp(at, local, ACK).frame()), "{to}");
        }
    });
}

#[test]
fn who_sends_datagrams_by_both_ways_is_answered_by_the_last() {
    each_family("by both ways", |net, kernel| {
        let Net {
            client, dns, local, ..
        } = *net;
        for _ in 0..3 {
            kernel.run("from_pod", &udp(client, dns).frame());
            let run = kernel.run("from_pod", &udp(local, client).frame());
            assert_eq!(run, straight(udp(dns, client).frame()));
            kernel.run("from_pod", &udp(client, dns).frame());
            kernel.run("from_pod", &udp(client, local).frame());
            let answer = udp(local, client).frame();
            let run = kernel.run("from_pod", &answer);
            assert_eq!(run, straight(answer));
        }
    });
}
