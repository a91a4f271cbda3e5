//! Pods' packets that leave the cluster do so under the node's address, since nobody out there
//! knows the way to theirs. Inside the cluster never: there the receiver sees the pod's address.

use proxy_abi::{Counter, Flow, Inside, Role};

use crate::maps::Room;
use crate::parse::{Content, Packet};
use crate::ports::Another;
use crate::skb::Skb;
use crate::translate::{Hook, Outcome, defer, translated};
use crate::verdict::Drop;
use crate::{errors, flow, maps, ports, service};

/// A packet that the node forwards out of an uplink.
#[inline(always)]
pub(crate) fn leaving(skb: &Skb, packet: &mut Packet, room: &mut Room) -> Result<Outcome, Drop> {
    match maps::inside(&packet.key.destination) {
        Some(Inside::SERVICES) => return unserved(packet),
        Some(_) => return Ok(Outcome::Pass),
        None => {}
    }
    if maps::pod(&packet.key.source).is_none() {
        return Ok(Outcome::Pass);
    }
    let address =
        maps::uplink(skb.ifindex()).and_then(|uplink| uplink.address(&packet.key.destination));
    let Some(address) = address else {
        return Ok(service::leaving(packet));
    };
    match packet.content {
        Content::NoPorts => return Err(Drop::NotMasqueradable),
        Content::Error => return errors::translate(skb, packet, room, Hook::Leaving),
        Content::Opening | Content::Continuing | Content::Fragment => {}
    }
    if let Some(known) = maps::flow(&packet.key) {
        if known.role() != Role::Masquerade {
            // The answer to what came straight to the pod's own address.
            return Ok(Outcome::Pass);
        }
        known.read(&mut room.flow);
        if room.flow.to.source == address {
            flow::note(packet, &known, room);
            translated(skb, packet, room)?;
            return Ok(Outcome::Translated);
        }
        // The uplink has another address than when the flow was made: whoever answered the old
        // one is lost to the pod either way.
        flow::forget(packet, room);
    }
    begin(skb, packet, room)
}

/// What goes to a cluster IP and was not translated, whoever sent it: out there nobody is at such an
/// address. A connection that is forgotten is refused, too.
#[inline(always)]
fn unserved(packet: &Packet) -> Result<Outcome, Drop> {
    match packet.content {
        Content::Opening | Content::Continuing => Ok(Outcome::NoEndpoint),
        Content::Fragment => Err(Drop::NoEndpointSilent),
        Content::Error | Content::NoPorts => Ok(Outcome::Pass),
    }
}

#[inline(always)]
fn begin(skb: &Skb, packet: &mut Packet, room: &mut Room) -> Result<Outcome, Drop> {
    defer(skb, packet, Hook::Leaving);
    match packet.content {
        Content::Opening => {}
        // Its first was not let out.
        Content::Fragment => return Err(Drop::NotMasqueradable),
        // Not begun by the pod, or so long ago that it is forgotten.
        Content::Continuing | Content::Error | Content::NoPorts => return Ok(Outcome::Pass),
    }
    if service::leaving(packet) == Outcome::NoEndpoint {
        return Ok(Outcome::NoEndpoint);
    }
    room.flow = Flow::new(Role::Masquerade, packet.key, 0, maps::now());
    ports::claim(skb, packet, room, Another::Address, Counter::Masqueraded)?;
    translated(skb, packet, room)?;
    Ok(Outcome::Translated)
}

/// Remembers who speaks to a pod of this node from outside under the pod's own address: it is to
/// be answered from there.
#[inline(always)]
pub(crate) fn entering(packet: &Packet, room: &mut Room) {
    if packet.content != Content::Opening
        || maps::is_inside(&packet.key.source)
        || maps::pod(&packet.key.destination).is_none()
    {
        return;
    }
    room.answers = packet.key.reversed();
    room.other = Flow::new(Role::Reply, room.answers, 0, maps::now());
    // There already, or the answer is under the node's address.
    _ = maps::claim_flow(&room.answers, &room.other);
}
