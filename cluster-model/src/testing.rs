//! Builders of objects for tests: `mk_service("default", "web").port("http", Tcp, 80).build()`.
//!
//! They panic on addresses that do not parse; nothing outside tests may use them.

use std::net::IpAddr;

use crate::index::ClusterIndex;
use crate::name::{Family, Protocol, ServiceName};
use crate::object::{Endpoint, EndpointSlice, Node, Service, ServiceKind, ServicePort, SlicePort};

/// An address from its text.
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

/// A Service without cluster IP and ports; add them with the methods below.
pub fn mk_service(namespace: &str, name: &str) -> Service {
    Service {
        name: ServiceName::new(namespace, name),
        kind: ServiceKind::ClusterIp,
        cluster_ips: Box::default(),
        ports: Box::default(),
        other_proxy: false,
        publish_not_ready: false,
    }
}

/// An IPv4 slice of the Service `service`, without ports and endpoints.
pub fn mk_slice(namespace: &str, service: &str, name: &str) -> EndpointSlice {
    EndpointSlice {
        name: name.into(),
        service: ServiceName::new(namespace, service),
        family: Family::V4,
        ports: Box::default(),
        endpoints: Box::default(),
    }
}

/// A ready endpoint.
pub fn mk_endpoint(address: &str) -> Endpoint {
    Endpoint {
        address: ip(address),
        ready: true,
        serving: true,
        terminating: false,
        node: None,
        zone: None,
        hostname: None,
    }
}

/// A node without addresses and pod CIDRs.
pub fn mk_node(name: &str) -> Node {
    Node {
        name: name.into(),
        addresses: Box::default(),
        pod_cidrs: Box::default(),
        zone: None,
    }
}

/// An index of these objects.
pub fn mk_index(
    services: impl IntoIterator<Item = Service>,
    slices: impl IntoIterator<Item = EndpointSlice>,
) -> ClusterIndex {
    let mut index = ClusterIndex::default();
    services
        .into_iter()
        .for_each(|service| index.apply_service(service));
    slices
        .into_iter()
        .for_each(|slice| index.apply_slice(slice));
    index
}

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
}

impl EndpointSlice {
    /// Makes it an IPv6 slice.
    #[must_use]
    pub fn v6(self) -> Self {
        Self {
            family: Family::V6,
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
}

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
}

fn pushed<T>(list: Box<[T]>, item: T) -> Box<[T]> {
    list.into_iter().chain([item]).collect()
}
