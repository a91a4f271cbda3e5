//! Other source addresses and ports for packets that must be answered through this node, and other
//! ports for those whose answers another conversation of the client has. Two flows never share the
//! tuple of their answers, and none takes that of a socket of the node's own.

use packet::choice;
use packet::life::{self, Life};
use proxy_abi::{Counter, FlowKey, Ip, Port, protocol};

use crate::flow;
use crate::maps::{self, Room};
use crate::parse::Packet;
use crate::skb::Skb;
use crate::verdict::Drop;

/// Ports tried before a flow is refused.
const ATTEMPTS: u32 = 16;

/// Ports for pods that reach themselves, and for a client whose own port is in the way: above those
/// that sockets are given (`ip_local_port_range`, as the kernel has it), and far from those that
/// servers choose.
const FIRST_HIGH_PORT: u32 = 61_000;

/// Claims the answers to `room.flow`, the client's half under `key`; whether it could.
#[inline(never)]
pub(crate) fn claim_as_it_is(key: &FlowKey, room: &mut Room) -> bool {
    flow::other_half(key, room);
    if maps::claim_flow(&room.answers, &room.other) {
        return true;
    }
    // Ours already: the client's half was pushed out, or another CPU is a packet ahead.
    maps::flow(&room.answers)
        .is_some_and(|known| known.leads_to(&room.other.to) && known.role() == room.other.role())
}

/// Removes the flow that has the answers `room.answers` if it may be taken for over; whether they
/// are free now.
#[inline(never)]
pub(crate) fn retire(room: &mut Room, pressed: bool) -> bool {
    let Some(answers) = maps::flow(&room.answers) else {
        return true;
    };
    if answers.role().is_client() {
        return false;
    }
    answers.read(&mut room.other);
    room.rival = room.other.to.reversed();
    let (mut seen, state) = answers.life();
    let (mut opening, mut client) = (answers.opening, 0);
    if let Some(half) = maps::flow(&room.rival) {
        let (its_seen, its_state) = half.life();
        // Time passes, so of two moments the later is the one that the other comes before.
        if its_seen.wrapping_sub(seen) < u32::MAX / 2 {
            seen = its_seen;
        }
        client = its_state;
        opening = half.opening;
    }
    let life = Life {
        protocol: room.answers.protocol,
        opening,
        states: [client, state],
        idle: maps::now().wrapping_sub(seen),
    };
    if !life::is_over(&life, pressed) {
        return false;
    }
    maps::forget_flow(&room.answers);
    maps::forget_flow(&room.rival);
    true
}

/// What has to be another one, so that the answers are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Another {
    /// The address: they would pass this node by.
    Address,
    /// The port: they are those of another conversation of the same client.
    Port,
}

/// Where the new source comes from.
struct Source {
    address: Ip,
    first_port: u32,
    ports: u32,
}

impl Source {
    /// Above the ports of sockets.
    #[inline(always)]
    const fn above(address: Ip) -> Self {
        Self {
            address,
            first_port: FIRST_HIGH_PORT,
            ports: u16::MAX as u32 - FIRST_HIGH_PORT + 1,
        }
    }
}

/// The client's own address where only its port is in the way; the frontend for a pod that reaches
/// itself, the uplink's address for everyone else.
#[inline(always)]
fn source(skb: &Skb, packet: &Packet, room: &Room, another: Another) -> Option<Source> {
    if another == Another::Port {
        return Some(Source::above(packet.key.source));
    }
    if room.flow.to.destination == packet.key.source {
        return Some(Source::above(packet.key.destination));
    }
    let uplink = maps::uplink(skb.ifindex())?;
    let (first, last) = (u32::from(uplink.first_port), u32::from(uplink.last_port));
    Some(Source {
        address: uplink.address(&room.flow.to.destination)?,
        first_port: first,
        ports: (last.wrapping_sub(first) & 0xffff) + 1,
    })
}

/// Gives `room.flow`, the half of the client that sent `packet`, another source and a port that
/// nobody has towards this destination, and makes the flow, counted as `counter`.
#[inline(never)]
pub(crate) fn claim(
    skb: &Skb,
    packet: &Packet,
    room: &mut Room,
    another: Another,
    counter: Counter,
) -> Result<(), Drop> {
    let source = source(skb, packet, room, another).ok_or(Drop::NoSource)?;
    let hash = choice::flow_hash(&packet.key);
    room.flow.to.source = source.address;
    for attempt in 0..ATTEMPTS {
        // Each attempt somewhere else in the range: neighbours tend to be taken together.
        let bits = hash.wrapping_add(attempt.wrapping_mul(0x9e37_79b9));
        let port = source.first_port + choice::index(bits, source.ports);
        room.flow.to.source_port = Port::new(port as u16);
        if is_sockets(skb, &room.flow.to) {
            continue;
        }
        let pressed = attempt >= ATTEMPTS / 2;
        if claim_as_it_is(&packet.key, room)
            || (retire(room, pressed) && claim_as_it_is(&packet.key, room))
        {
            if another == Another::Port {
                maps::count(Counter::AnotherPort);
            }
            return flow::commit(&packet.key, room, counter);
        }
    }
    Err(Drop::PortsExhausted)
}

/// Whether a socket of the node's own would take the answers to this tuple.
#[inline(always)]
fn is_sockets(skb: &Skb, to: &FlowKey) -> bool {
    matches!(to.protocol, protocol::TCP | protocol::UDP) && skb.has_socket(to)
}
