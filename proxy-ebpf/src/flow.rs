//! Known flows: finding one, trusting it, making one, moving one.

use packet::choice;
use proxy_abi::{Counter, Flow, FlowKey, Ip, Role, protocol};

use crate::maps::{self, Known, Room};
use crate::parse::{Content, Packet};
use crate::ports::Another;
use crate::service::{self, Client};
use crate::translate::Hook;
use crate::verdict::Drop;
use crate::{affinity, ports, service::Service};

/// Whether a known flow, copied to `room`, still says where this packet goes.
///
/// A datagram and a SYN go only to an endpoint that is in the list, so that no client is stuck
/// to a dead address; a connection under way stays on its endpoint and drains. Replies always
/// find their way back.
#[inline(always)]
pub(crate) fn holds(packet: &Packet, known: &Known, room: &mut Room, client: Client) -> bool {
    if packet.content != Content::Opening || room.flow.role() != Role::Request {
        return true;
    }
    if !service::find(packet, client, &mut room.service) {
        return false;
    }
    let generation = room.service.generation;
    if generation != 0 && generation == room.flow.generation {
        return true;
    }
    let serves = room.service.serves(room.flow.to.towards());
    if serves && generation != room.flow.generation {
        known.trust(generation);
    }
    serves
}

/// Notes that a packet of a known flow, copied to `room`, passes, and settles the flow if it has
/// just come about.
#[inline(always)]
pub(crate) fn note(packet: &Packet, known: &Known, room: &mut Room) {
    if packet.content == Content::Opening && packet.key.protocol == protocol::TCP {
        renew(&packet.key, known, room);
    }
    if known.touch(packet.flags) && room.flow.role() == Role::Request {
        affinity::renew(packet, room);
    }
    if known.opening && room.flow.role().is_client() {
        // With what the packet itself has just changed.
        known.read(&mut room.flow);
        settle(&packet.key, room);
    }
}

/// A connection begins anew on the ports of an earlier one: how that ended does not concern it.
#[inline(never)]
fn renew(key: &FlowKey, known: &Known, room: &mut Room) {
    known.forget_state();
    other_half(key, room);
    if let Some(other) = maps::flow(&room.answers) {
        other.forget_state();
    }
}

/// A conversation that has just begun, and its client speaks again: if it was answered, it is
/// established; if the half of its answers has been pushed out of the map, that is made anew.
#[inline(never)]
fn settle(key: &FlowKey, room: &mut Room) {
    other_half(key, room);
    match maps::flow(&room.answers) {
        Some(known) if known.opening && known.has_spoken() => {
            known.read(&mut room.other);
            maps::establish(&room.answers, &room.other);
            maps::establish(key, &room.flow);
        }
        Some(_) => {}
        None => {
            _ = maps::claim_flow(&room.answers, &room.other);
        }
    }
}

/// Writes the other half of `room.flow`, which stands under `key`, to the room.
#[inline(always)]
pub(crate) fn other_half(key: &FlowKey, room: &mut Room) {
    // Field by field into place: as one value it would be copied by a call.
    let other = Flow::new(
        room.flow.role().other(),
        key.reversed(),
        room.flow.generation,
        room.flow.seen,
    );
    room.answers = room.flow.to.reversed();
    room.other = other;
}

/// How far [`make`] came.
pub(crate) enum Made {
    /// The flow is made.
    Whole,
    /// `room.flow` is chosen, but needs another source: see [`ports::claim`].
    But(Another),
}

/// Makes the flow of a packet that opens one (or goes on with one that was forgotten) to what
/// `room.service` says, in `room.flow`.
#[inline(never)]
pub(crate) fn make(packet: &Packet, room: &mut Room, hook: Hook) -> Result<Made, Drop> {
    let index = choice::index(choice::flow_hash(&packet.key), room.service.count());
    // Whatever the packet's tuple led to so far, it does no more.
    maps::forget_flow(&packet.key);
    maps::forget_way(&packet.key);
    let endpoint = room.service.endpoint(index)?.at();
    let generation = room.service.generation;
    let to = packet.key.sent_to(endpoint);
    room.flow = Flow::new(Role::Request, to, generation, maps::now());
    if answers_past_us(packet, &room.service, hook, &endpoint.0) {
        return Ok(Made::But(Another::Address));
    }
    // A client on one port who was at the endpoint before, through another frontend, may come
    // again at once when that is over.
    if ports::claim_as_it_is(&packet.key, room)
        || (ports::retire(room, true) && ports::claim_as_it_is(&packet.key, room))
    {
        commit(&packet.key, room, Counter::FlowCreated)?;
        return Ok(Made::Whole);
    }
    // The endpoint knows the client's port from another conversation. From outside the packet can
    // come from the node's address, as to an endpoint on another node; all others keep their
    // address, by which policies and logs know them.
    let outside = hook.client() == Client::Outside && room.service.masquerades();
    Ok(Made::But(if outside {
        Another::Address
    } else {
        Another::Port
    }))
}

/// Makes the client's half, once the half of the answers is claimed.
#[inline(always)]
pub(crate) fn commit(key: &FlowKey, room: &mut Room, counter: Counter) -> Result<(), Drop> {
    room.flow.state = Flow::SPOKE;
    // From here on the answers are rewritten.
    maps::forget_way(&room.answers);
    if !maps::put_flow(key, &room.flow) {
        maps::forget_flow(&room.answers);
        return Err(Drop::FlowTableFull);
    }
    maps::count(counter);
    Ok(())
}

/// Whether the endpoint would answer the client past this node, so that the packet must come from
/// another address: a pod that reaches itself, and a client from outside whose endpoint is on
/// another node.
#[inline(always)]
fn answers_past_us(packet: &Packet, service: &Service, hook: Hook, endpoint: &Ip) -> bool {
    if *endpoint == packet.key.source {
        return true;
    }
    hook.client() == Client::Outside
        && service.masquerades()
        && maps::pod(endpoint).is_none()
        && !maps::is_nodes(endpoint)
}

/// Forgets both halves of the flow in `room`, whose endpoint serves no more.
#[inline(never)]
pub(crate) fn forget(packet: &Packet, room: &mut Room) {
    other_half(&packet.key, room);
    if maps::flow(&room.answers).is_some_and(|known| known.leads_to(&room.other.to)) {
        maps::forget_flow(&room.answers);
    }
    maps::forget_flow(&packet.key);
    maps::count(Counter::FlowMoved);
}

/// Has the answers to a packet that goes out untranslated come back untranslated: an old flow of
/// the same client port to the same endpoint, through a frontend or under the node's address, may
/// still claim them. Such a flow goes as a whole, and is made anew if it is in use after all. An
/// established connection stays, and keeps its tuple at the endpoint: then the packet needs another
/// port, and `room.flow` is all else that it does.
#[inline(never)]
pub(crate) fn give_way(packet: &Packet, room: &mut Room) -> Option<Another> {
    room.answers = packet.key.reversed();
    let claimed = maps::flow(&room.answers)
        .is_some_and(|known| !known.role().is_client() && !known.leads_to(&room.answers));
    if !claimed || ports::retire(room, true) {
        return None;
    }
    if packet.key.protocol == protocol::TCP {
        maps::forget_way(&packet.key);
        room.service.keep_no_client();
        room.flow = Flow::new(Role::Request, packet.key, 0, maps::now());
        return Some(Another::Port);
    }
    maps::forget_flow(&room.answers);
    maps::forget_flow(&room.rival);
    None
}
