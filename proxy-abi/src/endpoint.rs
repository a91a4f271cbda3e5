//! An endpoint: one address and port behind a frontend.
//!
//! Map `endpoints`, an array of slots written by the agent alone. A list is a run of slots in
//! ascending order of [`Endpoint`], so that membership is a binary search; the slots of a list
//! are never rewritten while a frontend points at them.

use core::cmp::Ordering;

use crate::{Ip, Port};

/// One slot of the map `endpoints`. Ordered by address, then port, as numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The endpoint's own address: a pod's, a node's, or one outside the cluster.
    pub address: Ip,
    /// The port on which it listens (from the EndpointSlice).
    pub port: Port,
    zeros: u16,
}

crate::plain_bytes!(Endpoint, 20);

impl Endpoint {
    /// The endpoint at `address`:`port`.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Ip, port: Port) -> Self {
        Self {
            address,
            port,
            zeros: 0,
        }
    }

    /// What the order compares: three numbers, where comparing the bytes would be a call to
    /// memcmp in the kernel half.
    #[inline(always)]
    const fn rank(&self) -> ((u64, u64), u16) {
        (self.address.halves(), self.port.number())
    }

    /// The address and port as one value.
    #[inline(always)]
    #[must_use]
    pub const fn at(&self) -> (Ip, Port) {
        (self.address, self.port)
    }
}

impl Ord for Endpoint {
    #[inline(always)]
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Endpoint {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_by_address_then_port() {
        let at = |last: u8, port| Endpoint::new(Ip::v4([10, 0, 0, last]), Port::new(port));
        let mut list = [at(9, 1), at(2, 300), at(2, 20), at(200, 1)];
        list.sort();
        assert_eq!(list, [at(2, 20), at(2, 300), at(9, 1), at(200, 1)]);
    }
}
