//! The cluster that both servers know, and what is asked of it. Pure.

use std::fmt::Write as _;

use crate::bench::population::{self, Population, namespace};

/// The cluster.
pub(super) const CLUSTER: Population = Population {
    services: 10_000,
    endpoints: 10,
};
/// Names outside the cluster.
pub(super) const OUTSIDE: usize = 1000;

/// The name of the headless Service whose endpoints change: number 10 000.
pub(super) const CHANGING: &str = "service-10000.team-0.svc.cluster.local";

/// The name under which Service `n` is found.
pub(super) fn service_name(n: usize) -> String {
    format!("{}.{}.svc.cluster.local", population::name(n), namespace(n))
}

/// Name `n` outside the cluster.
pub(super) fn outside_name(n: usize) -> String {
    format!("api-{n}.example.com")
}

/// dnsperf's lines for the Services' names, both families of each: as resolvers ask.
pub(super) fn cluster() -> String {
    scattered(CLUSTER.services, |n, text| both(&service_name(n), text))
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
            (cluster(), 2 * CLUSTER.services),
            (search_misses(), 6 * OUTSIDE),
            (outside(), OUTSIDE),
        ] {
            let distinct: BTreeSet<_> = lines.lines().collect();
            assert_eq!((lines.lines().count(), distinct.len()), (wanted, wanted));
        }
        assert!(cluster().contains("service-7919.team-19.svc.cluster.local AAAA\n"));
        assert_eq!(CHANGING, service_name(CLUSTER.services));
    }
}
