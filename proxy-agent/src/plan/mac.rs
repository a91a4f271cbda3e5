//! Ethernet addresses of tunnels.

use std::fmt;
use std::net::Ipv6Addr;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address in these bytes, if they are six.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The address of a node's tunnels: one that everybody derives from the node's name, so that
    /// nobody need publish it. Locally administered, and otherwise 46 bits of a hash (FNV-1a, its
    /// upper bits folded into the lower), which every version must compute alike.
    #[must_use]
    pub fn of_node(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let [_, _, a, b, c, d, e, f] = (hash ^ hash >> 46).to_be_bytes();
        Self([a & 0xfc | 0x02, b, c, d, e, f])
    }

    /// The IPv6 address on its link that follows from it (RFC 4291, appendix A).
    #[must_use]
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        Ipv6Addr::from([
            0xfe,
            0x80,
            0,
            0,
            0,
            0,
            0,
            0,
            a ^ 0x02,
            b,
            c,
            0xff,
            0xfe,
            d,
            e,
            f,
        ])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_nodes_address_follows_from_its_name_for_ever() {
        let mac = Mac::of_node("node-1");
        assert_eq!(mac, Mac::of_node("node-1"));
        assert_eq!(mac.to_string(), "ee:c2:20:7b:e3:98");
        assert_eq!(mac.link_local().to_string(), "fe80::ecc2:20ff:fe7b:e398");
    }

    #[test]
    fn the_nodes_of_a_large_cluster_differ() {
        let macs: BTreeSet<Mac> = (0..10_000)
            .map(|number| Mac::of_node(&format!("worker-{number}")))
            .collect();
        assert_eq!(macs.len(), 10_000);
        let plain = |mac: &Mac| mac.0[0] & 3 == 2;
        assert!(macs.iter().all(plain), "unicast, locally administered");
    }
}
