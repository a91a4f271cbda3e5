//! A frontend: one address, port and protocol at which one Service port answers.
//!
//! Map `frontends`, written by the agent alone. One write of one entry commits a change of the
//! Service (architecture, invariant 1): the endpoint list stands complete in fresh slots of the
//! map `endpoints` before the entry points there.

use crate::{Ip, Port};

/// Key of the map `frontends`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrontendKey {
    /// The address that clients dial.
    pub address: Ip,
    /// The port that clients dial.
    pub port: Port,
    /// IP protocol number, see [`crate::protocol`].
    pub protocol: u8,
    zero: u8,
}

crate::plain_bytes!(FrontendKey, 20);

impl FrontendKey {
    /// The key of `address`:`port` for one IP protocol number.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Ip, port: Port, protocol: u8) -> Self {
        Self {
            address,
            port,
            protocol,
            zero: 0,
        }
    }
}

/// Value of the map `frontends`: where the endpoint list of this frontend stands.
///
/// The kernel may give the memory of a removed or replaced element to another one at once (hash
/// maps that are not preallocated have recycled it since Linux 6.1), so a program that has just
/// looked an element up may read another frontend's value, or half of it. `check` tells: it is
/// computed from the key and all fields.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// First slot of the list in the map `endpoints`.
    pub first_slot: u32,
    /// Number of slots; 0: nobody serves, new connections are refused at once.
    pub count: u32,
    /// Grows with each change of this frontend's list; wraps. A flow made under another
    /// generation looks whether its endpoint is still in the list.
    pub generation: u32,
    check: u32,
}

crate::plain_bytes!(Frontend, 16);

impl Frontend {
    /// The value of `key`: `count` endpoints from `first_slot`.
    #[inline(always)]
    #[must_use]
    pub const fn new(key: &FrontendKey, first_slot: u32, count: u32, generation: u32) -> Self {
        let check = check(key, first_slot, count, generation);
        Self {
            first_slot,
            count,
            generation,
            check,
        }
    }

    /// Whether this is a whole value of `key`.
    #[inline(always)]
    #[must_use]
    pub const fn belongs_to(&self, key: &FrontendKey) -> bool {
        self.check == check(key, self.first_slot, self.count, self.generation)
    }
}

/// A digest of key and fields; each step is one multiplication, so that a change of any input
/// changes it.
#[inline(always)]
const fn check(key: &FrontendKey, first_slot: u32, count: u32, generation: u32) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (high, low) = key.address.halves();
    let port = (key.port.number() as u64) << 8 | key.protocol as u64;
    let mut digest = (high ^ port).wrapping_mul(ODD);
    digest = (digest ^ low).wrapping_mul(ODD);
    digest = (digest ^ (first_slot as u64) << 32 ^ count as u64).wrapping_mul(ODD);
    digest = (digest ^ generation as u64).wrapping_mul(ODD);
    (digest >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_belongs_to_its_key_alone() {
        let key = |last, port, protocol| {
            FrontendKey::new(Ip::v4([10, 96, 0, last]), Port::new(port), protocol)
        };
        let value = Frontend::new(&key(1, 80, 6), 40, 3, 7);
        assert!(value.belongs_to(&key(1, 80, 6)));
        for other in [key(2, 80, 6), key(1, 81, 6), key(1, 80, 17)] {
            assert!(!value.belongs_to(&other), "{other:?}");
        }
        for torn in [
            Frontend {
                first_slot: 41,
                ..value
            },
            Frontend { count: 4, ..value },
            Frontend {
                generation: 8,
                ..value
            },
        ] {
            assert!(!torn.belongs_to(&key(1, 80, 6)), "{torn:?}");
        }
    }
}
