//! From the programs of one version to those of the next, whose maps are others.

use proxy_abi::earlier::Given;

use super::kernel::packet::{tcp, udp};
use super::*;

#[test]
fn what_began_before_goes_on_and_what_begins_is_known_to_all() {
    each_family("changeover", |net, old| {
        let Net {
            client,
            web,
            dns,
            local,
            remote,
            ..
        } = *net;
        old.run("from_pod", &udp(client, dns).frame());
        old.run("from_pod", &tcp(client, web, SYN).frame());
        let mut new = old.successor();
        // It tells its own choice from the other's.
        new.point(frontend(dns, UDP), &[endpoint(remote)]);
        for pod in net.pods {
            new.pod(pod);
        }

        let answer = udp(local, client).frame();
        let answered = straight(udp(dns, client).frame());
        let segment = tcp(client, web, ACK).frame();
        let sent = straight(tcp(client, local, ACK).frame());
        assert_eq!(new.run("from_pod", &answer), answered, "while hooks change");
        assert_eq!(new.run("from_pod", &segment), sent);
        let (second, third) = (net.client_at(40_001), net.client_at(40_002));
        let run = new.run("from_pod", &udp(&second, dns).frame());
        assert_eq!(run, straight(udp(&second, local).frame()), "as all know it");
        let run = old.run("from_pod", &udp(local, &second).frame());
        assert_eq!(run, straight(udp(dns, &second).frame()));

        let begins = new.loaded.spare_earlier(Given::Beginning);
        assert!(begins.expect("spared"), "it had been given that");
        let again = new.loaded.spare_earlier(Given::Beginning);
        assert!(!again.expect("spared"), "nobody is waited for twice");
        let run = new.run("from_pod", &udp(&third, dns).frame());
        assert_eq!(run, next(udp(&third, remote).frame()), "its own choice");
        let run = new.run("from_network", &udp(remote, &third).frame());
        assert_eq!(run, straight(udp(dns, &third).frame()));
        assert_eq!(new.run("from_pod", &answer), answered, "not taken over yet");
        assert_eq!(new.run("from_pod", &segment), sent);

        let under_way = new.loaded.spare_earlier(Given::UnderWay);
        assert!(under_way.expect("spared"));
        assert_eq!(new.run("from_pod", &answer), straight(answer), "nobody's");
    });
}

#[test]
fn what_left_the_cluster_keeps_its_port() {
    for net in &NETS {
        let Some(mut old) = net.leaving("leaving changeover") else {
            return;
        };
        let Net {
            client, outside, ..
        } = *net;
        let first = old.leave(&tcp(client, outside, SYN).frame());
        let used = (61_000..=61_009).find(|port| {
            let from = net.node_at(*port);
            first == next(tcp(&from, outside, SYN).frame())
        });
        let from = net.node_at(used.expect("one of its ports"));
        let mut new = old.successor();
        new.uplink(&[net.node], 61_000, 61_009);
        for pod in net.pods {
            new.pod(pod);
        }

        let segment = tcp(client, outside, ACK).frame();
        let sent = next(tcp(&from, outside, ACK).frame());
        assert_eq!(new.leave(&segment), sent);
        let back = new.run("from_network", &tcp(outside, &from, ACK).frame());
        assert_eq!(back, straight(tcp(outside, client, ACK).frame()));
        let under_way = new.loaded.spare_earlier(Given::UnderWay);
        assert!(under_way.expect("spared"));
        assert_eq!(new.leave(&segment), next(segment), "nobody's");
    }
}
