//! What is refused or dropped.

use super::kernel::packet::{tcp, udp};
use super::kernel::{DROP, NEXT, REDIRECT, counted, frontend};
use super::*;

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

/// As the node forwards it for a pod or for somebody else, or sends it itself.
#[test]
fn what_goes_to_a_cluster_ip_that_no_service_has_is_refused() {
    for net in &NETS {
        let Some(mut kernel) = net.leaving("unallocated") else {
            return;
        };
        let (range, nobody, excluded) = match net.v4 {
            true => ("10.96.0.0/16", "10.96.7.7:80", "10.96.8.8/32"),
            false => (
                "fd00:10:96::/112",
                "[fd00:10:96::77]:80",
                "[fd00:10:96::88]/128",
            ),
        };
        let Net {
            client, outside, ..
        } = *net;
        let node = net.node_at(40_000);
        let syn = tcp(client, nobody, SYN).frame();
        let left = kernel.leave(&syn);
        assert_eq!(left.verdict, NEXT, "masqueraded where nobody knows");
        kernel.service_cidr(range);
        assert_eq!(
            kernel.run("from_pod", &syn),
            next(syn.clone()),
            "no short cut"
        );
        let flags = 14 + if net.v4 { 20 } else { 40 } + 13;
        for (name, from) in [("a pod", client), ("outside", outside)] {
            for sent in [SYN, ACK] {
                let run = kernel.leave(&tcp(from, nobody, sent).frame());
                assert_eq!(run.verdict, REDIRECT, "{name} {sent}");
                assert_eq!(run.frame[flags] & RST, RST, "{name} {sent}");
            }
            let run = kernel.leave(&udp(from, nobody).frame());
            assert_eq!(run.verdict, REDIRECT, "{name} over udp");
        }
        let run = kernel.run("to_network", &tcp(&node, nobody, SYN).frame());
        assert_eq!(run.verdict, REDIRECT, "the node");
        assert_eq!(run.frame[flags] & RST, RST, "the node");
        let run = kernel.leave(&tcp(client, nobody, RST).frame());
        assert_eq!(run.verdict, DROP, "a reset is not answered");
        let counters = kernel.counters();
        assert_eq!(
            (counters["no-endpoint"], counters["no-endpoint-silent"]),
            (7, 1)
        );
        kernel.inside(&excluded.replace(['[', ']'], ""));
        let to = if net.v4 {
            "10.96.8.8:80"
        } else {
            "[fd00:10:96::88]:80"
        };
        let frame = tcp(client, to, SYN).frame();
        assert_eq!(
            kernel.leave(&frame),
            next(frame),
            "the longer prefix counts"
        );
    }
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
