//! The life of a conversation: from its opening to its end.

use super::kernel::packet::{tcp, udp};
use super::*;

#[test]
fn a_conversation_is_established_when_the_client_answers_an_answer() {
    each_family("established", |net, kernel| {
        let Net {
            client,
            web,
            dns,
            local,
            ..
        } = *net;
        let both = |kernel: &Kernel, to: &str, protocol| {
            (
                kernel.established(client, to, protocol).is_some(),
                kernel.established(local, client, protocol).is_some(),
            )
        };
        for flags in [SYN, ACK] {
            kernel.run("from_pod", &tcp(client, web, flags).frame());
        }
        assert_eq!(
            both(kernel, web, TCP),
            (false, false),
            "nobody has answered"
        );
        kernel.run("from_pod", &tcp(local, client, SYN | ACK).frame());
        assert_eq!(
            both(kernel, web, TCP),
            (false, false),
            "nor the client then"
        );
        kernel.run("from_pod", &tcp(client, web, ACK).frame());
        assert_eq!(both(kernel, web, TCP), (true, true));
        let run = kernel.run("from_pod", &tcp(local, client, ACK).frame());
        assert_eq!(
            run,
            straight(tcp(web, client, ACK).frame()),
            "and works from there"
        );

        kernel.run("from_pod", &udp(client, dns).frame());
        kernel.run("from_pod", &udp(local, client).frame());
        assert_eq!(
            both(kernel, dns, UDP),
            (false, false),
            "one question, one answer"
        );
        kernel.run("from_pod", &udp(client, dns).frame());
        assert_eq!(both(kernel, dns, UDP), (true, true));
        kernel.point(frontend(dns, UDP), &[endpoint(net.remote)]);
        let run = kernel.run("from_pod", &udp(client, dns).frame());
        assert_eq!(
            run,
            next(udp(client, net.remote).frame()),
            "an established one moves too"
        );
        assert_eq!(kernel.counters()["flow-moved"], 1);
    });
}

#[test]
fn the_end_of_a_connection_is_noted_for_each_side() {
    const FIN: u8 = 0x01;
    each_family("ends", |net, kernel| {
        let Net {
            client, web, local, ..
        } = *net;
        kernel.run("from_pod", &tcp(client, web, SYN).frame());
        kernel.run("from_pod", &tcp(local, client, SYN | ACK).frame());
        kernel.run("from_pod", &tcp(client, web, ACK).frame());
        kernel.run("from_pod", &tcp(client, web, FIN | ACK).frame());
        kernel.run("from_pod", &tcp(local, client, RST).frame());
        let state = |from, to| kernel.established(from, to, TCP).expect("an entry").state;
        assert_eq!(
            state(client, web),
            proxy_abi::Flow::SPOKE | proxy_abi::Flow::FINISHED
        );
        assert_eq!(
            state(local, client),
            proxy_abi::Flow::SPOKE | proxy_abi::Flow::RESET
        );
        kernel.run("from_pod", &tcp(client, web, SYN).frame());
        let state = |from, to| kernel.established(from, to, TCP).expect("an entry").state;
        assert_eq!(
            state(client, web),
            proxy_abi::Flow::SPOKE,
            "a new one on its port"
        );
        assert_eq!(state(local, client), 0);
    });
}

#[test]
fn in_a_full_table_conversations_go_on_where_they_began() {
    each_family("full table", |net, kernel| {
        let Net {
            client, web, local, ..
        } = *net;
        kernel.fill_flows();
        for flags in [SYN, ACK] {
            kernel.run("from_pod", &tcp(client, web, flags).frame());
            kernel.run("from_pod", &tcp(local, client, flags | ACK).frame());
        }
        kernel.run("from_pod", &tcp(client, web, ACK).frame());
        assert!(kernel.established(client, web, TCP).is_none());
        assert!(kernel.counters()["flow-table-full"] > 0, "and it is told");
        let run = kernel.run("from_pod", &tcp(client, web, ACK).frame());
        assert_eq!(run, straight(tcp(client, local, ACK).frame()));
        let run = kernel.run("from_pod", &tcp(local, client, ACK).frame());
        assert_eq!(run, straight(tcp(web, client, ACK).frame()));
    });
}

/// What a client gets untranslated it answers with a reset, which ends the connection (upstream's
/// conntrack test). The programs follow no windows, so no segment is outside of one to them.
#[test]
fn a_segment_out_of_the_window_comes_from_the_frontend_too() {
    each_family("out of the window", |net, kernel| {
        let Net {
            client, web, local, ..
        } = *net;
        let numbered = |mut frame: Vec<u8>| {
            let sequence = if net.v4 { 38 } else { 58 };
            // The checksum is as wrong before as after: it is patched, not computed.
            frame[sequence..sequence + 4].copy_from_slice(&0x7fff_0000_u32.to_be_bytes());
            frame
        };
        kernel.run("from_pod", &tcp(client, web, SYN).frame());
        for flags in [SYN | ACK, ACK, RST] {
            let frame = numbered(tcp(local, client, flags).frame());
            let run = kernel.run("from_pod", &frame);
            assert_eq!(run, straight(numbered(tcp(web, client, flags).frame())));
            kernel.run("from_pod", &tcp(client, web, ACK).frame());
        }
    });
}
