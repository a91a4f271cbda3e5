//! The Services of the bench, the same for everybody who serves them. Pure.
//!
//! Two of them are measured, one over TCP and one over UDP; they stand in the middle of the others,
//! where kube-proxy's list, which has no order, has them on average. The others are there to be
//! many: their endpoints do not exist.

use std::net::Ipv4Addr;

use crate::bench::load::PORTS;

/// The port of every Service.
pub(in crate::bench) const PORT: u16 = 80;
/// The cluster's pods, of everybody's: what kube-proxy is told by `--cluster-cidr`.
pub(super) const POD_CIDR: &str = "10.240.0.0/12";
/// The cluster's Services: `--service-cluster-ip-range`, as the lab has it.
pub(super) const SERVICE_CIDR: &str = "10.96.0.0/16";
/// Services with a node port, of those that are not measured: there are not more ports than 2 768.
const WITH_NODE_PORT: usize = 1_000;
const FIRST_NODE_PORT: u16 = 31_000;
/// The measured Services.
const MEASURED: usize = 2;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Protocol {
    /// As its name says.
    Tcp,
    /// As its name says.
    Udp,
}

impl Protocol {
    /// As kube-proxy writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A Service with its one port and its endpoints.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Service {
    pub(in crate::bench) name: String,
    pub(in crate::bench) protocol: Protocol,
    pub(in crate::bench) cluster_ip: Ipv4Addr,
    pub(in crate::bench) node_port: Option<u16>,
    pub(in crate::bench) endpoints: Vec<(Ipv4Addr, u16)>,
    /// Whether anybody asks it.
    pub(in crate::bench) is_measured: bool,
}

/// So many Services, the measured ones with the endpoints of `server`.
pub(super) fn services(count: usize, server: Ipv4Addr) -> Vec<Service> {
    let others = count.saturating_sub(MEASURED);
    let mut services: Vec<_> = (0..others).map(other).collect();
    let middle = others / 2;
    services.splice(middle..middle, measured(server));
    services
}

/// The measured Services.
pub(in crate::bench) fn measured(server: Ipv4Addr) -> [Service; MEASURED] {
    let of = |protocol: Protocol, number: u8| Service {
        name: format!("measured-{}", protocol.name()),
        protocol,
        cluster_ip: Ipv4Addr::new(10, 96, 200, number),
        node_port: Some(30_080 + u16::from(number)),
        endpoints: PORTS.map(|port| (server, port)).to_vec(),
        is_measured: true,
    };
    [of(Protocol::Tcp, 1), of(Protocol::Udp, 2)]
}

/// Service `n` of those that are not measured.
fn other(n: usize) -> Service {
    let at = |base: [u8; 4], offset: usize| {
        // Far below 2^32.
        Ipv4Addr::from(u32::from_be_bytes(base) + offset as u32)
    };
    let with_port = n < WITH_NODE_PORT;
    Service {
        name: format!("service-{n}"),
        protocol: Protocol::Tcp,
        cluster_ip: at([10, 96, 1, 0], n),
        // Far below 2^16.
        node_port: with_port.then(|| FIRST_NODE_PORT + n as u16),
        endpoints: [2 * n, 2 * n + 1]
            .map(|e| (at([10, 252, 0, 0], e), 8080))
            .to_vec(),
        is_measured: false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn services_are_as_many_as_asked_for_and_no_address_is_there_twice() {
        let server = Ipv4Addr::new(10, 245, 1, 2);
        for count in [10, 1_000, 30_000] {
            let services = services(count, server);
            let addresses: BTreeSet<_> = services.iter().map(|one| one.cluster_ip).collect();
            let ports: Vec<_> = services.iter().filter_map(|one| one.node_port).collect();
            let distinct: BTreeSet<_> = ports.iter().collect();
            assert_eq!((services.len(), addresses.len()), (count, count));
            assert_eq!(ports.len(), distinct.len());
            assert!(ports.iter().all(|port| (30_000..32_768).contains(port)));
            let place = services.iter().position(|one| one.name == "measured-tcp");
            assert_eq!(place, Some(count / 2 - 1));
        }
    }

    #[test]
    fn fewer_are_the_first_of_more() {
        let server = Ipv4Addr::new(10, 245, 1, 2);
        let names = |count| -> BTreeSet<String> {
            let all = services(count, server).into_iter();
            all.map(|one| one.name).collect()
        };
        assert!(names(10).is_subset(&names(1_000)));
    }
}
