//! Where a packet goes once it has its addresses: straight to a pod of this node, straight out of
//! the node, or through the node's stack, which always can when a shortcut cannot.

use proxy_abi::{Inside, Way};

use crate::maps::{self, Room};
use crate::parse::Packet;
use crate::short;
use crate::skb::{Route, Side, Skb};
use crate::translate::Outcome;
use crate::verdict::Drop;

/// A pod's packet: to another pod of this node, or out of the node.
#[inline(always)]
pub(crate) fn from_pod(
    skb: &Skb,
    packet: &Packet,
    room: &mut Room,
    outcome: Outcome,
) -> Result<Outcome, Drop> {
    if !matches!(outcome, Outcome::Pass | Outcome::Translated) {
        return Ok(outcome);
    }
    let lasting = short::is_lasting(packet, outcome);
    if !to_local_pod(skb, packet, &mut room.way) && !out_of_the_node(skb, packet, room, lasting) {
        return Ok(outcome);
    }
    if lasting
        && room.way.ifindex != 0
        && let Some(pod) = maps::pod(&packet.key.source)
    {
        short::remember(skb, packet, &mut room.way, pod.mac);
    }
    Ok(Outcome::Redirected)
}

/// A packet from the network: to a pod of this node, or on to another node.
#[inline(always)]
pub(crate) fn from_network(
    skb: &Skb,
    packet: &Packet,
    room: &mut Room,
    outcome: Outcome,
) -> Result<Outcome, Drop> {
    match outcome {
        Outcome::Pass if to_local_pod(skb, packet, &mut room.way) => {
            if short::is_lasting(packet, outcome) && room.way.ifindex != 0 {
                short::remember(skb, packet, &mut room.way, [0; 6]);
            }
            Ok(Outcome::Redirected)
        }
        Outcome::Translated if to_local_pod(skb, packet, &mut room.way) => Ok(Outcome::Redirected),
        // The stack would not forward what comes from its own address.
        Outcome::Translated if maps::is_nodes(&packet.key.source) => {
            if out_of_the_node(skb, packet, room, false) {
                Ok(Outcome::Redirected)
            } else {
                Err(Drop::NoRoute)
            }
        }
        outcome => Ok(outcome),
    }
}

/// A rewritten packet of the node's own: the stack chose interface and next hop for the
/// frontend's address; the endpoint may be a pod of this node or behind another next hop.
#[inline(always)]
pub(crate) fn from_node(
    skb: &Skb,
    packet: &Packet,
    room: &mut Room,
    outcome: Outcome,
) -> Result<Outcome, Drop> {
    if outcome != Outcome::Translated {
        return Ok(outcome);
    }
    if maps::is_nodes(&packet.key.destination) {
        // A process of the node that asks one of the node, or is answered by it: back into the
        // stack, as if it had come from the network.
        skb.turn_round().map_err(|_| Drop::RewriteFailed)?;
        skb.mark_turned();
        skb.redirect(skb.ifindex(), Side::In);
        return Ok(Outcome::Redirected);
    }
    match skb.route(packet, &mut room.routing) {
        Route::Neighbour { ifindex, addresses } => {
            skb.store(0, &addresses).map_err(|_| Drop::RewriteFailed)?;
            if ifindex == skb.ifindex() {
                return Ok(outcome);
            }
            // At another uplink the packet would look like one that was never translated.
            skb.mark_done();
            skb.redirect(ifindex, Side::Out);
            Ok(Outcome::Redirected)
        }
        Route::Unresolved { ifindex } => {
            skb.mark_done();
            skb.redirect_by_neighbour(ifindex);
            Ok(Outcome::Redirected)
        }
        Route::Other => Err(Drop::NoRoute),
    }
}

/// Into the pod's own interface, without a stop in the node's stack; whether it went. A pod whose
/// bandwidth is limited gets its packets through the queue of its interface. `way` says where it
/// went, if later packets can go there without being asked: interface 0 where not.
#[inline(always)]
fn to_local_pod(skb: &Skb, packet: &Packet, way: &mut Way) -> bool {
    way.ifindex = 0;
    let Some(pod) = maps::pod(&packet.key.destination) else {
        return false;
    };
    if !pod.is_shaped() {
        way.lead_to_pod(pod.ifindex);
        skb.redirect_to_peer(pod.ifindex);
        return true;
    }
    if skb.store(0, &pod.mac).is_err() {
        return false;
    }
    skb.redirect(pod.ifindex, Side::Out);
    true
}

/// Out of the interface that the routing table names, with the neighbour's address; whether it
/// went. Whatever is not plain (a packet too large, the node itself as destination, the last hop)
/// is the stack's; so is a next hop that must be asked for, unless the stack would refuse to ask
/// for a packet that comes from the node's own address. Of a `lasting` packet `room.way` says
/// where it went.
///
/// Not inlined, for the sake of the caller's stack.
#[inline(never)]
fn out_of_the_node(skb: &Skb, packet: &Packet, room: &mut Room, lasting: bool) -> bool {
    if packet.hops <= 1 {
        return false;
    }
    match skb.route(packet, &mut room.routing) {
        // Into a tunnel by way of the stack: there its route notes what the way between the nodes
        // carries, and the pod is told.
        Route::Neighbour { ifindex, .. } if maps::uplink(ifindex).is_none() => false,
        Route::Neighbour { ifindex, addresses } => {
            let inside = match maps::inside(&packet.key.destination) {
                // No Service of ours: another proxy may have something for it in the stack.
                Some(Inside::SERVICES) => return false,
                inside => inside.is_some(),
            };
            if skb.store(0, &addresses).is_err() {
                return false;
            }
            if skb.spend_hop(packet.family, packet.hops).is_err() {
                return false;
            }
            if inside {
                // There is nothing to masquerade: `to_network` need not look again.
                skb.mark_done();
            }
            if lasting {
                room.way.lead_out(ifindex, addresses, inside);
            }
            skb.redirect(ifindex, Side::Out);
            true
        }
        Route::Unresolved { ifindex } if maps::is_nodes(&packet.key.source) => {
            if skb.spend_hop(packet.family, packet.hops).is_err() {
                return false;
            }
            skb.redirect_by_neighbour(ifindex);
            true
        }
        Route::Unresolved { .. } | Route::Other => false,
    }
}

/// Whether the stack made this packet itself, rather than forward it.
#[inline(always)]
pub(crate) fn is_nodes_own(skb: &Skb) -> bool {
    skb.came_from() == 0
}
