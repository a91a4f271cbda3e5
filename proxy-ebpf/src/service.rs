//! Which Service a destination is, and which of its endpoints a new conversation takes.

use packet::choice;
use proxy_abi::{Endpoint, FlowKey, Frontend, FrontendKey, Ip, Port};

use crate::maps;
use crate::verdict::Drop;

/// The frontend at a packet's destination.
#[inline(always)]
pub(crate) fn of_packet(key: &FlowKey) -> Option<Frontend> {
    at(key.destination, key.destination_port, key.protocol)
}

/// The frontend at an address.
#[inline(always)]
pub(crate) fn at(address: Ip, port: Port, protocol: u8) -> Option<Frontend> {
    maps::frontend(&FrontendKey::new(address, port, protocol))
}

/// The endpoint number `index` of a frontend's list; `index` must be below its count.
#[inline(always)]
pub(crate) fn endpoint(frontend: &Frontend, index: u32) -> Result<Endpoint, Drop> {
    match maps::endpoint(frontend.offer.inside.first_slot.wrapping_add(index)) {
        // Port 0 is what an unwritten slot holds.
        Some(endpoint) if endpoint.port.number() != 0 => Ok(endpoint),
        _ => Err(Drop::EmptySlot),
    }
}

/// Whether `at` is in the frontend's list now.
#[inline(always)]
pub(crate) fn serves(frontend: &Frontend, at: (Ip, Port)) -> bool {
    choice::contains(
        frontend.offer.inside.count,
        &Endpoint::new(at.0, at.1),
        |index| maps::endpoint(frontend.offer.inside.first_slot.wrapping_add(index)),
    )
}
