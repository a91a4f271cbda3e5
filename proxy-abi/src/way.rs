//! A way: where the segments of an established TCP connection go that nobody translates.
//!
//! Map `ways`, slot -> [`KeptWay`], written by the programs when such a segment has taken the whole
//! walk, and believed for a moment: one look-up instead of one for each question.
//!
//! An array in which each tuple has one slot ([`slot`]), and the last tuple to come has it: a hash
//! table that forgets the least recently used would cost a new connection two list operations and
//! each packet of an unknown tuple the walk through a bucket, more than the way saves.

use crate::FlowKey;

/// Where a connection's segments go.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The interface at which the segments must arrive.
    pub arrives: u32,
    /// The interface to which they go.
    pub ifindex: u32,
    /// Until when it is believed: the kernel's ticks (jiffies), the low half.
    pub until: u32,
    /// Bytes of the longest frame that is known to fit.
    pub longest: u32,
    /// Destination and source Ethernet address on a way out of the node.
    pub addresses: [u8; 12],
    /// Ethernet address that the sender must have, if it is a pod of this node.
    pub sender: [u8; 6],
    flags: u16,
}

crate::plain_bytes!(Way, 36);

impl Way {
    /// Out of the node, rather than to a pod of this node.
    const OUT: u16 = 1;
    /// To a place inside the cluster: not to be masqueraded.
    const INSIDE: u16 = 2;

    /// Whether it leads out of the node.
    #[inline(always)]
    #[must_use]
    pub const fn is_out(&self) -> bool {
        self.flags & Self::OUT != 0
    }

    /// Whether it leads to a place inside the cluster.
    #[inline(always)]
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        self.flags & Self::INSIDE != 0
    }

    /// To a pod of this node.
    #[inline(always)]
    pub const fn lead_to_pod(&mut self, ifindex: u32) {
        self.ifindex = ifindex;
        self.flags = 0;
    }

    /// Out of the node by an interface, to these Ethernet addresses; whether to a place inside the
    /// cluster.
    #[inline(always)]
    pub const fn lead_out(&mut self, ifindex: u32, addresses: [u8; 12], inside: bool) {
        self.ifindex = ifindex;
        self.addresses = addresses;
        self.flags = Self::OUT | if inside { Self::INSIDE } else { 0 };
    }
}

/// Slots of the map `ways`: connections, one direction each, that have a way at a time.
pub const SLOTS: u32 = 16_384;

/// The slot of a tuple. Cheap rather than even: who shares a slot takes the whole walk more often.
#[inline(always)]
#[must_use]
pub fn slot(key: &FlowKey) -> u32 {
    (spread(key) >> 40) as u32 & (SLOTS - 1)
}

/// Value of the map `ways`: whose way it is, and a check over both, since two CPUs may write one
/// slot at once, and a third read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptWay {
    /// Whose.
    pub key: FlowKey,
    /// The way.
    pub way: Way,
    /// [`check`]; 0 where nothing is kept.
    pub check: u32,
}

crate::plain_bytes!(KeptWay, 80);

/// What must stand beside a key and its way; never 0.
#[inline(always)]
#[must_use]
pub fn check(key: &FlowKey, way: &Way) -> u32 {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = way.addresses;
    let [m, n, o, p, q, r] = way.sender;
    let [s, t] = way.flags.to_ne_bytes();
    let word = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let half = |a, b, c, d| u32::from_ne_bytes([a, b, c, d]);
    // Sums of products, that do not wait for each other.
    let sum = spread(key)
        .wrapping_add(word(way.arrives, way.ifindex).wrapping_mul(ODD[0]))
        .wrapping_add(word(way.until, way.longest).wrapping_mul(ODD[1]))
        .wrapping_add(word(half(a, b, c, d), half(e, f, g, h)).wrapping_mul(ODD[2]))
        .wrapping_add(word(half(i, j, k, l), half(m, n, o, p)).wrapping_mul(ODD[3]))
        .wrapping_add(u64::from(half(q, r, s, t)).wrapping_mul(ODD[4]));
    (sum >> 32) as u32 | 1
}

/// Odd numbers with bits all over (of the golden ratio and of the squares of primes).
const ODD: [u64; 5] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
    0xd6e8_feb8_6659_fd93,
    0xff51_afd7_ed55_8ccd,
];

/// A tuple's bits, spread over a word.
#[inline(always)]
fn spread(key: &FlowKey) -> u64 {
    let ([a, b], [c, d]) = (key.source_port.wire(), key.destination_port.wire());
    let ports = u64::from(u32::from_ne_bytes([a, b, c, d])) << 8 | u64::from(key.protocol);
    let word = |ip: &crate::Ip, at: usize| {
        let words = ip.words();
        u64::from(words[at]) << 32 | u64::from(words[at + 1])
    };
    word(&key.source, 0)
        .wrapping_mul(ODD[0])
        .wrapping_add(word(&key.source, 2).wrapping_mul(ODD[1]))
        .wrapping_add(word(&key.destination, 0).wrapping_mul(ODD[2]))
        .wrapping_add(word(&key.destination, 2).wrapping_mul(ODD[3]))
        .wrapping_add(ports.wrapping_mul(ODD[4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_leads_to_a_pod_or_out() {
        let mut way = Way::default();
        way.lead_out(3, [1; 12], true);
        assert!(way.is_out() && way.is_inside());
        way.lead_out(3, [1; 12], false);
        assert!(way.is_out() && !way.is_inside());
        way.lead_to_pod(4);
        assert_eq!(
            (way.ifindex, way.is_out(), way.is_inside()),
            (4, false, false)
        );
    }

    fn key(source_port: u16) -> FlowKey {
        use crate::{Ip, Port, protocol};
        FlowKey::new(
            (Ip::v4([10, 244, 1, 2]), Port::new(source_port)),
            (Ip::v4([10, 244, 2, 9]), Port::new(8080)),
            protocol::TCP,
        )
    }

    #[test]
    fn every_tuple_has_a_slot_and_neighbours_have_others() {
        let slots: std::collections::BTreeSet<u32> = (0..4_096)
            .flat_map(|port| [key(32_768 + port), key(32_768 + port).reversed()])
            .map(|key| slot(&key))
            .collect();
        assert!(slots.iter().all(|slot| *slot < SLOTS));
        // Thrown at random, 8 192 tuples would hit 6 446 of 16 384 slots.
        assert!(slots.len() > 5_900, "{}", slots.len());
    }

    #[test]
    fn a_check_covers_every_word_of_both() {
        let mut way = Way::default();
        way.lead_out(3, [1; 12], true);
        way.arrives = 7;
        let right = check(&key(1), &way);
        assert_ne!(right, 0);
        assert_ne!(check(&key(2), &way), right);
        assert_ne!(check(&key(1).reversed(), &way), right);
        let changes: [fn(&mut Way); 7] = [
            |way| way.arrives += 1,
            |way| way.ifindex += 1,
            |way| way.until += 1,
            |way| way.longest += 1,
            |way| way.addresses[11] = 0,
            |way| way.sender[0] = 1,
            |way| way.flags = Way::OUT,
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = way;
            change(&mut other);
            assert_ne!(check(&key(1), &other), right, "change {index}");
        }
    }
}
