//! Which Service or host port a destination is, and which endpoint a new conversation takes.

use packet::choice;
use proxy_abi::host_port::{ANY_V4, ANY_V6};
use proxy_abi::{Endpoint, Frontend, FrontendKey, HostPort, Inside, Ip, List, Port, Treatment};

use crate::maps;
use crate::parse::{Content, Packet};
use crate::translate::Outcome;
use crate::verdict::Drop;

const NO_PORT: Port = Port::new(0);

/// On which side of the node a client is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// A pod of this node, or the node itself.
    Inside,
    /// Behind an uplink.
    Outside,
}

/// What stands at a packet's destination, for its client: a port of a Service, or a port of this
/// node that is one pod's.
#[derive(Clone, Copy)]
pub(crate) struct Service {
    /// Endpoints; for a host port the list is not used.
    list: List,
    /// What a flow must have been made under to need no search; 0 for a host port, whose one
    /// endpoint is compared.
    pub(crate) generation: u32,
    /// [`proxy_abi::Offer::service`].
    pub(crate) number: u32,
    /// [`proxy_abi::Offer::affinity_seconds`].
    pub(crate) affinity_seconds: u32,
    treatment: Treatment,
    /// The endpoint of a host port; its port is 0 for a frontend.
    only: Endpoint,
    /// The endpoint to try first; its port is 0 if any will do.
    preferred: Endpoint,
}

impl Service {
    /// Number of endpoints.
    #[inline(always)]
    pub(crate) const fn count(&self) -> u32 {
        self.list.count
    }

    /// Whether a client on this side that finds no endpoint is left without an answer.
    #[inline(always)]
    pub(crate) const fn drops(&self, client: Client) -> bool {
        self.treatment.has(match client {
            Client::Inside => Treatment::DROP_INSIDE,
            Client::Outside => Treatment::DROP_OUTSIDE,
        })
    }

    /// Whether a client may come here at all (`loadBalancerSourceRanges`).
    #[inline(always)]
    pub(crate) fn admits(&self, client: &Ip) -> bool {
        !self.treatment.has(Treatment::SOURCE_RANGES) || maps::is_in_ranges(self.number, client)
    }

    /// Whether clients from outside get the node's address on their way to another node.
    #[inline(always)]
    pub(crate) const fn masquerades(&self) -> bool {
        self.treatment.has(Treatment::MASQUERADE)
    }

    /// Has no client's endpoint be remembered.
    #[inline(always)]
    pub(crate) fn keep_no_client(&mut self) {
        self.affinity_seconds = 0;
    }

    /// Has the next conversation try this endpoint first.
    #[inline(always)]
    pub(crate) fn prefer(&mut self, endpoint: Option<Endpoint>) {
        match endpoint {
            Some(endpoint) => self.preferred = endpoint,
            None => self.preferred.port = NO_PORT,
        }
    }

    /// The endpoint for a new flow: the preferred one, else that number `index`, which must be below
    /// the count.
    #[inline(always)]
    pub(crate) fn endpoint(&self, index: u32) -> Result<Endpoint, Drop> {
        if self.preferred.port.number() != 0 {
            return Ok(self.preferred);
        }
        if self.only.port.number() == 0 {
            endpoint(self.list, index)
        } else {
            Ok(self.only)
        }
    }

    /// Whether `at` is among the endpoints now.
    #[inline(always)]
    pub(crate) fn serves(&self, at: (Ip, Port)) -> bool {
        if self.only.port.number() != 0 {
            return self.only.at() == at;
        }
        serves(self.list, at)
    }
}

/// Finds what stands at a packet's destination, for a client on this side; whether there is
/// anything.
#[inline(never)]
pub(crate) fn find(packet: &Packet, client: Client, service: &mut Service) -> bool {
    let key = &packet.key;
    if let Some(frontend) = at(key.destination, key.destination_port, key.protocol) {
        service.list = match client {
            Client::Inside => frontend.offer.inside,
            Client::Outside => frontend.offer.outside,
        };
        service.generation = frontend.generation;
        service.number = frontend.offer.service;
        service.affinity_seconds = frontend.offer.affinity_seconds;
        service.treatment = frontend.offer.treatment;
        service.only.port = NO_PORT;
        return true;
    }
    // A later packet of a connection to a host port has a flow, or nothing to say.
    if packet.content != Content::Opening || !maps::is_nodes(&key.destination) {
        return false;
    }
    let Some(found) = host_port(key.towards(), key.protocol) else {
        return false;
    };
    *service = Service {
        list: List {
            first_slot: 0,
            count: 1,
        },
        generation: 0,
        number: 0,
        affinity_seconds: 0,
        treatment: Treatment::default(),
        only: found.endpoint,
        preferred: found.endpoint,
    };
    true
}

/// The frontend at an address.
#[inline(always)]
pub(crate) fn at(address: Ip, port: Port, protocol: u8) -> Option<Frontend> {
    maps::frontend(&FrontendKey::new(address, port, protocol))
}

/// What becomes of a packet that concerns no Service and is about to leave the cluster: one that
/// would begin something at a cluster IP is refused, as that has no such port, or no Service. (Where
/// nobody knows which addresses are cluster IPs, those that Services have are known all the same.)
#[inline(always)]
pub(crate) fn leaving(packet: &Packet) -> Outcome {
    let to = &packet.key.destination;
    if packet.content == Content::Opening
        && (maps::is_cluster_ip(to) || maps::inside(to) == Some(Inside::SERVICES))
    {
        Outcome::NoEndpoint
    } else {
        Outcome::Pass
    }
}

/// The pod whose host port a destination is, that is an address of this node.
#[inline(always)]
pub(crate) fn host_port((address, port): (Ip, Port), protocol: u8) -> Option<HostPort> {
    let at = |address| FrontendKey::new(address, port, protocol);
    let any = if address.is_v4() { ANY_V4 } else { ANY_V6 };
    maps::host_port(&at(address)).or_else(|| maps::host_port(&at(any)))
}

/// Whether `at` is in a list.
#[inline(always)]
pub(crate) fn serves(list: List, at: (Ip, Port)) -> bool {
    choice::contains(list.count, &Endpoint::new(at.0, at.1), |index| {
        maps::endpoint(list.first_slot.wrapping_add(index))
    })
}

/// The endpoint number `index` of a list; `index` must be below its count.
#[inline(always)]
pub(crate) fn endpoint(list: List, index: u32) -> Result<Endpoint, Drop> {
    match maps::endpoint(list.first_slot.wrapping_add(index)) {
        // Port 0 is what an unwritten slot holds.
        Some(endpoint) if endpoint.port.number() != 0 => Ok(endpoint),
        _ => Err(Drop::EmptySlot),
    }
}
