//! Who may use a Service's load balancer addresses (`loadBalancerSourceRanges`).
//!
//! Map `source_ranges`, a longest-prefix trie written by the agent alone: [`SourceRange`] -> u32
//! (no meaning). It is asked only for frontends with [`crate::Treatment::SOURCE_RANGES`]: a client
//! is served if its address is found under the frontend's service number.

use crate::Ip;

/// What is looked up: a client of a Service port.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// [`crate::Offer::service`], big-endian: its bits come first in the prefix.
    service: [u8; 4],
    /// The client's address; IPv4 in its mapped form, as everywhere.
    address: Ip,
}

crate::plain_bytes!(Source, 20);

impl Source {
    /// The client at `address` of the Service port numbered `service`.
    #[inline(always)]
    #[must_use]
    pub const fn new(service: u32, address: Ip) -> Self {
        Self {
            service: service.to_be_bytes(),
            address,
        }
    }

    /// The number of the Service port.
    #[must_use]
    pub const fn service(&self) -> u32 {
        u32::from_be_bytes(self.service)
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> Ip {
        self.address
    }
}

/// Key of the map: what the kernel calls `struct bpf_lpm_trie_key`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceRange {
    /// Bits of `source` that count, 32 to [`SourceRange::ALL`]; host order.
    pub bits: u32,
    /// The range; bits behind the prefix are zero.
    pub source: Source,
}

crate::plain_bytes!(SourceRange, 24);

impl SourceRange {
    /// The bits of a whole [`Source`]: those of a look-up.
    pub const ALL: u32 = 160;

    /// The range of the prefix of `bits` bits (0 to 128, an IPv4 one in its mapped form) at
    /// `address`, for the Service port numbered `service`.
    #[must_use]
    pub const fn new(service: u32, bits: u32, address: Ip) -> Self {
        Self {
            bits: 32 + bits,
            source: Source::new(service, address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_the_first_part_of_the_prefix() {
        let address = Ip::v4([10, 0, 0, 0]);
        let range = SourceRange::new(7, 104, address);
        assert_eq!(range.bits, 136);
        assert_eq!(
            (range.source.service(), range.source.address()),
            (7, address)
        );
        assert_eq!(range.source.service, [0, 0, 0, 7]);
    }
}
