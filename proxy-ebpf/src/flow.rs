//! Known flows: finding one, trusting it, making one, moving one.

use packet::choice;
use proxy_abi::{Counter, Flow, Frontend, Part};

use crate::maps::{self, Refusal};
use crate::parse::{Content, Packet};
use crate::service;
use crate::verdict::Drop;

/// Endpoints tried for a new flow before a conflict of reverse tuples ends it.
const ATTEMPTS: u32 = 4;

/// Whether `flow` still says where this packet goes. `frontend` is the one at the packet's
/// destination now.
///
/// A datagram and a SYN go only to an endpoint that is in the list, so that no client is stuck
/// to a dead address; a connection under way stays on its endpoint and drains. Replies always
/// find their way back.
#[inline(always)]
pub(crate) fn holds(
    packet: &Packet,
    flow: &Flow,
    frontend: impl FnOnce() -> Option<Frontend>,
) -> bool {
    if packet.content == Content::Continuing || matches!(flow.part(), Part::Source) {
        return true;
    }
    let Some(frontend) = frontend() else {
        return false;
    };
    if frontend.generation != flow.generation {
        if !service::serves(&frontend, flow.target()) {
            return false;
        }
        // Noted, so that the next packet need not search. If there is no room it searches again.
        _ = maps::put_flow(
            &packet.key,
            &Flow::to_endpoint(flow.target(), frontend.generation),
        );
    }
    keep_reply(packet, flow, frontend.generation);
    true
}

/// Makes the replies' half anew if it was evicted: every packet of the client touches the other
/// half only. If there is no room the next packet tries again.
#[inline(always)]
fn keep_reply(packet: &Packet, flow: &Flow, generation: u32) {
    let reply = packet.key.reply_from(flow.target());
    if maps::flow(&reply).is_none() {
        let dialled = (packet.key.destination, packet.key.destination_port);
        _ = maps::claim_flow(&reply, &Flow::from_frontend(dialled, generation));
    }
}

/// Makes the flow of a packet that opens one (or goes on with one that was forgotten), and writes
/// to `made` where it goes.
///
/// A function of its own, not inlined: its keys and values would not fit into the caller's 512
/// bytes of stack beside the packet.
#[inline(never)]
pub(crate) fn make(packet: &Packet, frontend: &Frontend, made: &mut Flow) -> Result<(), Drop> {
    let first = choice::index(choice::flow_hash(&packet.key), frontend.offer.inside.count);
    let dialled = (packet.key.destination, packet.key.destination_port);
    for attempt in 0..ATTEMPTS {
        let index = first.wrapping_add(attempt);
        let index = if index < frontend.offer.inside.count {
            index
        } else {
            index - frontend.offer.inside.count
        };
        if index >= frontend.offer.inside.count {
            break; // Fewer endpoints than attempts, and all were tried.
        }
        let endpoint = service::endpoint(frontend, index)?.at();
        let reply = packet.key.reply_from(endpoint);
        match maps::claim_flow(&reply, &Flow::from_frontend(dialled, frontend.generation)) {
            Ok(()) => {}
            // Ours already: the other half was evicted, or another CPU is a packet ahead.
            Err(Refusal::Exists) if replies_to(&reply, dialled) => {}
            Err(Refusal::Exists) => continue,
            Err(Refusal::Full) => return Err(Drop::FlowTableFull),
        }
        *made = Flow::to_endpoint(endpoint, frontend.generation);
        if maps::put_flow(&packet.key, made).is_err() {
            maps::forget_flow(&reply);
            return Err(Drop::FlowTableFull);
        }
        maps::count(Counter::FlowCreated);
        return Ok(());
    }
    Err(Drop::ReverseConflict)
}

/// Forgets both halves of a flow whose endpoint serves no more.
#[inline(always)]
pub(crate) fn forget(packet: &Packet, flow: &Flow) {
    let reply = packet.key.reply_from(flow.target());
    if replies_to(
        &reply,
        (packet.key.destination, packet.key.destination_port),
    ) {
        maps::forget_flow(&reply);
    }
    maps::forget_flow(&packet.key);
    maps::count(Counter::FlowMoved);
}

/// Has the answers to a packet that goes out untranslated come back untranslated: an old flow of
/// the same client port to the same endpoint, through a frontend, may still claim them. Should that
/// flow be in use after all, its next packet claims them again.
#[inline(always)]
pub(crate) fn give_way(packet: &Packet) {
    let (destination, port) = (packet.key.destination, packet.key.destination_port);
    let reply = packet.key.reply_from((destination, port));
    if maps::flow(&reply).is_some_and(|flow| matches!(flow.part(), Part::Source)) {
        maps::forget_flow(&reply);
    }
}

/// Whether the replies under this key take `frontend`'s address.
#[inline(always)]
fn replies_to(reply: &proxy_abi::FlowKey, frontend: (proxy_abi::Ip, proxy_abi::Port)) -> bool {
    match maps::flow(reply) {
        Some(flow) => matches!(flow.part(), Part::Source) && flow.target() == frontend,
        None => false,
    }
}
