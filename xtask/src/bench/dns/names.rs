//! The cluster that both servers know, and what is asked of it. Pure.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Services of the cluster.
pub(super) const SERVICES: usize = 10_000;
/// Endpoints of each.
pub(super) const ENDPOINTS: usize = 10;
/// Names outside the cluster.
pub(super) const OUTSIDE: usize = 1000;

/// The name of the headless Service whose endpoints change: number 10 000.
pub(super) const CHANGING: &str = "service-10000.team-0.svc.cluster.local";

/// Namespace of Service `n`.
pub(super) fn namespace(n: usize) -> String {
    format!("team-{}", n % 100)
}

/// Name of Service `n`.
pub(super) fn service(n: usize) -> String {
    format!("service-{n}")
}

/// Cluster IP of Service `n`.
pub(super) fn cluster_ip(n: usize) -> Ipv4Addr {
    at([10, 96, 0, 0], n + 1)
}

/// Address of endpoint `e` of Service `n`.
pub(super) fn endpoint(n: usize, e: usize) -> Ipv4Addr {
    at([10, 128, 0, 0], n * ENDPOINTS + e)
}

fn at(base: [u8; 4], offset: usize) -> Ipv4Addr {
    // Far below 2^32.
    Ipv4Addr::from(u32::from_be_bytes(base) + offset as u32)
}

/// Name `n` outside the cluster.
pub(super) fn outside_name(n: usize) -> String {
    format!("api-{n}.example.com")
}

/// dnsperf's lines for the Services' names, both families of each: as resolvers ask.
pub(super) fn cluster() -> String {
    scattered(SERVICES, |n, text| {
        let name = format!("{}.{}.svc.cluster.local", service(n), namespace(n));
        both(&name, text);
    })
}

/// What `ndots:5` makes of names outside the cluster.
pub(super) fn search_misses() -> String {
    scattered(OUTSIDE, |n, text| {
        let (name, namespace) = (outside_name(n), namespace(n));
        for domain in [&format!("{namespace}.svc."), "svc.", ""] {
            both(&format!("{name}.{domain}cluster.local"), text);
        }
    })
}

/// Names outside the cluster, few enough to be in a cache.
pub(super) fn outside() -> String {
    scattered(OUTSIDE, |n, text| {
        // A string takes all.
        let _ = writeln!(text, "{} A", outside_name(n));
    })
}

fn both(name: &str, text: &mut String) {
    let _ = write!(text, "{name} A\n{name} AAAA\n");
}

/// Lines for each number below `count`, in an order in which neighbours are far apart.
fn scattered(count: usize, line: impl Fn(usize, &mut String)) -> String {
    // A prime that divides no count used here.
    const STRIDE: usize = 7919;
    let mut text = String::new();
    for n in 0..count {
        line(n * STRIDE % count, &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_asked_once() {
        for (lines, wanted) in [
            (cluster(), 2 * SERVICES),
            (search_misses(), 6 * OUTSIDE),
            (outside(), OUTSIDE),
        ] {
            let distinct: BTreeSet<_> = lines.lines().collect();
            assert_eq!((lines.lines().count(), distinct.len()), (wanted, wanted));
        }
        assert!(cluster().contains("service-7919.team-19.svc.cluster.local AAAA\n"));
        let (name, namespace) = (service(SERVICES), namespace(SERVICES));
        assert_eq!(CHANGING, format!("{name}.{namespace}.svc.cluster.local"));
        assert_eq!(cluster_ip(255).to_string(), "10.96.1.0");
        assert_eq!(endpoint(9999, 9).to_string(), "10.129.134.159");
    }
}
