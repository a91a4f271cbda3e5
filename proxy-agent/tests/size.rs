//! The plan at the size of a large cluster: the first plan, one change, and the memory of both.
//!
//! A test program of its own with one test in it, so that nobody else's memory is counted.

use std::fs;
use std::time::{Duration, Instant};

use cluster_model::Protocol::Tcp;
use cluster_model::testing::{mk_endpoint, mk_node, mk_service, mk_slice};
use cluster_model::{ClusterIndex, EndpointSlice, Here, Service};
use proxy_agent::pass::{Wish, wishes};
use proxy_agent::plan::services::{Observed, Table};

const ENDPOINTS: usize = 10;
const BUDGET_MIB: usize = 90;

#[test]
fn ten_thousand_services_with_node_ports() {
    let before = resident_mib();
    let (mut index, here) = (ClusterIndex::default(), Here::new("node-1"));
    index.apply_node(mk_node("node-1").address("172.30.0.11"));
    let small = change(&mut index, &here, 10);
    let large = change(&mut index, &here, 10_000);
    let grown = resident_mib().saturating_sub(before);
    println!("a change at 10 Services {small:?}, at 10 000 {large:?}; {grown} MiB");
    assert!(
        grown <= BUDGET_MIB,
        "{grown} MiB, the budget is {BUDGET_MIB} MiB"
    );
    // A cost by the number of Services would be a thousand times as much; a loaded machine is not.
    assert!(
        large < small * 50 + Duration::from_millis(5),
        "{large:?} after {small:?}"
    );
}

/// The median time of a change among this many Services, which are left in the index.
fn change(index: &mut ClusterIndex, here: &Here, services: usize) -> Duration {
    for n in 0..services {
        index.apply_service(service(n));
        index.apply_slice(slice(n, 0));
    }
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 262_144, 7);
    let planned = table.plan_all(Wish::of(index, here).services.expect("all"), now);
    println!("{services} Services: first plan {:?}", now.elapsed());
    assert_eq!(planned.unplaced, []);
    assert_eq!(
        table.fill(),
        // Two ports, a node port, and the cluster IP's other ports.
        (services * 4, (services * ENDPOINTS * 2) as u32)
    );
    drop(planned);
    index.take_dirty();
    let mut times: Vec<_> = (0..90)
        .map(|turn| {
            let started = Instant::now();
            index.apply_slice(slice(turn * 7 % services, turn + 1));
            let dirty = index.take_dirty();
            let wanted = wishes(index, dirty.services.iter(), here);
            let planned = table.plan_changed(wanted, Instant::now());
            assert_eq!(
                planned.operations.len(),
                2 + 3,
                "two lists, three frontends"
            );
            started.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

/// A cluster IP with two ports, one of them a node port too.
fn service(n: usize) -> Service {
    mk_service("default", &format!("service-{n}"))
        .cluster_ip(&format!(
            "10.{}.{}.{}",
            96 + (n >> 16),
            (n >> 8) & 255,
            n & 255
        ))
        .port("http", Tcp, 80)
        .node_port(u16::try_from(n % 40_000 + 20_000).expect("a port"))
        .port("metrics", Tcp, 9090)
}

/// The slice of Service `n`; every `turn` has another first endpoint.
fn slice(n: usize, turn: usize) -> EndpointSlice {
    let name = format!("service-{n}");
    let slice = mk_slice("default", &name, &format!("{name}-x7k2p"))
        .port("http", Tcp, 8080)
        .port("metrics", Tcp, 9090);
    (0..ENDPOINTS).fold(slice, |slice, e| {
        let at = n * ENDPOINTS + e;
        let (a, b, c) = (at >> 16, (at >> 8) & 255, at & 255);
        let first = if e == 0 { 100 + turn % 100 } else { 10 };
        slice.endpoint(mk_endpoint(&format!("{first}.{a}.{b}.{c}")).on("node-2"))
    })
}

/// This process's resident memory (`VmRSS`).
fn resident_mib() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.expect("VmRSS in kB") / 1024
}
