//! Says no at once: a packet to a frontend without endpoints becomes its own refusal, a TCP reset
//! or an ICMP port unreachable, and goes back where it came from.

use packet::{ethernet, refusal};
use proxy_abi::protocol;

use crate::maps;
use crate::skb::{Side, Skb};
use crate::translate::Outcome;
use crate::verdict::Drop;

/// Refuses a pod's packet: the answer goes out of the interface on which the packet came.
#[inline(always)]
pub(crate) fn to_pod(skb: &Skb, outcome: Result<Outcome, Drop>) -> Result<Outcome, Drop> {
    refuse(skb, outcome, Side::Out)
}

/// Refuses a packet of the node's own: the answer arrives as if the uplink had received it.
#[inline(always)]
pub(crate) fn to_node(skb: &Skb, outcome: Result<Outcome, Drop>) -> Result<Outcome, Drop> {
    refuse(skb, outcome, Side::In)
}

#[inline(always)]
fn refuse(skb: &Skb, outcome: Result<Outcome, Drop>, side: Side) -> Result<Outcome, Drop> {
    match outcome? {
        Outcome::NoEndpoint(packet) => {
            // The builders expect a header without options, which nothing but a test tool sends.
            if packet.transport as usize != ethernet::LEN + packet::ipv4::LEN {
                return Err(Drop::NoEndpointSilent);
            }
            if packet.key.protocol == protocol::TCP {
                reset(skb)?
            } else {
                unreachable(skb)?
            };
            skb.redirect(skb.ifindex(), side);
            Ok(Outcome::Answered)
        }
        other => Ok(other),
    }
}

/// Turns a TCP segment into the reset that answers it.
#[inline(never)]
fn reset(skb: &Skb) -> Result<(), Drop> {
    let scratch = maps::scratch().ok_or(Drop::RewriteFailed)?;
    skb.load_head(&mut scratch.question)
        .map_err(|_| Drop::Malformed)?;
    let Some(answer) = scratch.answer.first_chunk_mut() else {
        return Err(Drop::RewriteFailed);
    };
    *answer = [0; refusal::TCP_FRAME];
    if !refusal::tcp_reset(&scratch.question, answer) {
        return Err(Drop::NoEndpointSilent);
    }
    replace(skb, answer)
}

/// Turns a datagram into the ICMP error that answers it.
#[inline(never)]
fn unreachable(skb: &Skb) -> Result<(), Drop> {
    let scratch = maps::scratch().ok_or(Drop::RewriteFailed)?;
    let head: Option<&mut [u8; refusal::UDP_FRAME]> = scratch.question.first_chunk_mut();
    let Some(head) = head else {
        return Err(Drop::RewriteFailed);
    };
    skb.load_head(head).map_err(|_| Drop::Malformed)?;
    scratch.answer = [0; refusal::UNREACHABLE_FRAME];
    refusal::port_unreachable(head, &mut scratch.answer);
    replace(skb, &scratch.answer)
}

#[inline(always)]
fn replace<const N: usize>(skb: &Skb, frame: &[u8; N]) -> Result<(), Drop> {
    skb.resize(N as u32).map_err(|_| Drop::RewriteFailed)?;
    skb.store(0, frame).map_err(|_| Drop::RewriteFailed)
}
