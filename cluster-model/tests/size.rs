//! The model's memory at the size of a large cluster, and the cost of a change in it.
//!
//! A test binary of its own with one test in it, so that nobody else's memory is counted.

use std::fs;
use std::time::{Duration, Instant};

use cluster_model::Protocol::Tcp;
use cluster_model::testing::{mk_endpoint, mk_service, mk_slice};
use cluster_model::{ClusterIndex, EndpointSlice, Here, Service, ports_of};

const SERVICES: usize = 10_000;
const ENDPOINTS: usize = 10;
const BUDGET_MIB: usize = 40;

#[test]
fn ten_thousand_services_of_ten_endpoints() {
    let before = resident_mib();
    let mut index = ClusterIndex::default();
    for n in 0..SERVICES {
        index.apply_service(service(n));
        index.apply_slice(slice(n, 0));
    }
    let grown = resident_mib().saturating_sub(before);
    println!("{SERVICES} Services x {ENDPOINTS} endpoints: {grown} MiB");
    assert!(
        grown <= BUDGET_MIB,
        "{grown} MiB, the budget is {BUDGET_MIB} MiB"
    );

    index.take_dirty();
    let here = Here::new("node-1");
    let started = Instant::now();
    for n in 0..1000 {
        index.apply_slice(slice(n, 1));
        let dirty = index.take_dirty();
        let name = dirty.services.first().expect("the slice changed");
        assert_eq!(ports_of(&index, name, &here).len(), 2);
    }
    let each = started.elapsed() / 1000;
    println!("a change and its view: {each:?}");
    // Two orders above what it takes, and three below what walking all Services would.
    assert!(each < Duration::from_millis(2), "{each:?} for one change");
}

fn service(n: usize) -> Service {
    mk_service(&format!("team-{}", n % 100), &format!("service-{n}"))
        .cluster_ip(&format!(
            "10.{}.{}.{}",
            96 + n / 65536,
            (n / 256) % 256,
            n % 256
        ))
        .port("http", Tcp, 80)
        .port("metrics", Tcp, 9090)
}

/// The slice of Service `n`, on other nodes in another `turn`.
fn slice(n: usize, turn: usize) -> EndpointSlice {
    let name = format!("service-{n}");
    let slice = mk_slice(
        &format!("team-{}", n % 100),
        &name,
        &format!("{name}-x7k2p"),
    )
    .port("http", Tcp, 8080)
    .port("metrics", Tcp, 9090);
    (0..ENDPOINTS).fold(slice, |slice, e| {
        let at = n * ENDPOINTS + e;
        let node = format!("worker-{:04}.example.internal", (at + turn) % 1000);
        let endpoint = mk_endpoint(&format!("10.{}.{}.{}", at >> 16, (at >> 8) & 255, at & 255));
        slice.endpoint(endpoint.on(&node).in_zone("eu-central-1a"))
    })
}

/// This process's resident memory (`VmRSS`).
fn resident_mib() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a VmRSS line");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<usize>().ok());
    kib.expect("VmRSS in kB") / 1024
}
