//! The paths through the programs: which packet at which hook, after which others, and what must
//! come out.
//!
//! All on the second node, where the pod `far` is and no endpoint.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::frame_of::{ACK, SYN, Segment};
use super::place::Place;
use super::runner::Hook;
use crate::bench::network::on_fabric;
use crate::bench::service::{PORT, measured};

/// A client outside the cluster, on the fabric.
const OUTSIDE: u8 = 192;
/// An address that is nobody's (RFC 5737).
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The first port of clients whose every packet comes from another.
const FIRST_PORT: u16 = 20_000;
/// The port of a client that stays.
const CLIENT: u16 = 50_000;

/// One path of one program.
pub(in crate::bench) struct Path {
    pub(in crate::bench) name: String,
    pub(in crate::bench) hook: Hook,
    /// What has to come first.
    pub(super) before: Vec<(Hook, Segment)>,
    segment: Segment,
    /// Whether every packet is of another client's port.
    is_new: bool,
    pub(super) expected: Expected,
}

impl Path {
    /// The packet of run number `run`.
    pub(super) fn segment(&self, run: u16) -> Segment {
        let mut segment = self.segment;
        if self.is_new {
            segment.from.set_port(FIRST_PORT + run);
        }
        segment
    }
}

/// What must come out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    Dropped,
    /// A packet from and to these.
    Ends(SocketAddrV4, SocketAddrV4),
    /// One to this address.
    To(Ipv4Addr),
    /// One from this address to that.
    Through(Ipv4Addr, Ipv4Addr),
}

impl Place {
    /// Every path.
    pub(in crate::bench) fn paths(&self) -> Vec<Path> {
        let mut paths = self.of_pods();
        paths.extend(self.of_network());
        paths.extend(self.of_node());
        paths
    }

    fn of_pods(&self) -> Vec<Path> {
        let (hook, pod) = (self.pods_hook(), self.pod_port(CLIENT));
        let [service, _] = measured(*self.server.ip());
        let frontend = SocketAddrV4::new(service.cluster_ip, PORT);
        let forged = SocketAddrV4::new(ELSEWHERE, CLIENT);
        let pod_to = |to, flags| self.sent_by_pod(pod, to, flags);
        let unchanged = Expected::Ends(pod, self.server);
        vec![
            path(
                "from_pod/remembered-way",
                hook,
                pod_to(self.server, ACK),
                unchanged,
            ),
            path("from_pod/pass", hook, pod_to(self.server, SYN), unchanged),
            Path {
                before: vec![(hook, pod_to(frontend, SYN))],
                ..path(
                    "from_pod/known-flow",
                    hook,
                    pod_to(frontend, ACK),
                    Expected::To(*self.server.ip()),
                )
            },
            Path {
                is_new: true,
                ..path(
                    "from_pod/new-flow",
                    hook,
                    pod_to(frontend, SYN),
                    Expected::To(*self.server.ip()),
                )
            },
            path(
                "from_pod/forged-source",
                hook,
                self.sent_by_pod(forged, self.server, SYN),
                Expected::Dropped,
            ),
        ]
    }

    fn of_network(&self) -> Vec<Path> {
        let (hook, pod) = (self.networks_hook(), self.pod_port(CLIENT));
        let outside = SocketAddrV4::new(on_fabric(OUTSIDE), CLIENT);
        let [service, _] = measured(*self.server.ip());
        let port = service.node_port.unwrap_or(0);
        let node_port = SocketAddrV4::new(self.node_address, port);
        let arrives = |from, to, flags| Segment {
            macs: ([2, 0, 0, 0, 0, 9], self.uplink.mac),
            from,
            to,
            flags,
        };
        let unchanged = Expected::Ends(self.server, pod);
        let masqueraded = Expected::Through(self.node_address, *self.server.ip());
        vec![
            path(
                "from_network/remembered-way",
                hook,
                arrives(self.server, pod, ACK),
                unchanged,
            ),
            path(
                "from_network/pass",
                hook,
                arrives(self.server, pod, SYN),
                unchanged,
            ),
            Path {
                before: vec![(hook, arrives(outside, node_port, SYN))],
                ..path(
                    "from_network/known-flow",
                    hook,
                    arrives(outside, node_port, ACK),
                    masqueraded,
                )
            },
            Path {
                is_new: true,
                ..path(
                    "from_network/new-flow",
                    hook,
                    arrives(outside, node_port, SYN),
                    masqueraded,
                )
            },
        ]
    }

    /// What leaves by the uplink, and what is forwarded to the pod.
    fn of_node(&self) -> Vec<Path> {
        let node = SocketAddrV4::new(self.node_address, CLIENT);
        let [service, _] = measured(*self.server.ip());
        let frontend = SocketAddrV4::new(service.cluster_ip, PORT);
        let elsewhere = SocketAddrV4::new(ELSEWHERE, PORT);
        let pod = self.pod_port(CLIENT);
        let (own, forwarded) = (self.to_network(0), self.to_network(self.pod.peer));
        let sent = |from, to| self.sent_by_pod(from, to, SYN);
        let to_pod = Hook {
            program: "to_pod",
            interface: self.pod.peer,
            came_by: self.uplink.index,
        };
        vec![
            path(
                "to_network/pass",
                forwarded,
                sent(pod, self.server),
                Expected::Ends(pod, self.server),
            ),
            Path {
                is_new: true,
                ..path(
                    "to_network/masquerade-new-flow",
                    forwarded,
                    sent(pod, elsewhere),
                    Expected::Through(self.node_address, ELSEWHERE),
                )
            },
            Path {
                is_new: true,
                ..path(
                    "to_network/new-flow",
                    own,
                    sent(node, frontend),
                    Expected::To(*self.server.ip()),
                )
            },
            path(
                "to_pod/pass",
                to_pod,
                sent(self.server, pod),
                Expected::Ends(self.server, pod),
            ),
        ]
    }
}

fn path(name: &str, hook: Hook, segment: Segment, expected: Expected) -> Path {
    Path {
        name: name.to_owned(),
        hook,
        before: Vec::new(),
        segment,
        is_new: false,
        expected,
    }
}
