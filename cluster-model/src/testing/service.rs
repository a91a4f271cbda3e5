//! A Service, field by field.

use std::num::NonZeroU32;

use super::{ip, pushed};
use crate::name::Protocol;
use crate::object::{Service, ServiceKind, ServicePort, TrafficPolicy};

impl Service {
    /// Adds a cluster IP.
    #[must_use]
    pub fn cluster_ip(mut self, address: &str) -> Self {
        self.cluster_ips = pushed(self.cluster_ips, ip(address));
        self
    }

    /// Adds a port.
    #[must_use]
    pub fn port(mut self, name: &str, protocol: Protocol, port: u16) -> Self {
        let port = ServicePort {
            name: name.into(),
            protocol,
            port,
            node_port: None,
        };
        self.ports = pushed(self.ports, port);
        self
    }

    /// Gives the port added last a node port.
    #[must_use]
    pub fn node_port(mut self, number: u16) -> Self {
        self.ports
            .last_mut()
            .expect("a port to give a node port")
            .node_port = Some(number);
        self
    }

    /// Makes it headless.
    #[must_use]
    pub fn headless(self) -> Self {
        Self {
            kind: ServiceKind::Headless,
            ..self
        }
    }

    /// Makes it an ExternalName.
    #[must_use]
    pub fn external_name(self, name: &str) -> Self {
        Self {
            kind: ServiceKind::ExternalName(name.into()),
            ..self
        }
    }

    /// Hands it to another proxy.
    #[must_use]
    pub fn other_proxy(self) -> Self {
        Self {
            other_proxy: true,
            ..self
        }
    }

    /// Sets `publishNotReadyAddresses`.
    #[must_use]
    pub fn publish_not_ready(self) -> Self {
        Self {
            publish_not_ready: true,
            ..self
        }
    }

    /// Adds an external IP.
    #[must_use]
    pub fn external_ip(mut self, address: &str) -> Self {
        self.external_ips = pushed(self.external_ips, ip(address));
        self
    }

    /// Adds a load balancer's address.
    #[must_use]
    pub fn load_balancer_ip(mut self, address: &str) -> Self {
        self.load_balancer_ips = pushed(self.load_balancer_ips, ip(address));
        self
    }

    /// Adds a source range.
    #[must_use]
    pub fn source_range(mut self, range: &str) -> Self {
        self.source_ranges = pushed(self.source_ranges, range.parse().expect("a CIDR"));
        self
    }

    /// Sets `internalTrafficPolicy: Local`.
    #[must_use]
    pub fn internal_local(self) -> Self {
        Self {
            internal_policy: TrafficPolicy::Local,
            ..self
        }
    }

    /// Sets `externalTrafficPolicy: Local`.
    #[must_use]
    pub fn external_local(self) -> Self {
        Self {
            external_policy: TrafficPolicy::Local,
            ..self
        }
    }

    /// Sets `sessionAffinity: ClientIP` for so many seconds.
    #[must_use]
    pub fn affinity(self, seconds: u32) -> Self {
        Self {
            affinity_seconds: NonZeroU32::new(seconds),
            ..self
        }
    }

    /// Sets `healthCheckNodePort`.
    #[must_use]
    pub fn health_check(self, port: u16) -> Self {
        Self {
            health_check_port: Some(port),
            ..self
        }
    }
}
