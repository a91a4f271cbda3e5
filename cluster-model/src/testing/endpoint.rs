//! Slices and endpoints, field by field.

use std::time::SystemTime;

use super::{mk_endpoint, pushed};
use crate::name::{Family, Protocol};
use crate::object::{Endpoint, EndpointSlice, SlicePort};

impl EndpointSlice {
    /// Makes it an IPv6 slice.
    #[must_use]
    pub fn v6(self) -> Self {
        Self {
            family: Family::V6,
            ..self
        }
    }

    /// Says when what it tells of happened.
    #[must_use]
    pub fn triggered(self, at: SystemTime) -> Self {
        Self {
            triggered: Some(at),
            ..self
        }
    }

    /// Adds a port.
    #[must_use]
    pub fn port(mut self, name: &str, protocol: Protocol, port: u16) -> Self {
        self.ports = pushed(
            self.ports,
            SlicePort {
                name: name.into(),
                protocol,
                port,
            },
        );
        self
    }

    /// Adds an endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints = pushed(self.endpoints, endpoint);
        self
    }

    /// Adds a ready endpoint at `address`.
    #[must_use]
    pub fn ready(self, address: &str) -> Self {
        self.endpoint(mk_endpoint(address))
    }
}

impl Endpoint {
    /// Makes it neither ready nor serving: its probe fails.
    #[must_use]
    pub fn unready(self) -> Self {
        Self {
            ready: false,
            serving: false,
            ..self
        }
    }

    /// Makes it terminate while it still serves: not ready, serving, terminating.
    #[must_use]
    pub fn draining(self) -> Self {
        Self {
            ready: false,
            serving: true,
            terminating: true,
            ..self
        }
    }

    /// Puts it on a node.
    #[must_use]
    pub fn on(self, node: &str) -> Self {
        Self {
            node: Some(node.into()),
            ..self
        }
    }

    /// Puts it in a zone.
    #[must_use]
    pub fn in_zone(self, zone: &str) -> Self {
        Self {
            zone: Some(zone.into()),
            ..self
        }
    }

    /// Gives it a hostname.
    #[must_use]
    pub fn hostname(self, name: &str) -> Self {
        Self {
            hostname: Some(name.into()),
            ..self
        }
    }

    /// Hints it for a zone.
    #[must_use]
    pub fn for_zone(mut self, zone: &str) -> Self {
        let mut hints = self.hints.as_deref().cloned().unwrap_or_default();
        hints.zones = pushed(hints.zones, zone.into());
        self.hints = Some(hints.into());
        self
    }

    /// Hints it for a node.
    #[must_use]
    pub fn for_node(mut self, node: &str) -> Self {
        let mut hints = self.hints.as_deref().cloned().unwrap_or_default();
        hints.nodes = pushed(hints.nodes, node.into());
        self.hints = Some(hints.into());
        self
    }
}
