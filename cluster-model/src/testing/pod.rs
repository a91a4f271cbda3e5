//! A Pod, field by field.

use super::{ip, pushed};
use crate::name::PodName;
use crate::object::Pod;

/// A pod of one address.
pub fn mk_pod(namespace: &str, name: &str, address: &str) -> Pod {
    Pod {
        name: PodName::new(namespace, name),
        addresses: Box::from([ip(address)]),
        host_network: false,
    }
}

impl Pod {
    /// Adds an address.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses = pushed(self.addresses, ip(address));
        self
    }

    /// Puts it in its node's network.
    #[must_use]
    pub fn host_network(self) -> Self {
        Self {
            host_network: true,
            ..self
        }
    }
}
