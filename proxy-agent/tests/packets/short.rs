//! Segments of connections that need nothing but a way.

use super::kernel::packet::tcp;
use super::kernel::{DROP, endpoint, frontend};
use super::*;

const FIN: u8 = 0x01;

#[test]
fn the_way_of_an_established_connection_is_remembered_for_a_moment() {
    each_family("remembered", |net, kernel| {
        let Net { client, local, .. } = *net;
        let segment = tcp(client, local, ACK).frame();
        assert_eq!(kernel.run("from_pod", &segment), straight(segment.clone()));
        kernel.forget_pod(net.pods[3]);
        assert_eq!(
            kernel.run("from_pod", &segment),
            straight(segment.clone()),
            "nobody is asked again"
        );
        let forged = tcp(client, local, ACK).sender([2, 0, 0, 0, 0, 9]).frame();
        assert_eq!(
            kernel.run("from_pod", &forged).verdict,
            DROP,
            "another sender"
        );
        for flags in [SYN, SYN | ACK] {
            let segment = tcp(client, local, flags).frame();
            let run = kernel.run("from_pod", &segment);
            assert_eq!(run, next(segment), "flags {flags} take the whole walk");
        }
        for flags in [FIN | ACK, RST] {
            let segment = tcp(client, local, flags).frame();
            let run = kernel.run("from_pod", &segment);
            assert_eq!(run, straight(segment), "flags {flags} end on their way");
        }
        std::thread::sleep(std::time::Duration::from_millis(2_600));
        assert_eq!(
            kernel.run("from_pod", &segment),
            next(segment),
            "believed no more"
        );
    });
}

#[test]
fn what_comes_from_the_network_has_a_way_too() {
    each_family("from the network", |net, kernel| {
        let segment = tcp(net.remote, net.client, ACK).frame();
        assert_eq!(
            kernel.run("from_network", &segment),
            straight(segment.clone())
        );
        kernel.forget_pod(net.pods[0]);
        assert_eq!(kernel.run("from_network", &segment), straight(segment));
    });
}

#[test]
fn a_remembered_way_gives_way_to_a_service() {
    each_family("gives way", |net, kernel| {
        let Net {
            client, web, local, ..
        } = *net;
        let (there, back) = (tcp(client, web, ACK), tcp(local, client, ACK));
        kernel.remove(frontend(web, TCP));
        kernel.run("from_pod", &there.frame());
        kernel.run("from_pod", &back.frame());
        kernel.point(frontend(web, TCP), &[endpoint(local)]);
        let run = kernel.run("from_pod", &tcp(client, web, SYN).frame());
        assert_eq!(run, straight(tcp(client, local, SYN).frame()));
        let run = kernel.run("from_pod", &back.frame());
        assert_eq!(run, straight(tcp(web, client, ACK).frame()), "the answers");
        let run = kernel.run("from_pod", &there.frame());
        assert_eq!(
            run,
            straight(tcp(client, local, ACK).frame()),
            "and the client"
        );
    });
}

#[test]
fn a_translated_connection_is_translated_to_its_end() {
    each_family("translated", |net, kernel| {
        let Net {
            client, web, local, ..
        } = *net;
        kernel.run("from_pod", &tcp(client, web, SYN).frame());
        for _ in 0..3 {
            let run = kernel.run("from_pod", &tcp(client, web, ACK).frame());
            assert_eq!(run, straight(tcp(client, local, ACK).frame()));
            let run = kernel.run("from_pod", &tcp(local, client, ACK).frame());
            assert_eq!(run, straight(tcp(web, client, ACK).frame()));
        }
    });
}
