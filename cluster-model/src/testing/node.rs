//! A Node, field by field.

use super::{ip, pushed};
use crate::object::Node;

impl Node {
    /// Adds an internal address.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses = pushed(self.addresses, ip(address));
        self
    }

    /// Adds a pod CIDR.
    #[must_use]
    pub fn pod_cidr(mut self, cidr: &str) -> Self {
        self.pod_cidrs = pushed(self.pod_cidrs, cidr.parse().expect("a CIDR"));
        self
    }

    /// Puts it in a zone.
    #[must_use]
    pub fn in_zone(self, zone: &str) -> Self {
        Self {
            zone: Some(zone.into()),
            ..self
        }
    }

    /// Marks it for deletion.
    #[must_use]
    pub fn leaving(self) -> Self {
        Self {
            leaving: true,
            ..self
        }
    }
}
