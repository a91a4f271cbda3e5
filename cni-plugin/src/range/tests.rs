//! Ranges against `host-local`: the same defaults, the same refusals, the same order.

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mk_range(subnet: &str, start: &str, end: &str, gateway: &str) -> Result<Range, RangeError> {
    let given = |text: &str| (!text.is_empty()).then(|| address(text));
    let bounds = Bounds {
        start: given(start),
        end: given(end),
        gateway: given(gateway),
    };
    Range::checked(subnet.parse().unwrap(), bounds)
}

/// A set of whole subnets.
pub(crate) fn mk_set(subnets: &[&str]) -> RangeSet {
    let ranges = subnets
        .iter()
        .map(|subnet| mk_range(subnet, "", "", "").unwrap());
    RangeSet::checked(ranges.collect()).unwrap()
}

#[test]
fn defaults_are_those_of_host_local() {
    let rows = [
        (
            ("10.244.1.0/24", "", "", ""),
            "10.244.1.1-10.244.1.254",
            Gateway::LastResort(address("10.244.1.1")),
        ),
        (
            ("10.0.0.0/30", "", "", ""),
            "10.0.0.1-10.0.0.2",
            Gateway::LastResort(address("10.0.0.1")),
        ),
        (
            ("10.1.0.0/16", "10.1.2.3", "10.1.4.5", "10.1.9.9"),
            "10.1.2.3-10.1.4.5",
            Gateway::Kept(address("10.1.9.9")),
        ),
        (
            ("fd00::/120", "", "", ""),
            "fd00::1-fd00::ff",
            Gateway::LastResort(address("fd00::1")),
        ),
    ];
    for ((subnet, start, end, gateway), expected, apart) in rows {
        let range = mk_range(subnet, start, end, gateway).unwrap();
        assert_eq!(range.to_string(), expected);
        assert_eq!(range.gateway, apart, "{subnet}");
    }
}

#[test]
fn what_is_no_range() {
    let rows = [
        (("10.0.0.5/24", "", "", ""), "host bits"),
        (("10.0.0.0/31", "", "", ""), "too small"),
        (("10.0.0.0/32", "", "", ""), "too small"),
        (("fd00::/127", "", "", ""), "too small"),
        (
            ("10.0.0.0/24", "10.0.1.1", "", ""),
            "rangeStart 10.0.1.1 is not in 10.0.0.0/24",
        ),
        (
            ("10.0.0.0/24", "", "fd00::1", ""),
            "rangeEnd fd00::1 is not in",
        ),
        (
            ("10.0.0.0/24", "", "", "10.9.0.1"),
            "gateway 10.9.0.1 is not in",
        ),
        (("10.0.0.0/24", "10.0.0.9", "10.0.0.8", ""), "comes after"),
    ];
    for ((subnet, start, end, gateway), expected) in rows {
        let refused = mk_range(subnet, start, end, gateway)
            .unwrap_err()
            .to_string();
        assert!(refused.contains(expected), "{refused:?} lacks {expected:?}");
    }
}

#[test]
fn what_is_no_set() {
    let range = |subnet| mk_range(subnet, "", "", "").unwrap();
    assert_eq!(RangeSet::checked(vec![]), Err(RangeError::Empty));
    let overlap = RangeSet::checked(vec![
        range("10.0.0.0/24"),
        range("10.1.0.0/24"),
        range("10.0.0.0/25"),
    ]);
    assert!(matches!(overlap, Err(RangeError::Overlap(..))));
    let mixed = RangeSet::checked(vec![range("10.0.0.0/24"), range("fd00::/64")]);
    assert!(matches!(mixed, Err(RangeError::MixedFamilies(..))));
}

#[test]
fn candidates_go_round_once_and_what_others_keep_for_a_gateway_comes_last() {
    let one = ["10.0.0.0/29"];
    let two = ["10.0.0.0/29", "10.0.1.0/30"];
    let rows: [(&[&str], &str, &str); 8] = [
        (&one, "", "0.2 0.3 0.4 0.5 0.6 0.1"),
        (&one, "10.0.0.1", "0.2 0.3 0.4 0.5 0.6 0.1"),
        (&one, "10.0.0.4", "0.5 0.6 0.2 0.3 0.4 0.1"),
        (&one, "10.0.0.6", "0.2 0.3 0.4 0.5 0.6 0.1"),
        (&one, "192.168.0.1", "0.2 0.3 0.4 0.5 0.6 0.1"),
        (&two, "10.0.0.6", "1.2 0.2 0.3 0.4 0.5 0.6 0.1 1.1"),
        (&two, "10.0.1.2", "0.2 0.3 0.4 0.5 0.6 1.2 0.1 1.1"),
        (&two, "10.0.0.2", "0.3 0.4 0.5 0.6 1.2 0.2 0.1 1.1"),
    ];
    for (subnets, last, expected) in rows {
        let got: Vec<_> = mk_set(subnets).candidates(last.parse().ok()).collect();
        let expected: Vec<_> = expected
            .split(' ')
            .map(|end| address(&format!("10.0.{end}")))
            .collect();
        assert_eq!(got, expected, "after {last:?} in {subnets:?}");
    }
}

#[test]
fn a_gateway_that_is_configured_is_never_given_away() {
    let rows = [
        ("10.0.0.1", "", "0.2 0.3 0.4 0.5 0.6"),
        ("10.0.0.6", "", "0.1 0.2 0.3 0.4 0.5"),
        ("10.0.0.6", "10.0.0.2", "0.2 0.3 0.4 0.5"),
    ];
    for (gateway, start, expected) in rows {
        let range = mk_range("10.0.0.0/29", start, "", gateway).unwrap();
        let set = RangeSet::checked(vec![range]).unwrap();
        let expected: Vec<_> = expected
            .split(' ')
            .map(|end| address(&format!("10.0.{end}")))
            .collect();
        assert_eq!(set.candidates(None).collect::<Vec<_>>(), expected);
    }
    let above = mk_range("10.0.0.0/29", "10.0.0.5", "", "").unwrap();
    let set = RangeSet::checked(vec![above]).unwrap();
    assert_eq!(set.candidates(None).count(), 2, "it lies outside the range");
}

#[test]
fn the_ends_of_the_address_space_are_addresses_like_others() {
    assert_eq!(mk_set(&["255.255.255.0/24"]).candidates(None).count(), 254);
    let top = mk_set(&["ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126"]);
    assert_eq!(
        top.candidates(Some(address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe")))
            .count(),
        3
    );
    assert!(!top.is_ipv4());
}
