//! ICMP errors about translated packets: what the receiver of an error reads in it must be the
//! packet that it sent (architecture, invariant 5).
//!
//! An error carries the head of the packet that it is about, as that packet looked where the error
//! was made: translated. Reversed, its tuple is the one that an answer to it would have, and so
//! finds the flow entry of the answers, which says what the other side calls the two ends.

use packet::{Family, ethernet, icmp, transport};
use proxy_abi::earlier::Given;
use proxy_abi::{Counter, Port, protocol};

use crate::maps::{self, Room};
use crate::parse::{Packet, parse_carried};
use crate::rewrite::{End, Field, port_offset, write_address};
use crate::skb::{Checksum, Failed, Skb};
use crate::translate::{Hook, Outcome};
use crate::verdict::Drop;

const IP: u32 = ethernet::LEN as u32;

/// Where things stand in an error, and what becomes of them.
pub(crate) struct Carried {
    /// The packet that it carries, as it came.
    packet: Packet,
    /// The transport checksum of that, if the error carries so much of it.
    checksum: Option<Checksum>,
    /// The error's own checksum.
    own: Checksum,
}

/// Translates an error about a packet whose flow is known.
#[inline(always)]
pub(crate) fn translate(
    skb: &Skb,
    packet: &mut Packet,
    room: &mut Room,
    hook: Hook,
) -> Result<Outcome, Drop> {
    if !find(skb, packet, room, hook) {
        maps::ask_earlier(skb, hook, Given::UnderWay);
        return Ok(Outcome::Pass);
    }
    rewrite(skb, packet, room)?;
    // Two flows may have handled the packet: a Service whose endpoint is outside the cluster, and
    // masquerade.
    if hook.is_chained() && find(skb, packet, room, hook) {
        rewrite(skb, packet, room)?;
    }
    maps::count(Counter::ErrorTranslated);
    Ok(Outcome::Translated)
}

#[inline(always)]
fn rewrite(skb: &Skb, packet: &mut Packet, room: &mut Room) -> Result<(), Drop> {
    let before = load_checksum(skb, room);
    carried_end(skb, packet.family, room, End::Source)
        .and_then(|()| carried_end(skb, packet.family, room, End::Destination))
        .and_then(|()| {
            // The carried checksum is data of the error.
            let after = load_checksum(skb, room);
            skb.patch_port(&room.error.own, before, after)
        })
        .and_then(|()| own_end(skb, packet, room, End::Source))
        .and_then(|()| own_end(skb, packet, room, End::Destination))
        .map_err(|_| Drop::RewriteFailed)
}

/// Finds the flow of the packet that the error carries; whether there is one that this hook
/// translates. `room.flow.to` is then what the answer to that packet is to be, where it was
/// `room.answers`.
#[inline(never)]
fn find(skb: &Skb, packet: &Packet, room: &mut Room, hook: Hook) -> bool {
    let ip = packet.transport + icmp::INNER;
    let carried = &mut room.error;
    if !parse_carried(skb, packet.family, ip, &mut carried.packet) {
        return false;
    }
    room.answers = carried.packet.key.reversed();
    match maps::flow(&room.answers) {
        Some(known) if hook.takes(known.role()) => known.read(&mut room.flow),
        _ => return false,
    }
    carried.own = Checksum {
        offset: packet.transport + icmp::CHECKSUM,
        optional: false,
        with_addresses: packet.family == Family::V6,
    };
    carried.checksum = carried_checksum(skb, &carried.packet);
    true
}

/// The transport checksum of the packet that the error carries, if the error carries so much of it.
#[inline(always)]
fn carried_checksum(skb: &Skb, carried: &Packet) -> Option<Checksum> {
    let protocol = carried.key.protocol;
    let offset = carried.transport + transport::checksum_offset(protocol)?;
    let [sum] = skb.load::<u16, 1>(offset).ok()?;
    let optional = protocol == protocol::UDP;
    (!optional || sum != 0).then_some(Checksum {
        offset,
        optional,
        with_addresses: protocol != protocol::ICMP,
    })
}

/// The carried transport checksum as two bytes of the wire; zero if there is none.
#[inline(always)]
fn load_checksum(skb: &Skb, room: &Room) -> Port {
    let loaded = match &room.error.checksum {
        Some(checksum) => skb.load::<u16, 1>(checksum.offset),
        None => Ok([0]),
    };
    Port::from_wire(loaded.unwrap_or([0])[0].to_ne_bytes())
}

/// One end of the header of the error itself: it goes to the packet's sender, and comes from the
/// packet's receiver, unless a router on the way made it.
#[inline(always)]
fn own_end(skb: &Skb, packet: &mut Packet, room: &Room, end: End) -> Result<(), Failed> {
    let (shown, answer, to) = match end {
        End::Source => (
            &mut packet.key.source,
            &room.answers.source,
            &room.flow.to.source,
        ),
        End::Destination => (
            &mut packet.key.destination,
            &room.answers.destination,
            &room.flow.to.destination,
        ),
    };
    if *shown != *answer || *shown == *to {
        return Ok(());
    }
    let field = Field {
        family: packet.family,
        ip: IP,
        end,
    };
    write_address(skb, &field, Some(&room.error.own), (*shown, *to))?;
    *shown = *to;
    Ok(())
}

/// One end of the packet that the error carries, the reverse of an answer.
#[inline(never)]
fn carried_end(skb: &Skb, family: Family, room: &Room, end: End) -> Result<(), Failed> {
    let (answer, to) = (&room.answers, &room.flow.to);
    let (from, to) = match end {
        End::Source => (answer.towards(), to.towards()),
        End::Destination => (answer.from(), to.from()),
    };
    let Carried {
        packet,
        checksum,
        own,
    } = &room.error;
    if from.0 != to.0 {
        let covered = checksum.as_ref().filter(|sum| sum.with_addresses);
        let ip = own.offset - icmp::CHECKSUM + icmp::INNER;
        write_address(skb, &Field { family, ip, end }, None, (from.0, to.0))?;
        if family == Family::V6 {
            // An IPv4 header's own checksum makes up for the address; an IPv6 header has none.
            patch_words(skb, own, from.0.words(), to.0.words())?;
        }
        if let Some(covered) = covered {
            patch_words(skb, covered, from.0.words(), to.0.words())?;
        }
    }
    if from.1 != to.1 {
        let at = packet.transport + port_offset(packet.key.protocol, end);
        skb.store(at, &to.1.wire())?;
        skb.patch_port(own, from.1, to.1)?;
        if let Some(checksum) = checksum {
            skb.patch_port(checksum, from.1, to.1)?;
        }
    }
    Ok(())
}

/// Patches a checksum for an address in the data that it covers (all of an IPv4 address is in its
/// last word, and the mapped form's others are the same in all).
#[inline(never)]
fn patch_words(skb: &Skb, checksum: &Checksum, from: [u32; 4], to: [u32; 4]) -> Result<(), Failed> {
    for word in 0..from.len() {
        if from[word] != to[word] {
            skb.patch_word(checksum, from[word], to[word])?;
        }
    }
    Ok(())
}
