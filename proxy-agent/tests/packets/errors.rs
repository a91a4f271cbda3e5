//! ICMP errors about packets that went through a Service.

use super::kernel::packet::{exceeded, tcp, udp, unreachable};
use super::*;

#[test]
fn an_endpoints_error_reaches_the_client_from_the_frontend() {
    each_family("endpoint's error", |net, kernel| {
        let Net {
            client,
            dns,
            web,
            local,
            ..
        } = *net;
        let rows = [
            ("udp", udp(client, dns), udp(client, local), dns),
            ("tcp", tcp(client, web, SYN), tcp(client, local, SYN), web),
        ];
        for (name, request, translated, dialled) in &rows {
            kernel.run("from_pod", &request.frame());
            let error = unreachable(local, client, translated);
            let seen = unreachable(dialled, client, request);
            for program in ["from_pod", "from_network"] {
                let run = kernel.run(program, &error.frame());
                assert_eq!(run, straight(seen.frame()), "{name} at {program}");
            }
        }
        assert_eq!(kernel.counters()["error-translated"], 4);
    });
}

#[test]
fn a_routers_error_keeps_the_routers_address() {
    each_family("router's error", |net, kernel| {
        let Net {
            client,
            dns,
            local,
            outside,
            ..
        } = *net;
        kernel.run("from_pod", &udp(client, dns).frame());
        let error = exceeded(outside, client, &udp(client, local));
        let run = kernel.run("from_network", &error.frame());
        assert_eq!(
            run,
            straight(exceeded(outside, client, &udp(client, dns)).frame())
        );
    });
}

#[test]
fn a_clients_error_reaches_the_endpoint() {
    each_family("client's error", |net, kernel| {
        let Net {
            client, dns, local, ..
        } = *net;
        kernel.run("from_pod", &udp(client, dns).frame());
        let error = unreachable(client, dns, &udp(dns, client));
        let run = kernel.run("from_pod", &error.frame());
        assert_eq!(
            run,
            straight(unreachable(client, local, &udp(local, client)).frame())
        );
    });
}

#[test]
fn an_error_about_nothing_known_passes() {
    each_family("unknown", |net, kernel| {
        let Net { client, local, .. } = *net;
        let error = unreachable(local, client, &udp(client, local)).frame();
        assert_eq!(kernel.run("from_pod", &error), straight(error));
        let short = &unreachable(local, client, &udp(client, local)).frame();
        let short = short[..short.len() - 12].to_vec();
        assert_eq!(
            kernel.run("from_pod", &short),
            straight(short),
            "too little of it"
        );
    });
}
