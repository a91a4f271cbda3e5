//! The walk of a packet: known flow? -> service -> endpoint -> rewrite.

use proxy_abi::{Flow, Part};

use crate::parse::{Content, Packet};
use crate::rewrite::rewrite;
use crate::skb::Skb;
use crate::verdict::Drop;
use crate::{flow, maps, service};

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

/// Which packets a hook translates.
#[derive(Clone, Copy)]
pub(crate) struct Allow {
    requests: bool,
    replies: bool,
}

impl Allow {
    /// Both directions.
    pub(crate) const EVERYTHING: Self = Self {
        requests: true,
        replies: true,
    };
    /// Only packets that go to a frontend.
    pub(crate) const REQUESTS: Self = Self {
        requests: true,
        replies: false,
    };
    /// Only packets that come back from an endpoint.
    pub(crate) const REPLIES: Self = Self {
        requests: false,
        replies: true,
    };
}

/// Takes a packet from what it says to its rewritten bytes, and `packet` with it.
#[inline(always)]
pub(crate) fn translate(skb: &Skb, packet: &mut Packet, allow: Allow) -> Result<Outcome, Drop> {
    if packet.content == Content::NoPorts {
        return Ok(Outcome::Pass);
    }
    let known = maps::flow(&packet.key);
    if let Some(known) = &known {
        let allowed = match known.part() {
            Part::Source => allow.replies,
            Part::Destination => allow.requests,
        };
        if !allowed {
            return Ok(Outcome::Pass);
        }
        if flow::holds(packet, known, || service::of_packet(&packet.key)) {
            return translated(skb, packet, known);
        }
        flow::forget(packet, known);
    }
    if !allow.requests {
        return Ok(Outcome::Pass);
    }
    anew(skb, packet)
}

/// A packet without a flow, or whose flow led nowhere any more.
#[inline(always)]
fn anew(skb: &Skb, packet: &mut Packet) -> Result<Outcome, Drop> {
    let Some(frontend) = service::of_packet(&packet.key) else {
        if packet.content == Content::Opening {
            flow::give_way(packet);
        }
        return Ok(Outcome::Pass);
    };
    if frontend.offer.inside.count == 0 {
        return Ok(Outcome::NoEndpoint);
    }
    let mut flow = Flow::default();
    flow::make(packet, &frontend, &mut flow)?;
    translated(skb, packet, &flow)
}

#[inline(always)]
fn translated(skb: &Skb, packet: &mut Packet, flow: &Flow) -> Result<Outcome, Drop> {
    rewrite(skb, packet, flow)?;
    let (address, port) = flow.target();
    match flow.part() {
        Part::Source => (packet.key.source, packet.key.source_port) = (address, port),
        Part::Destination => {
            (packet.key.destination, packet.key.destination_port) = (address, port);
        }
    }
    Ok(Outcome::Translated)
}
