//! The walk of a packet: known flow? -> service -> endpoint -> rewrite.

use proxy_abi::earlier::Given;
use proxy_abi::{Counter, Role, protocol};

use crate::flow::Made;
use crate::maps::Room;
use crate::parse::{Content, Packet};
use crate::ports::Another;
use crate::rewrite::{finish_sctp, rewrite};
use crate::service::Client;
use crate::skb::Skb;
use crate::verdict::Drop;
use crate::{affinity, errors, flow, maps, ports, service};

/// How a walk ended when nothing is wrong with the packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The stack, or another program, goes on with the packet as it is.
    Pass,
    /// The packet has other addresses now, and `Packet::key` says which.
    Translated,
    /// A redirect is noted.
    Redirected,
    /// The packet's frontend has no endpoint; the packet is as it came.
    NoEndpoint,
    /// The packet has become its own refusal and a redirect is noted.
    Answered,
}

/// Where a packet is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    /// As it comes from a pod.
    FromPod,
    /// As it comes from an uplink.
    FromNetwork,
    /// As the node's own process sends it out of an uplink.
    FromNode,
    /// As the node forwards it out of an uplink.
    Leaving,
    /// As the node's own process sends it to a pod.
    ToPod,
}

impl Hook {
    /// Whether packets in this role are rewritten here.
    #[inline(always)]
    pub(crate) const fn takes(self, role: Role) -> bool {
        match role {
            Role::Request => !matches!(self, Self::Leaving | Self::ToPod),
            Role::Reply => !matches!(self, Self::Leaving),
            Role::Masquerade => matches!(self, Self::Leaving),
            Role::Return => matches!(self, Self::FromNetwork),
        }
    }

    /// Whether a packet may belong to two flows here: what comes back to masquerade may be the
    /// reply of a Service whose endpoint is outside the cluster.
    #[inline(always)]
    pub(crate) const fn is_chained(self) -> bool {
        matches!(self, Self::FromNetwork)
    }

    /// On which side the senders are.
    #[inline(always)]
    pub(crate) const fn client(self) -> Client {
        match self {
            Self::FromNetwork => Client::Outside,
            Self::FromPod | Self::FromNode | Self::Leaving | Self::ToPod => Client::Inside,
        }
    }
}

/// Takes a packet from what it says to its rewritten bytes, and `packet` with it.
#[inline(always)]
pub(crate) fn translate(
    skb: &Skb,
    packet: &mut Packet,
    room: &mut Room,
    hook: Hook,
) -> Result<Outcome, Drop> {
    match packet.content {
        Content::NoPorts => return Ok(Outcome::Pass),
        Content::Error => return errors::translate(skb, packet, room, hook),
        Content::Opening | Content::Continuing | Content::Fragment => {}
    }
    if let Some(known) = maps::flow(&packet.key)
        && hook.takes(known.role())
    {
        known.read(&mut room.flow);
        if flow::holds(packet, &known, room, hook.client()) {
            flow::note(packet, &known, room);
            translated(skb, packet, room)?;
            return chained(skb, packet, room, hook);
        }
        flow::forget(packet, room);
    }
    anew(skb, packet, room, hook)
}

/// The same for a packet that can only be an answer, on its way to a pod.
#[inline(always)]
pub(crate) fn translate_answer(
    skb: &Skb,
    packet: &mut Packet,
    room: &mut Room,
) -> Result<Outcome, Drop> {
    match packet.content {
        Content::NoPorts => return Ok(Outcome::Pass),
        Content::Error => return errors::translate(skb, packet, room, Hook::ToPod),
        Content::Opening | Content::Continuing | Content::Fragment => {}
    }
    if let Some(known) = maps::flow(&packet.key)
        && Hook::ToPod.takes(known.role())
    {
        known.read(&mut room.flow);
        flow::note(packet, &known, room);
        translated(skb, packet, room)?;
        return Ok(Outcome::Translated);
    }
    maps::ask_earlier(skb, Hook::ToPod, Given::UnderWay);
    Ok(Outcome::Pass)
}

/// Leaves a packet of no known flow to the program that was here before, if there is one that may
/// know it: while a version takes over from another, whose flows are in a map of its own.
#[inline(always)]
pub(crate) fn defer(skb: &Skb, packet: &Packet, hook: Hook) {
    match packet.content {
        Content::Opening => maps::ask_earlier(skb, hook, Given::Beginning),
        _ => maps::ask_earlier(skb, hook, Given::UnderWay),
    }
}

/// A packet without a flow of this hook, or whose flow led nowhere any more.
#[inline(always)]
fn anew(skb: &Skb, packet: &mut Packet, room: &mut Room, hook: Hook) -> Result<Outcome, Drop> {
    defer(skb, packet, hook);
    let made = if service::find(packet, hook.client(), &mut room.service) {
        match to_service(packet, room, hook)? {
            Some(made) => made,
            None => return Ok(Outcome::NoEndpoint),
        }
    } else {
        match straight(skb, packet, room, hook) {
            Some(another) => Made::But(another),
            None => return Ok(Outcome::Pass),
        }
    };
    // One place for both, lest the verifier look at all that follows twice as often.
    if let Made::But(another) = made {
        ports::claim(skb, packet, room, another, Counter::FlowCreated)?;
    }
    affinity::remember(room);
    translated(skb, packet, room)?;
    Ok(Outcome::Translated)
}

/// What a packet to no Service needs that goes where another conversation of its sender's port
/// already is.
#[inline(always)]
fn straight(skb: &Skb, packet: &Packet, room: &mut Room, hook: Hook) -> Option<Another> {
    if packet.content != Content::Opening {
        return None;
    }
    if packet.key.protocol != protocol::TCP {
        // An answer looks no different where no flag tells.
        maps::ask_earlier(skb, hook, Given::UnderWay);
    }
    flow::give_way(packet, room)
}

/// Chooses an endpoint of `room.service`, and makes the flow to it as far as that needs no other
/// source; nothing if there is no endpoint.
#[inline(always)]
fn to_service(packet: &Packet, room: &mut Room, hook: Hook) -> Result<Option<Made>, Drop> {
    if packet.content == Content::Fragment {
        // Its first made no flow, or has not come; there is no header to answer.
        return Err(Drop::NoEndpointSilent);
    }
    if !room.service.admits(&packet.key.source) {
        return Err(Drop::SourceRange);
    }
    if room.service.count() == 0 {
        return if room.service.drops(hook.client()) {
            Err(Drop::NoLocalEndpoint)
        } else {
            Ok(None)
        };
    }
    affinity::prefer(packet, room);
    flow::make(packet, room, hook).map(Some)
}

/// The second flow of a packet that came back to masquerade by its first.
#[inline(always)]
fn chained(skb: &Skb, packet: &mut Packet, room: &mut Room, hook: Hook) -> Result<Outcome, Drop> {
    if hook.is_chained()
        && room.flow.role() == Role::Return
        && let Some(known) = maps::flow(&packet.key)
        && known.role() == Role::Reply
    {
        known.read(&mut room.flow);
        flow::note(packet, &known, room);
        translated(skb, packet, room)?;
    }
    Ok(Outcome::Translated)
}

/// Makes the packet what `room.flow` says.
#[inline(always)]
pub(crate) fn translated(skb: &Skb, packet: &mut Packet, room: &Room) -> Result<(), Drop> {
    rewrite(skb, packet, &room.flow.to)?;
    finish_sctp(skb, packet, &room.flow.to)?;
    packet.key = room.flow.to;
    Ok(())
}
