//! The packet programs, as a table: what is in the maps, what comes in, and then the verdict, the
//! bytes and the counters. Run by the kernel itself (BPF_PROG_TEST_RUN), on the programs as the
//! agent loads them. Every test runs once for each family.

mod kernel;

use kernel::packet::{tcp, udp};
use kernel::{DROP, Kernel, NEXT, REDIRECT, Run, counted, endpoint, frontend};

const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// The addresses of one family: a client pod, two frontends, an endpoint on this node, one
/// elsewhere.
struct Net {
    v4: bool,
    client: &'static str,
    web: &'static str,
    dns: &'static str,
    local: &'static str,
    remote: &'static str,
    /// Pods of this node.
    pods: [&'static str; 4],
}

const NETS: [Net; 2] = [
    Net {
        v4: true,
        client: "10.244.1.2:40000",
        web: "10.96.1.1:80",
        dns: "10.96.0.10:53",
        local: "10.244.1.7:8080",
        remote: "10.244.2.8:8080",
        pods: ["10.244.1.2", "10.244.1.3", "10.244.1.4", "10.244.1.7"],
    },
    Net {
        v4: false,
        client: "[fd00:10:244:1::2]:40000",
        web: "[fd00:10:96::1:1]:80",
        dns: "[fd00:10:96::a]:53",
        local: "[fd00:10:244:1::7]:8080",
        remote: "[fd00:10:244:2::8]:8080",
        pods: [
            "fd00:10:244:1::2",
            "fd00:10:244:1::3",
            "fd00:10:244:1::4",
            "fd00:10:244:1::7",
        ],
    },
];

impl Net {
    /// A kernel with `web` (TCP) and `dns` (UDP), one endpoint on this node each.
    fn kernel(&self, test: &str) -> Option<Kernel> {
        let mut kernel = Kernel::new(test)?;
        kernel.point(frontend(self.web, TCP), &[endpoint(self.local)]);
        kernel.point(frontend(self.dns, UDP), &[endpoint(self.local)]);
        for pod in self.pods {
            kernel.pod(pod);
        }
        Some(kernel)
    }

