//! A flood of names that nobody asked for before: memory stays within what the flags say.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::time::Duration;

use hickory_proto::op::ResponseCode;

use crate::api::{Api, SERVICES};
use crate::running::{Running, WEB, ask, metric, question};
use crate::upstream::Upstream;
use crate::{ANY, service};

/// Long enough for an answer on loopback.
const LONG: Duration = Duration::from_secs(5);
/// Too short for an answer that waits for an upstream.
const SHORT: Duration = Duration::from_millis(20);
/// Questions on their way at once, far fewer than the server lets wait.
const WINDOW: usize = 50;

/// Asks for `n<number>.flood.example` and its like in the cluster's zone; says how many were
/// answered.
fn flood(server: SocketAddr, numbers: Range<u32>, patience: Duration) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.connect(server).expect("loopback");
    socket.set_read_timeout(Some(patience)).expect("a socket");
    let (mut answer, mut answered) = ([0; 4096], 0);
    let numbers: Vec<u32> = numbers.collect();
    for window in numbers.chunks(WINDOW) {
        for n in window {
            for domain in ["", "default.svc.cluster.local."] {
                let name = format!("n{n}.flood.example.{domain}");
                socket.send(&question(&name, *n as u16)).expect("sent");
            }
        }
        for _ in 0..2 * window.len() {
            if socket.recv(&mut answer).is_err() {
                break;
            }
            answered += 1;
        }
    }
    answered
}

#[test]
fn what_upstreams_say_takes_no_more_memory_than_the_cache_may() {
    let api = Api::started();
    api.put(SERVICES, service("web", "10.96.0.1"));
    // Answers of 350 bytes: all of them would be 18 MiB.
    let upstream = Upstream::knowing(ANY, Ipv4Addr::new(192, 0, 2, 1), 20);
    const MIB: u64 = 4;
    let server = Running::start_with(
        &api.url(),
        &[
            "--upstream",
            &upstream.address.to_string(),
            "--cache",
            &MIB.to_string(),
        ],
    );
    let udp = server.address("DNS over UDP");
    let http = server.address("HTTP");
    server.line("synced");
    // Threads, stacks and buffers come with the first questions.
    flood(udp, 0..100, LONG);
    let before = server.resident();
    let answered = flood(udp, 100..30_000, LONG);
    let grown = server.resident().saturating_sub(before);
    println!("{answered} answers, {grown} KiB more than {before} KiB");
    assert!(answered > 55_000, "{answered} answers");
    assert!(upstream.asked() > 27_000, "each name was asked for");
    let cache = metric(http, "flatnet_dns_cache_bytes");
    let bound = (MIB << 20) as f64;
    assert!(
        cache <= bound && cache > bound / 2.0,
        "{cache} bytes in the cache"
    );
    // And what comes and goes with the questions that are on their way.
    assert!(grown < MIB * 1024 + 768, "{grown} KiB more");
}

#[test]
fn questions_that_nobody_answers_are_bounded_too() {
    const WAITING: usize = 200;
    let api = Api::started();
    api.put(SERVICES, service("web", "10.96.0.1"));
    let upstream = Upstream::silent(ANY);
    let server = Running::start_with(
        &api.url(),
        &[
            "--upstream",
            &upstream.address.to_string(),
            "--max-concurrent",
            &WAITING.to_string(),
        ],
    );
    let udp = server.address("DNS over UDP");
    let http = server.address("HTTP");
    server.line("synced");
    // As many as may wait, and more.
    flood(udp, 0..1000, SHORT);
    let before = server.resident();
    flood(udp, 1000..6000, SHORT);
    let grown = server.resident().saturating_sub(before);
    println!("{grown} KiB more than {before} KiB");
    assert!(grown < 2048, "{grown} KiB more");
    let rejected = metric(http, "coredns_forward_max_concurrent_rejects_total");
    assert!(rejected > 1000.0, "{rejected} not asked");
    assert_eq!(ask(udp, WEB).0, ResponseCode::NoError, "ours go on");
}
