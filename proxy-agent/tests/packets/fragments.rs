//! Datagrams in pieces follow their first.

use super::kernel::DROP;
use super::kernel::packet::udp;
use super::*;

#[test]
fn the_fragments_of_a_datagram_follow_its_first() {
    each_family("fragments", |net, kernel| {
        let Net {
            client, dns, local, ..
        } = *net;
        let first = kernel.run("from_pod", &udp(client, dns).first().frame());
        assert_eq!(first, straight(udp(client, local).first().frame()));
        let last = kernel.run("from_pod", &udp(client, dns).last(185).frame());
        assert_eq!(last, straight(udp(client, local).last(185).frame()));
        let first = kernel.run("from_network", &udp(local, client).first().frame());
        assert_eq!(
            first,
            straight(udp(dns, client).first().frame()),
            "the answer"
        );
        let last = kernel.run("from_network", &udp(local, client).last(185).frame());
        assert_eq!(last, straight(udp(dns, client).last(185).frame()));
    });
}

#[test]
fn a_fragment_whose_first_never_came_has_no_flow() {
    each_family("lost first", |net, kernel| {
        let last = udp(net.client, net.dns).last(185).frame();
        assert_eq!(kernel.run("from_pod", &last), next(last));
    });
    for net in &NETS {
        let Some(mut kernel) = net.leaving("lost first") else {
            return;
        };
        let last = udp(net.client, net.outside).last(185).frame();
        assert_eq!(
            kernel.leave(&last).verdict,
            DROP,
            "and does not leave the cluster"
        );
        let left = kernel.leave(&udp(net.client, net.outside).first().frame());
        assert_eq!(left.verdict, NEXT);
        let run = kernel.leave(&last);
        let node = net.node_at(0);
        assert_eq!(
            run,
            next(udp(&node, net.outside).last(185).frame()),
            "now it does"
        );
    }
}
