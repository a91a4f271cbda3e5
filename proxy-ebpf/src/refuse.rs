//! Says no at once: a packet to a frontend without endpoints becomes its own refusal, a TCP reset
//! or an ICMP port unreachable, and goes back where it came from.

use packet::{Family, ethernet, ipv4, ipv6, refusal};
use proxy_abi::protocol;

use crate::maps::Room;
use crate::parse::Packet;
use crate::skb::{Side, Skb};
use crate::translate::Outcome;
use crate::verdict::Drop;

/// Refuses what has no endpoint. A pod's packet is answered out of the interface on which it came
/// (`Side::Out`); what was about to leave by the uplink as if that had received the answer
/// (`Side::In`).
#[inline(always)]
pub(crate) fn refuse(
    skb: &Skb,
    packet: &Packet,
    room: &mut Room,
    outcome: Outcome,
    side: Side,
) -> Result<Outcome, Drop> {
    if outcome != Outcome::NoEndpoint {
        return Ok(outcome);
    }
    answer(skb, packet, room)?;
    skb.redirect(skb.ifindex(), side);
    Ok(Outcome::Answered)
}

#[inline(always)]
fn answer(skb: &Skb, packet: &Packet, room: &mut Room) -> Result<(), Drop> {
    let tcp = packet.key.protocol == protocol::TCP;
    match (packet.family, packet.transport as usize - ethernet::LEN) {
        (Family::V4, ipv4::LEN) if tcp => reset_v4(skb, room),
        (Family::V4, ipv4::LEN) => unreachable_v4(skb, room),
        (Family::V6, ipv6::LEN) if tcp => reset_v6(skb, room),
        (Family::V6, ipv6::LEN) => unreachable_v6(skb, room),
        // The builders expect a header without options, which nothing but a test tool sends.
        _ => Err(Drop::NoEndpointSilent),
    }
}

// Functions of their own, not inlined, and frames in the workspace: neither fits into the
// caller's 512 bytes of stack beside what it holds itself.

#[inline(never)]
fn reset_v4(skb: &Skb, room: &mut Room) -> Result<(), Drop> {
    reset::<{ refusal::RESET_V4 }>(skb, room, Family::V4)
}

#[inline(never)]
fn reset_v6(skb: &Skb, room: &mut Room) -> Result<(), Drop> {
    reset::<{ refusal::RESET_V6 }>(skb, room, Family::V6)
}

#[inline(never)]
fn unreachable_v4(skb: &Skb, room: &mut Room) -> Result<(), Drop> {
    type Question = [u8; refusal::UNREACHABLE_QUESTION_V4];
    unreachable::<{ size_of::<Question>() }, { refusal::UNREACHABLE_V4 }>(skb, room, Family::V4)
}

#[inline(never)]
fn unreachable_v6(skb: &Skb, room: &mut Room) -> Result<(), Drop> {
    type Question = [u8; refusal::UNREACHABLE_QUESTION_V6];
    unreachable::<{ size_of::<Question>() }, { refusal::UNREACHABLE_V6 }>(skb, room, Family::V6)
}

/// Turns a TCP segment into the reset that answers it.
#[inline(always)]
fn reset<const N: usize>(skb: &Skb, room: &mut Room, family: Family) -> Result<(), Drop> {
    let question: &mut [u8; N] = room.question.first_chunk_mut().ok_or(Drop::RewriteFailed)?;
    let answer: &mut [u8; N] = room.answer.first_chunk_mut().ok_or(Drop::RewriteFailed)?;
    skb.load_head(question).map_err(|_| Drop::Malformed)?;
    *answer = [0; N];
    if !refusal::tcp_reset(family, question, answer) {
        return Err(Drop::NoEndpointSilent);
    }
    replace(skb, answer)
}

/// Turns a datagram of which `Q` bytes count into the ICMP error of `A` bytes that answers it.
#[inline(always)]
fn unreachable<const Q: usize, const A: usize>(
    skb: &Skb,
    room: &mut Room,
    family: Family,
) -> Result<(), Drop> {
    let question: &mut [u8; Q] = room.question.first_chunk_mut().ok_or(Drop::RewriteFailed)?;
    let answer: &mut [u8; A] = room.answer.first_chunk_mut().ok_or(Drop::RewriteFailed)?;
    skb.load_head(question).map_err(|_| Drop::Malformed)?;
    *answer = [0; A];
    refusal::port_unreachable(family, question, answer);
    replace(skb, answer)
}

#[inline(always)]
fn replace<const N: usize>(skb: &Skb, frame: &[u8; N]) -> Result<(), Drop> {
    skb.resize(N as u32).map_err(|_| Drop::RewriteFailed)?;
    skb.store(0, frame).map_err(|_| Drop::RewriteFailed)
}
