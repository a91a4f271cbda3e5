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
}

crate::plain_bytes!(Frontend, 12);
