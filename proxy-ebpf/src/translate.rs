//! The walk of a packet: parse -> known flow? -> service -> endpoint -> rewrite.

use proxy_abi::{Flow, Part};

use crate::parse::{Packet, parse};
use crate::rewrite::rewrite;
use crate::skb::Skb;
use crate::verdict::Drop;
use crate::{flow, maps, service};

/// How the walk ended when nothing is wrong with the packet.
pub(crate) enum Outcome {
    /// No Service is concerned; the packet is as it came.
    NotOurs,
    /// The packet is rewritten and goes on through the node's stack.
    Translated,
    /// The packet is rewritten and a redirect is noted.
    Redirected,
    /// The packet's frontend has no endpoint; the packet is as it came.
    NoEndpoint(Packet),
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

/// Takes a packet from its bytes to its rewritten bytes.
#[inline(always)]
pub(crate) fn translate(skb: &Skb, allow: Allow) -> Result<Outcome, Drop> {
    let Some(packet) = parse(skb)? else {
        return Ok(Outcome::NotOurs);
    };
    let known = maps::flow(&packet.key);
    if let Some(known) = known {
        let allowed = match known.part() {
            Part::Source => allow.replies,
            Part::Destination => allow.requests,
        };
        if !allowed {
            return Ok(Outcome::NotOurs);
        }
        if flow::holds(&packet, &known, || service::of_packet(&packet.key)) {
            rewrite(skb, &packet, &known)?;
            return Ok(Outcome::Translated);
        }
    }
    if !allow.requests {
        return Ok(Outcome::NotOurs);
    }
    anew(skb, packet, known)
}

/// A packet without a flow, or whose flow (`stale`) leads nowhere any more.
#[inline(always)]
fn anew(skb: &Skb, packet: Packet, stale: Option<Flow>) -> Result<Outcome, Drop> {
    if let Some(stale) = &stale {
        flow::forget(&packet, stale);
    }
    let Some(frontend) = service::of_packet(&packet.key) else {
        return Ok(Outcome::NotOurs);
    };
    if frontend.count == 0 {
        return Ok(Outcome::NoEndpoint(packet));
    }
    let flow = flow::make(&packet, &frontend)?;
    rewrite(skb, &packet, &flow)?;
    Ok(Outcome::Translated)
}
