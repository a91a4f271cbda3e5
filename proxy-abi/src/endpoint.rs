//! An endpoint: one address and port behind a frontend.
//!
//! Map `endpoints`, an array of slots written by the agent alone. A list is a run of slots in
//! ascending order of [`Endpoint`], so that membership is a binary search; the slots of a list
//! are never rewritten while a frontend points at them.

use crate::{Ip, Port};

/// One slot of the map `endpoints`. Ordered by address, then port, as bytes in network order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The endpoint's own address: a pod's, a node's, or one outside the cluster.
    pub address: Ip,
    /// The port on which it listens (from the EndpointSlice).
    pub port: Port,
    zero: [u8; 2],
}

crate::plain_bytes!(Endpoint, 20);

impl Endpoint {
    /// The endpoint at `address`:`port`.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Ip, port: Port) -> Self {
        Self { address, port, zero: [0; 2] }
    }
}
