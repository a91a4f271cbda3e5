//! Addresses and ports as they stand in map keys and values: network byte order, both families
//! in one shape, so that one lookup and one line of code serve IPv4 and IPv6.

use core::cmp::Ordering;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address in network byte order; IPv4 as an IPv4-mapped IPv6 address (`::ffff:a.b.c.d`,
/// RFC 4291 section 2.5.5.2). That is also how an IPv6 socket that talks IPv4 writes it, so the
/// socket programs of both families look into the same map.
///
/// Four words whose bytes, in memory, are the address's: the kernel half moves words, where it
/// would take sixteen single bytes apart and spill each to its 512 bytes of stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ip([u32; 4]);

crate::plain_bytes!(Ip, 16);

/// The third word of an IPv4-mapped address.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Ip {
    /// From the four bytes of an IPv4 address in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self([0, 0, MAPPED, u32::from_ne_bytes(octets)])
    }

    /// From the sixteen bytes of an IPv6 address in network order.
    #[inline(always)]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self([
            u32::from_ne_bytes([a, b, c, d]),
            u32::from_ne_bytes([e, f, g, h]),
            u32::from_ne_bytes([i, j, k, l]),
            u32::from_ne_bytes([m, n, o, p]),
        ])
    }

    /// From four words as they lie in a packet or socket: bytes in network order.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u32; 4]) -> Self {
        Self(words)
    }

    /// The four words, bytes in network order.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u32; 4] {
        self.0
    }

    /// The four bytes of an IPv4 address, network order; `None` for an IPv6 address.
    #[inline(always)]
    #[must_use]
    pub fn as_v4(&self) -> Option<[u8; 4]> {
        self.is_v4().then(|| self.low().to_ne_bytes())
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == MAPPED
    }

    /// The last word, bytes in network order: the whole of an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn low(&self) -> u32 {
        self.0[3]
    }

    /// All sixteen bytes, network order.
    #[inline(always)]
    #[must_use]
    pub const fn octets(&self) -> [u8; 16] {
        let [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]] = [
            self.0[0].to_ne_bytes(),
            self.0[1].to_ne_bytes(),
            self.0[2].to_ne_bytes(),
            self.0[3].to_ne_bytes(),
        ];
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The address as two numbers, by which addresses are ordered.
    #[inline(always)]
    #[must_use]
    pub const fn halves(&self) -> (u64, u64) {
        let [a, b, c, d] = self.0;
        (
            (u32::from_be(a) as u64) << 32 | u32::from_be(b) as u64,
            (u32::from_be(c) as u64) << 32 | u32::from_be(d) as u64,
        )
    }
}

/// As numbers: `10.0.0.2` comes before `10.0.0.10`.
impl Ord for Ip {
    #[inline(always)]
    fn cmp(&self, other: &Self) -> Ordering {
        self.halves().cmp(&other.halves())
    }
}

impl PartialOrd for Ip {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
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
            None => Self::V6(Ipv6Addr::from(ip.octets())),
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
    fn addresses_are_ordered_as_numbers() {
        let ip = |text: &str| Ip::from(text.parse::<IpAddr>().unwrap());
        assert!(ip("10.0.0.2") < ip("10.0.0.10"));
        assert!(ip("9.255.255.255") < ip("10.0.0.0"));
        assert!(ip("fd00::2") < ip("fd00::10"));
        assert!(ip("255.255.255.255") < ip("fd00::1"));
    }

    #[test]
    fn a_port_is_big_endian_in_memory() {
        assert_eq!(Port::new(8080).wire(), [0x1f, 0x90]);
        assert_eq!(Port::from_wire([0x1f, 0x90]).number(), 8080);
    }
}
