//! Addresses of a range by their distance from its start.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses left for those who ask for one by number, at the start of a range, as upstream.
const STATIC_BAND: u128 = 256;

/// One more than the highest offset that is given out: not the broadcast address of IPv4, and never
/// more than a million.
pub(super) fn size(range: &IpNet) -> u128 {
    let bits = range.max_prefix_len() - range.prefix_len();
    let size = 1_u128 << bits.min(20);
    if range.addr().is_ipv4() {
        size - 1
    } else {
        size
    }
}

/// Where the static band of a range ends: a small range has a small one.
pub(super) fn band(range: &IpNet) -> u128 {
    STATIC_BAND.min(size(range) / 16).max(1)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

pub(super) fn offset(range: &IpNet, address: IpAddr) -> u128 {
    number(address).saturating_sub(number(range.network()))
}

/// The address `offset` behind the start of a range.
pub(super) fn at(range: &IpNet, offset: u128) -> IpAddr {
    match range.network() {
        IpAddr::V4(v4) => {
            let offset = u32::try_from(offset).unwrap_or_default();
            Ipv4Addr::from_bits(v4.to_bits().wrapping_add(offset)).into()
        }
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add(offset)).into(),
    }
}
