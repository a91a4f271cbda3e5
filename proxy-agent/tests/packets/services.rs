//! What a frontend does to a packet, and what it leaves alone.

use super::kernel::packet::{tcp, udp};
use super::kernel::{counted, endpoint, frontend};
use super::*;

#[test]
fn a_request_goes_to_the_endpoint_and_the_reply_comes_from_the_frontend() {
    each_family("request and reply", |net, kernel| {
        let Net {
            client,
            web,
            dns,
            local,
            ..
        } = *net;
        let rows = [
            (
                "udp",
                udp(client, dns),
                udp(client, local),
                udp(local, client),
                udp(dns, client),
            ),
            (
                "tcp",
                tcp(client, web, SYN),
                tcp(client, local, SYN),
                tcp(local, client, SYN | ACK),
                tcp(web, client, SYN | ACK),
            ),
        ];
        for (name, request, translated, reply, restored) in &rows {
            let run = kernel.run("from_pod", &request.frame());
            assert_eq!(run, straight(translated.frame()), "{name}");
            for program in ["from_pod", "from_network"] {
                let run = kernel.run(program, &reply.frame());
                assert_eq!(
                    run,
                    straight(restored.frame()),
                    "{name}: reply at {program}"
                );
            }
        }
        assert_eq!(
            kernel.counters(),
            counted([("flow-created", 2), ("shortcut", 6)])
        );
    });
}

#[test]
fn what_only_ipv4_has_is_kept() {
    let Some(mut kernel) = NETS[0].kernel("ipv4 only") else {
        return;
    };
    let Net {
        client, dns, local, ..
    } = NETS[0];
    let run = kernel.run("from_pod", &udp(client, dns).no_checksum().frame());
    assert_eq!(
        run,
        straight(udp(client, local).no_checksum().frame()),
        "no checksum stays none"
    );
    let run = kernel.run("from_pod", &udp(client, dns).options().frame());
    assert_eq!(
        run,
        straight(udp(client, local).options().frame()),
        "ip options"
    );
}

#[test]
fn an_endpoint_elsewhere_is_the_stacks_to_reach_where_no_route_is_known() {
    each_family("remote endpoint", |net, kernel| {
        let Net {
            client,
            dns,
            remote,
            ..
        } = *net;
        kernel.point(frontend(dns, UDP), &[endpoint(remote)]);
        let run = kernel.run("from_pod", &udp(client, dns).frame());
        assert_eq!(run, next(udp(client, remote).frame()));
        let run = kernel.run("from_network", &udp(remote, client).frame());
        assert_eq!(run, straight(udp(dns, client).frame()));
        assert_eq!(
            kernel.counters(),
            counted([("flow-created", 1), ("shortcut", 1)])
        );
    });
}

#[test]
fn what_concerns_no_service_passes_as_it_came() {
    each_family("not ours", |net, kernel| {
        let Net {
            client,
            dns,
            remote,
            ..
        } = *net;
        let (_, port) = dns.rsplit_once(':').expect("address:port");
        let other_port = format!("{}:54", dns.trim_end_matches(&format!(":{port}")));
        let mut arp = udp(client, dns).frame();
        arp[12..14].copy_from_slice(&[8, 6]);
        let rows = [
            ("another address", udp(client, remote).frame()),
            ("another port", udp(client, &other_port).frame()),
            ("another protocol", tcp(client, dns, SYN).frame()),
            ("no ports", udp(client, dns).protocol(99).frame()),
            ("arp", arp),
        ];
        for (name, frame) in rows {
            for program in ["from_pod", "from_network", "to_network"] {
                let run = kernel.run(program, &frame);
                assert_eq!(run, next(frame.clone()), "{name} at {program}");
            }
        }
        assert_eq!(kernel.counters(), counted([]));
    });
    let Some(mut kernel) = NETS[0].kernel("fragment") else {
        return;
    };
    let fragment = udp(NETS[0].client, NETS[0].dns).fragment(185).frame();
    assert_eq!(
        kernel.run("from_pod", &fragment),
        next(fragment),
        "a later fragment"
    );
}

#[test]
fn the_network_reaches_a_frontend_and_the_reply_goes_back_from_it() {
    each_family("from the network", |net, kernel| {
        let run = kernel.run("from_network", &udp(net.outside, net.dns).frame());
        assert_eq!(run, straight(udp(net.outside, net.local).frame()));
        let run = kernel.run("from_pod", &udp(net.local, net.outside).frame());
        assert_eq!(run.frame, udp(net.dns, net.outside).frame());
        let counters = counted([("flow-created", 1), ("shortcut", 1)]);
        assert_eq!(kernel.counters(), counters);
    });
}

#[test]
fn a_tcp_checksum_of_zero_is_a_sum_as_any_other() {
    let Some(mut kernel) = NETS[0].kernel("zero checksum") else {
        return;
    };
    let Net { web, local, .. } = NETS[0];
    let sum_at = 14 + 20 + 16;
    let zero = (1024..=u16::MAX)
        .map(|port| NETS[0].client_at(port))
        .find(|client| tcp(client, web, SYN).frame()[sum_at..sum_at + 2] == [0, 0]);
    let client = zero.expect("one of all ports sums to zero");
    let run = kernel.run("from_pod", &tcp(&client, web, SYN).frame());
    assert_eq!(run, straight(tcp(&client, local, SYN).frame()));
}

#[test]
fn new_flows_spread_over_the_endpoints() {
    each_family("spread", |net, kernel| {
        let Net {
            dns, local, remote, ..
        } = *net;
        kernel.point(frontend(dns, UDP), &[endpoint(local), endpoint(remote)]);
        let mut to_local = 0;
        for port in 10_000..10_200 {
            let client = net.client_at(port);
            let run = kernel.run("from_pod", &udp(&client, dns).frame());
            if run == straight(udp(&client, local).frame()) {
                to_local += 1;
            } else {
                assert_eq!(run, next(udp(&client, remote).frame()));
            }
        }
        assert!(
            (60..140).contains(&to_local),
            "{to_local} of 200 went to one of two endpoints"
        );
    });
}