    /// The same pod as `client` at another port.
    fn client_at(&self, port: u16) -> String {
        let (address, _) = self.client.rsplit_once(':').expect("address:port");
        format!("{address}:{port}")
    }
}

/// Runs a test for each family, unless this machine cannot.
fn each_family(test: &str, check: impl Fn(&Net, &mut Kernel)) {
    for net in &NETS {
        let Some(mut kernel) = net.kernel(test) else {
            return;
        };
        check(net, &mut kernel);
    }
}

/// The stack goes on with this frame.
fn next(frame: Vec<u8>) -> Run {
    Run {
        verdict: NEXT,
        frame,
    }
}

/// This frame goes straight to where it is going.
fn straight(frame: Vec<u8>) -> Run {
    Run {
        verdict: REDIRECT,
        frame,
    }
}

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
fn the_network_reaches_no_cluster_ip() {
    each_family("from the network", |net, kernel| {
        let frame = udp(net.remote, net.dns).frame();
        assert_eq!(kernel.run("from_network", &frame), next(frame));
        assert_eq!(kernel.counters(), counted([]));
    });
}

#[test]
fn a_pod_sends_from_its_own_addresses_only() {
    each_family("forged source", |net, kernel| {
        let Net {
            client,
            dns,
            remote,
            ..
        } = *net;
        let rows = [
            ("another node's pod", udp(remote, client).frame()),
            ("a frontend", udp(dns, client).frame()),
            (
                "another ethernet address",
                udp(client, dns).sender([2, 0, 0, 0, 0, 9]).frame(),
            ),
        ];
        for (name, frame) in rows {
            assert_eq!(kernel.run("from_pod", &frame).verdict, DROP, "{name}");
        }
        assert_eq!(kernel.counters(), counted([("forged-source", 3)]));
    });
    let Some(mut kernel) = NETS[1].kernel("link talk") else {
        return;
    };
    let solicitation = udp("[fe80::5]:0", "[ff02::2]:0").protocol(58).frame();
    assert_eq!(
        kernel.run("from_pod", &solicitation),
        next(solicitation),
        "neighbour discovery"
    );
    let report = udp("[::]:0", "[ff02::16]:0").protocol(0).frame();
    assert_eq!(
        kernel.run("from_pod", &report),
        next(report),
        "a multicast listener's report"
    );
    let datagram = udp("[fe80::5]:1", "[ff02::2]:2").frame();
    assert_eq!(
        kernel.run("from_pod", &datagram).verdict,
        DROP,
        "nothing else from there"
    );
}

#[test]
fn a_frontend_without_endpoints_refuses_at_once() {
    each_family("refusal", |net, kernel| {
        let Net {
            v4,
            client,
            web,
            dns,
            ..
        } = *net;
        kernel.point(frontend(web, TCP), &[]);
        kernel.point(frontend(dns, UDP), &[]);
        let (ip, unreachable, icmp) = if v4 {
            (20, [3, 3], 1)
        } else {
            (40, [1, 4], 58)
        };
        let (transport, addresses) = (14 + ip, if v4 { 26..34 } else { 22..54 });
        let protocol_at = if v4 { 23 } else { 20 };
        for program in ["from_pod", "to_network"] {
            let reset = kernel.run(program, &tcp(client, web, SYN).frame());
            assert_eq!(reset.verdict, REDIRECT, "tcp at {program}");
            assert_eq!(reset.frame.len(), transport + 20);
            assert_eq!(reset.frame[transport + 13], RST | ACK);
            let back = tcp(web, client, 0).frame();
            assert_eq!(reset.frame[addresses.clone()], back[addresses.clone()]);
            let datagram = udp(client, dns).frame();
            let error = kernel.run(program, &datagram);
            assert_eq!(error.verdict, REDIRECT, "udp at {program}");
            assert_eq!(error.frame[protocol_at], icmp);
            assert_eq!(
                error.frame[transport..transport + 2],
                unreachable,
                "port unreachable"
            );
            let quote = &error.frame[transport + 8..];
            assert_eq!(quote, &datagram[14..transport + 8], "quotes the datagram");
        }
        let reset = kernel.run("from_pod", &tcp(client, web, RST).frame());
        assert_eq!(reset.verdict, DROP, "a reset is not answered");
        let counters = kernel.counters();
        assert_eq!(
            counters,
            counted([("no-endpoint", 4), ("no-endpoint-silent", 1)])
        );
    });
    let Some(mut kernel) = NETS[0].kernel("options") else {
        return;
    };
    kernel.point(frontend(NETS[0].dns, UDP), &[]);
    let options = udp(NETS[0].client, NETS[0].dns).options().frame();
    assert_eq!(
        kernel.run("from_pod", &options).verdict,
        DROP,
        "options are not answered"
    );
}

#[test]
fn what_ends_before_its_headers_do_is_dropped() {
    each_family("malformed", |net, kernel| {
        let ip = if net.v4 { 20 } else { 40 };
        let whole = tcp(net.client, net.web, SYN).frame();
        let mut version = whole.clone();
        version[14] = 0x15;
        // A frame without a whole IP header cannot be made: the kernel refuses to run on it.
        let rows = [
            ("half a tcp header", whole[..14 + ip + 6].to_vec()),
            (
                "no ports",
                udp(net.client, net.dns).frame()[..14 + ip + 2].to_vec(),
            ),
            ("another ip version", version),
        ];
        for (name, frame) in rows {
            assert_eq!(kernel.run("from_pod", &frame).verdict, DROP, "{name}");
        }
        assert_eq!(kernel.counters(), counted([("malformed", 3)]));
    });
    let Some(mut kernel) = NETS[0].kernel("long options") else {
        return;
    };
    let mut options = tcp(NETS[0].client, NETS[0].web, SYN).frame()[..54].to_vec();
    options[14] = 0x4f;
    assert_eq!(
        kernel.run("from_pod", &options).verdict,
        DROP,
        "options beyond the end"
    );
}

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

#[test]
fn two_frontends_never_share_a_reverse_tuple() {
    each_family("conflict", |net, kernel| {
        let Net {
            v4,
            client,
            dns,
            local,
            remote,
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
        let second = kernel.run("from_pod", &udp(client, other).frame());
        assert_eq!(second.verdict, DROP, "refused");
        kernel.point(frontend(other, UDP), &[endpoint(local), endpoint(remote)]);
        let run = kernel.run("from_pod", &udp(client, other).frame());
        assert_eq!(
            run,
            next(udp(client, remote).frame()),
            "another endpoint is free"
        );
        let run = kernel.run("from_pod", &udp(local, client).frame());
        assert_eq!(
            run,
            straight(udp(dns, client).frame()),
            "the first keeps its replies"
        );
        let counters = kernel.counters();
        assert_eq!(
            (counters["flow-created"], counters["reverse-conflict"]),
            (2, 1)
        );
    });
}
