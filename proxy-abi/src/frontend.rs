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
    /// The key under which a cluster IP itself is known, beside its ports: what a Service does not
    /// have is refused there. No packet has this port and protocol.
    #[inline(always)]
    #[must_use]
    pub const fn whole(address: Ip) -> Self {
        Self::new(address, Port::new(0), 0)
    }

    /// Whether it is such a key.
    #[inline(always)]
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.protocol == 0
    }

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

/// A run of slots in the map `endpoints`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct List {
    /// Its first slot.
    pub first_slot: u32,
    /// Number of slots; 0: nobody serves.
    pub count: u32,
}

/// How a frontend treats its clients, beside its lists. A set of flags.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Treatment(u32);

impl Treatment {
    /// Clients from outside get the node's address if their endpoint is on another node, so that
    /// replies come back this way (`externalTrafficPolicy: Cluster`).
    pub const MASQUERADE: Self = Self(1);
    /// With an empty inside list packets are dropped, not refused: there are endpoints, but the
    /// traffic policy forbids them here.
    pub const DROP_INSIDE: Self = Self(2);
    /// The same for the outside list.
    pub const DROP_OUTSIDE: Self = Self(4);
    /// Only clients in the Service's source ranges (map `source_ranges`) are served.
    pub const SOURCE_RANGES: Self = Self(8);
    /// The address is one that the node would ask its neighbours for: where nobody has it, no packet
    /// of the node's own processes gets as far as a packet program, so their sockets are pointed at
    /// endpoints in every case.
    pub const ON_LINK: Self = Self(16);

    /// Both sets.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    #[inline(always)]
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a frontend is, but for its generation: where its endpoints stand and how it treats clients.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Offer {
    /// Endpoints for clients on this node: its pods and its own processes.
    pub inside: List,
    /// Endpoints for clients whose packets come from the network. The same slots as `inside`
    /// unless the traffic policies tell the two apart.
    pub outside: List,
    /// Which Service port this is: the same number at all its frontends, another for every other
    /// Service port. 0 where nothing needs it.
    pub service: u32,
    /// Seconds for which a client stays on its endpoint (`sessionAffinity: ClientIP`); 0: not.
    pub affinity_seconds: u32,
    /// How it treats clients.
    pub treatment: Treatment,
}

impl Offer {
    /// The same list for every client, and nothing else.
    #[inline(always)]
    #[must_use]
    pub const fn to_all(list: List) -> Self {
        Self {
            inside: list,
            outside: list,
            service: 0,
            affinity_seconds: 0,
            treatment: Treatment(0),
        }
    }
}

/// Value of the map `frontends`.
///
/// The kernel may give the memory of a removed or replaced element to another one at once (hash
/// maps that are not preallocated have recycled it since Linux 6.1), so a program that has just
/// looked an element up may read another frontend's value, or half of it. `check` tells: it is
/// computed from the key and all fields.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frontend {
    /// What it is.
    pub offer: Offer,
    /// Grows with each change of this frontend's lists; wraps. A flow made under another
    /// generation looks whether its endpoint is still in the list.
    pub generation: u32,
    check: u32,
}

crate::plain_bytes!(Frontend, 36);

impl Frontend {
    /// The value of `key`.
    #[inline(always)]
    #[must_use]
    pub const fn new(key: &FrontendKey, offer: Offer, generation: u32) -> Self {
        Self {
            offer,
            generation,
            check: check(key, &offer, generation),
        }
    }

    /// Whether this is a whole value of `key`.
    #[inline(always)]
    #[must_use]
    pub const fn belongs_to(&self, key: &FrontendKey) -> bool {
        self.check == check(key, &self.offer, self.generation)
    }
}

/// A digest of key and fields; each step is one multiplication, so that a change of any input
/// changes it.
#[inline(always)]
const fn check(key: &FrontendKey, offer: &Offer, generation: u32) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (high, low) = key.address.halves();
    let port = (key.port.number() as u64) << 8 | key.protocol as u64;
    let inside = (offer.inside.first_slot as u64) << 32 | offer.inside.count as u64;
    let outside = (offer.outside.first_slot as u64) << 32 | offer.outside.count as u64;
    let service = (offer.service as u64) << 32 | offer.affinity_seconds as u64;
    let rest = (generation as u64) << 32 | offer.treatment.0 as u64;
    let mut digest = (high ^ port).wrapping_mul(ODD);
    digest = (digest ^ low).wrapping_mul(ODD);
    digest = (digest ^ inside).wrapping_mul(ODD);
    digest = (digest ^ outside).wrapping_mul(ODD);
    digest = (digest ^ service).wrapping_mul(ODD);
    digest = (digest ^ rest).wrapping_mul(ODD);
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
        let list = |first_slot, count| List { first_slot, count };
        let offer = Offer {
            inside: list(40, 3),
            outside: list(50, 2),
            service: 9,
            affinity_seconds: 10_800,
            treatment: Treatment::MASQUERADE,
        };
        let value = Frontend::new(&key(1, 80, 6), offer, 7);
        assert!(value.belongs_to(&key(1, 80, 6)));
        for other in [key(2, 80, 6), key(1, 81, 6), key(1, 80, 17)] {
            assert!(!value.belongs_to(&other), "{other:?}");
        }
        let other = |change: fn(&mut Frontend)| {
            let mut torn = value;
            change(&mut torn);
            torn
        };
        for torn in [
            other(|torn| torn.offer.inside.first_slot = 41),
            other(|torn| torn.offer.inside.count = 4),
            other(|torn| torn.offer.outside.first_slot = 51),
            other(|torn| torn.offer.outside.count = 3),
            other(|torn| torn.offer.service = 8),
            other(|torn| torn.offer.affinity_seconds = 0),
            other(|torn| torn.offer.treatment = Treatment::default()),
            other(|torn| torn.generation = 8),
        ] {
            assert!(!torn.belongs_to(&key(1, 80, 6)), "{torn:?}");
        }
    }

    #[test]
    fn a_treatment_is_a_set() {
        let both = Treatment::MASQUERADE.and(Treatment::SOURCE_RANGES);
        assert!(both.has(Treatment::MASQUERADE) && both.has(Treatment::SOURCE_RANGES));
        assert!(!both.has(Treatment::DROP_INSIDE));
    }
}
