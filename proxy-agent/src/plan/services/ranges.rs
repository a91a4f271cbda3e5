//! Which entries of the map `source_ranges` a Service port needs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use proxy_abi::{Ip, SourceRange};

/// Where IPv4 begins in the map: `::ffff:0:0/96`.
const MAPPED: u128 = 0xffff_0000_0000;
const MAPPED_BITS: u8 = 96;

/// The ranges that the map holds, by the number of the port.
#[derive(Debug, Default)]
pub(super) struct Ranges(BTreeMap<u32, BTreeSet<SourceRange>>);

impl Ranges {
    pub(super) fn new(held: impl IntoIterator<Item = SourceRange>) -> Self {
        let mut all = Self::default();
        for range in held {
            all.0
                .entry(range.source.service())
                .or_default()
                .insert(range);
        }
        all
    }

    /// Makes `wanted` the ranges of a port; returns those to put now and those to remove once its
    /// frontends are as they should be. In between both are there: a client meets what was or what
    /// will be.
    pub(super) fn set(
        &mut self,
        number: u32,
        wanted: BTreeSet<SourceRange>,
    ) -> (Vec<SourceRange>, Vec<SourceRange>) {
        let before = match wanted.is_empty() {
            true => self.0.remove(&number),
            false => self.0.insert(number, wanted.clone()),
        };
        let before = before.unwrap_or_default();
        let missing = wanted.difference(&before).copied().collect();
        let surplus = before.difference(&wanted).copied().collect();
        (missing, surplus)
    }

    /// Whether these are the same, but for those of the ports with some numbers.
    pub(super) fn are(&self, others: &Self, but: &BTreeSet<u32>) -> bool {
        let counted = |(number, _): &(&u32, &BTreeSet<SourceRange>)| !but.contains(number);
        let ours = self.0.iter().filter(counted);
        ours.eq(others.0.iter().filter(counted))
    }

    /// The numbers that have ranges.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }
}

/// The entries of a port's ranges.
pub(super) fn entries(number: u32, ranges: &[IpNet]) -> BTreeSet<SourceRange> {
    let prefixes = ranges.iter().flat_map(prefixes);
    prefixes
        .map(|(bits, address)| SourceRange::new(number, u32::from(bits), address))
        .collect()
}

/// A range as prefixes of the map's 128 bits. One of IPv6 that reaches over the mapped IPv4
/// addresses (`::/0` does) is put as what of it does not, so that it lets no IPv4 client in.
fn prefixes(range: &IpNet) -> Vec<(u8, Ip)> {
    let (bits, address) = (range.prefix_len(), range.network());
    let IpAddr::V6(first) = address else {
        return vec![(MAPPED_BITS + bits, Ip::from(address))];
    };
    if bits > MAPPED_BITS || !range.contains(&IpAddr::from(MAPPED.to_be_bytes())) {
        return vec![(bits, Ip::v6(first.octets()))];
    }
    // Halve it again and again, and keep the half without IPv4.
    let halves = (bits + 1)..=MAPPED_BITS;
    let kept = |bits: u8| {
        let low = 128 - u32::from(bits);
        let other = ((MAPPED >> low) ^ 1) << low;
        (bits, Ip::v6(other.to_be_bytes()))
    };
    halves.map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(range: &str) -> Vec<String> {
        let range = range.parse().expect("a range");
        let line = |(bits, ip): (u8, Ip)| format!("{}/{bits}", IpAddr::from(ip));
        prefixes(&range).into_iter().map(line).collect()
    }

    #[test]
    fn a_range_is_a_prefix() {
        assert_eq!(text("10.0.0.0/8"), ["10.0.0.0/104"]);
        assert_eq!(text("0.0.0.0/0"), ["0.0.0.0/96"]);
        assert_eq!(text("2001:db8::/32"), ["2001:db8::/32"]);
        assert_eq!(text("::1/128"), ["::1/128"]);
    }

    #[test]
    fn all_of_ipv6_is_none_of_ipv4() {
        let all = text("::/0");
        assert_eq!(all.len(), 96);
        assert_eq!((&*all[0], &*all[1]), ("8000::/1", "4000::/2"));
        let has = |address: &str| {
            let address: u128 = address
                .parse::<std::net::Ipv6Addr>()
                .expect("an address")
                .into();
            let ranges = prefixes(&"::/0".parse().expect("a range"));
            let within = |(bits, ip): &(u8, Ip)| {
                let first = u128::from_be_bytes(ip.octets());
                (first ^ address) >> (128 - u32::from(*bits)) == 0
            };
            ranges.iter().filter(|range| within(range)).count()
        };
        for inside in [
            "2001:db8::1",
            "::1",
            "::fffe:0:1",
            "fe80::1",
            "::ffff:0:0:1",
            "::1:0:0:0",
        ] {
            assert_eq!(has(inside), 1, "{inside}");
        }
        assert_eq!(has("::ffff:10.0.0.1"), 0);
    }

    #[test]
    fn what_was_goes_after_what_will_be_has_come() {
        let of = |list: &[&str]| {
            let list: Vec<IpNet> = list.iter().map(|r| r.parse().expect("a range")).collect();
            entries(7, &list)
        };
        let mut ranges = Ranges::new(of(&["10.0.0.0/8", "192.0.2.0/24"]));
        let (put, remove) = ranges.set(7, of(&["10.0.0.0/8", "203.0.113.0/24"]));
        assert_eq!(BTreeSet::from_iter(put), of(&["203.0.113.0/24"]));
        assert_eq!(BTreeSet::from_iter(remove), of(&["192.0.2.0/24"]));
        let (put, remove) = ranges.set(7, BTreeSet::new());
        assert_eq!((put.len(), remove.len()), (0, 2));
        assert_eq!(ranges.numbers().count(), 0);
    }
}
