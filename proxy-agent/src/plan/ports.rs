//! The ports that masquerade has for itself: none that the node's own sockets are given, and no
//! NodePort.

use std::ops::RangeInclusive;

/// Kubernetes' range of NodePorts (`--service-node-port-range`).
const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;
/// Ports below belong to services of the node.
const FIRST: u16 = 1024;
/// The fewest that will do.
const ENOUGH: u16 = 1024;

/// First and last port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// First.
    pub first: u16,
    /// Last, not below the first.
    pub last: u16,
}

/// Reads `FIRST-LAST`.
///
/// # Errors
/// In words, for the command line.
pub fn parse(text: &str) -> Result<Ports, String> {
    let ports = text
        .split_once('-')
        .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match ports {
        Some((first, last)) if first >= 1 && first <= last => Ok(Ports { first, last }),
        _ => Err("expected FIRST-LAST, two port numbers in this order".into()),
    }
}

/// The largest range, of at least [`ENOUGH`] ports, beside those that the kernel gives to sockets
/// (`local`, net.ipv4.ip_local_port_range); `None` if there is none. (A port on which a socket of
/// the node listens is left alone by the programs, which ask.)
#[must_use]
pub fn outside(local: RangeInclusive<u16>) -> Option<Ports> {
    let above = local.end().checked_add(1).map(|first| (first, u16::MAX));
    let below = local.start().checked_sub(1).map(|last| (FIRST, last));
    let best = |(first, last): (u16, u16)| {
        let before = (first, last.min(NODE_PORTS.start() - 1));
        let after = (first.max(NODE_PORTS.end() + 1), last);
        let pieces = [before, after]
            .into_iter()
            .filter(|(first, last)| first <= last && last - first >= ENOUGH - 1);
        let largest = pieces.max_by_key(|(first, last)| last - first);
        largest.map(|(first, last)| Ports { first, last })
    };
    let ranges = [above, below].into_iter().flatten().filter_map(best);
    ranges.max_by_key(|ports| ports.last - ports.first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_the_larger_one_beside_the_sockets_ports_and_no_node_port() {
        let rows = [
            (32_768..=60_999, Some((1024, 29_999))),
            (2_048..=60_999, Some((61_000, 65_535))),
            (32_768..=64_512, Some((1024, 29_999))),
            (10_000..=65_535, Some((1024, 9_999))),
            (1024..=20_000, Some((32_768, 65_535))),
            (1024..=31_000, Some((32_768, 65_535))),
            (29_000..=65_535, Some((1024, 28_999))),
            (31_000..=65_535, Some((1024, 29_999))),
            (1_500..=65_535, None),
            (1..=65_535, None),
        ];
        for (local, expected) in rows {
            let expected = expected.map(|(first, last)| Ports { first, last });
            assert_eq!(outside(local.clone()), expected, "{local:?}");
        }
    }

    #[test]
    fn a_range_is_two_ports_in_order() {
        let (first, last) = (40_000, 49_999);
        assert_eq!(parse("40000-49999"), Ok(Ports { first, last }));
        for wrong in ["", "1", "5-4", "0-9", "1-65536", "a-b", "1-2-3"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
