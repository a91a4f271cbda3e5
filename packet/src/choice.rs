//! Which endpoint a new flow takes, and whether a known flow's endpoint still serves.

use proxy_abi::{Endpoint, FlowKey};

/// A well-mixed hash of the tuple: the same for every packet of a flow, on every CPU, so that two
/// first packets racing each other choose the same endpoint.
#[inline(always)]
#[must_use]
pub fn flow_hash(key: &FlowKey) -> u32 {
    let ports = {
        let [a, b] = key.source_port.wire();
        let [c, d] = key.destination_port.wire();
        u64::from(u32::from_be_bytes([a, b, c, d])) << 8 | u64::from(key.protocol)
    };
    let (source_high, source_low) = key.source.halves();
    let (destination_high, destination_low) = key.destination.halves();
    let mut hash = 0x9e37_79b9_7f4a_7c15;
    hash = mix(hash ^ source_high);
    hash = mix(hash ^ source_low);
    hash = mix(hash ^ destination_high);
    hash = mix(hash ^ destination_low);
    hash = mix(hash ^ ports);
    (hash >> 32) as u32
}

/// The finaliser of MurmurHash3 (public domain): every input bit reaches every output bit.
#[inline(always)]
fn mix(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

/// A well-mixed hash of a number, the same each time.
#[inline(always)]
#[must_use]
pub fn number_hash(number: u64) -> u32 {
    (mix(number) >> 32) as u32
}

/// Maps 32 well-mixed (or random) bits evenly to `0..count` without a division. `count` 0 gives 0.
#[inline(always)]
#[must_use]
pub fn index(bits: u32, count: u32) -> u32 {
    ((bits as u64 * count as u64) >> 32) as u32
}

/// Steps of the binary search: lists of up to 2^17 - 1 endpoints, more than a cluster has pods
/// that one node can reach in one Service.
const SEARCH_STEPS: u32 = 17;

/// Whether `wanted` is among the `count` endpoints that `slot` reads in ascending order.
/// A slot that cannot be read counts as not found.
#[inline(always)]
pub fn contains(count: u32, wanted: &Endpoint, slot: impl Fn(u32) -> Option<Endpoint>) -> bool {
    let (mut low, mut high) = (0, count);
    for _ in 0..SEARCH_STEPS {
        if low >= high {
            return false;
        }
        let middle = low + (high - low) / 2;
        let Some(found) = slot(middle) else {
            return false;
        };
        let (difference, less) = compare(&found, wanted);
        if difference == 0 {
            return true;
        }
        // By masks: with branches the verifier would follow two paths from each of the steps.
        low = (low & !less) | ((middle + 1) & less);
        high = (high & less) | (middle & !less);
    }
    false
}

/// Something that is 0 if the two are equal, and all ones if the first comes before the second in
/// the order of [`Endpoint`] (else 0).
#[inline(always)]
fn compare(a: &Endpoint, b: &Endpoint) -> (u64, u32) {
    let ((a_high, a_low), (b_high, b_low)) = (a.address.halves(), b.address.halves());
    let (a_port, b_port) = (u64::from(a.port.number()), u64::from(b.port.number()));
    let difference = (a_high ^ b_high) | (a_low ^ b_low) | (a_port ^ b_port);
    // The borrow of one long subtraction, from the ports up.
    let borrow = borrows(a_port, b_port, 0);
    let borrow = borrows(a_low, b_low, borrow);
    let borrow = borrows(a_high, b_high, borrow);
    (difference, (borrow as u32).wrapping_neg())
}

/// 1 if `a - b - borrow` is less than nothing, else 0. The compiler knows the pattern and would
/// make it a comparison, and that a branch; it is kept from seeing through it.
#[inline(always)]
fn borrows(a: u64, b: u64, borrow: u64) -> u64 {
    let rest = core::hint::black_box(a.wrapping_sub(b).wrapping_sub(borrow));
    ((!a & b) | ((!a | b) & rest)) >> 63
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proxy_abi::{Ip, Port, protocol};

    use super::*;

    fn key(source_port: u16) -> FlowKey {
        FlowKey::new(
            (Ip::v4([10, 244, 1, 2]), Port::new(source_port)),
            (Ip::v4([10, 96, 0, 10]), Port::new(53)),
            protocol::UDP,
        )
    }

    #[test]
    fn consecutive_ports_spread_evenly() {
        // What a client does: one source port after another to one frontend.
        let mut hits = [0u32; 5];
        for port in 32_768..42_768 {
            hits[index(flow_hash(&key(port)), 5) as usize] += 1;
        }
        for hit in hits {
            assert!((1_800..2_200).contains(&hit), "{hits:?}");
        }
    }

    #[test]
    fn an_empty_list_contains_nothing_and_index_stays_in_range() {
        assert!(!contains(0, &Endpoint::default(), |_| None));
        assert_eq!(index(u32::MAX, 0), 0);
        assert_eq!(index(u32::MAX, 7), 6);
        assert_eq!(index(0, 7), 0);
    }

    proptest! {
        #[test]
        fn contains_agrees_with_a_linear_search(
            octets in proptest::collection::btree_set(any::<(u8, u8, u16)>(), 0..200),
            probe in any::<(u8, u8, u16)>(),
        ) {
            let at = |(a, b, port): (u8, u8, u16)| Endpoint::new(Ip::v4([10, a, b, 1]), Port::new(port));
            let mut list: Vec<Endpoint> = octets.iter().copied().map(at).collect();
            list.sort();
            let read = |slot: u32| list.get(slot as usize).copied();
            for wanted in list.iter().copied().chain([at(probe)]) {
                prop_assert_eq!(
                    contains(list.len() as u32, &wanted, read),
                    list.contains(&wanted)
                );
            }
        }
    }
}
