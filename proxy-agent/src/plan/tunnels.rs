//! VXLAN devices to the nodes that are not on a link of this one.

use std::fmt;
use std::net::IpAddr;

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
    /// nobody need publish it. Locally administered, and otherwise 46 bits of a hash (FNV-1a,
    /// which every version must compute alike).
    #[must_use]
    pub fn of_node(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let [a, b, c, d, e, f, g, h] = hash.to_be_bytes();
        Self([(a ^ g) & 0xfc | 0x02, b ^ h, c, d, e, f])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// What cannot be changed of a VXLAN device but by making it anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Network identifier.
    pub vni: u32,
    /// UDP port.
    pub port: u16,
    /// This node's address outside; its family is that of the outer packets.
    pub local: Option<IpAddr>,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Whether it learns addresses from what comes.
    pub learns: bool,
    /// Whether outer packets may be fragmented on their way. If not, they may where the inner
    /// packet may.
    pub fragments: bool,
}
