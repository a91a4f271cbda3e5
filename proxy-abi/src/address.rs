//! Addresses and ports as they stand in map keys and values: network byte order, both families
//! in one shape, so that one lookup and one line of code serve IPv4 and IPv6.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address in network byte order; IPv4 as an IPv4-mapped IPv6 address (`::ffff:a.b.c.d`,
/// RFC 4291 section 2.5.5.2). That is also how an IPv6 socket that talks IPv4 writes it, so the
/// socket programs of both families look into the same map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ip([u8; 16]);

crate::plain_bytes!(Ip, 16);

/// What stands before the four bytes of an IPv4-mapped address.
const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Ip {
    /// From the four bytes of an IPv4 address in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// From the sixteen bytes of an IPv6 address in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// The four bytes of an IPv4 address, network order; `None` for an IPv6 address.
    #[inline(always)]
    #[must_use]
    pub fn as_v4(&self) -> Option<[u8; 4]> {
        self.is_v4().then(|| self.low())
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub fn is_v4(&self) -> bool {
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = self.0;
        [a, b, c, d, e, f, g, h, i, j, k, l] == MAPPED
    }

    /// The last four bytes, network order: the whole of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn low(&self) -> [u8; 4] {
        let [.., a, b, c, d] = self.0;
        [a, b, c, d]
    }

    /// All sixteen bytes, network order.
    #[inline(always)]
    #[must_use]
    pub const fn octets(&self) -> [u8; 16] {
        self.0
    }
}

impl From<IpAddr> for Ip {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl From<Ip> for IpAddr {
    fn from(ip: Ip) -> Self {
        match ip.as_v4() {
            Some(octets) => Self::V4(Ipv4Addr::from(octets)),
            None => Self::V6(Ipv6Addr::from(ip.0)),
        }
    }
}

/// A transport port in network byte order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port([u8; 2]);

crate::plain_bytes!(Port, 2);

impl Port {
    /// From a number in host order.
    #[inline(always)]
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number.to_be_bytes())
    }

    /// From the two bytes on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn from_wire(bytes: [u8; 2]) -> Self {
        Self(bytes)
    }

    /// The two bytes as they stand on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn wire(self) -> [u8; 2] {
        self.0
    }

    /// The number in host order.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u16 {
        u16::from_be_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_round_trips_through_the_mapped_form() {
        let address: IpAddr = "10.96.0.10".parse().unwrap();
        let ip = Ip::from(address);
        assert_eq!(
            ip.octets(),
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 96, 0, 10]
        );
        assert_eq!(ip.as_v4(), Some([10, 96, 0, 10]));
        assert_eq!(IpAddr::from(ip), address);
    }

    #[test]
    fn ipv6_round_trips() {
        let address: IpAddr = "fd00:10:96::a".parse().unwrap();
        let ip = Ip::from(address);
        assert_eq!(ip.as_v4(), None);
        assert_eq!(IpAddr::from(ip), address);
    }

    #[test]
    fn a_port_is_big_endian_in_memory() {
        assert_eq!(Port::new(8080).wire(), [0x1f, 0x90]);
        assert_eq!(Port::from_wire([0x1f, 0x90]).number(), 8080);
    }
}
