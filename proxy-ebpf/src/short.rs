//! The short walk of a segment whose connection has lately taken the whole one, and needed nothing
//! but a way: one read, one look-up, gone. Most packets of a cluster are such.
//!
//! Only TCP segments of a connection that has begun: what opens one (or answers that) is looked at
//! in full, so that a Service is met at the first packet. A way is remembered of a segment that
//! does not end its connection either, and gives way to a flow.

use packet::{ethernet, ipv4, ipv6, transport};
use proxy_abi::{FlowKey, Ip, Way, protocol};

use crate::maps::{self, Workspace};
use crate::parse::{Content, Packet};
use crate::skb::{Failed, Side, Skb};
use crate::translate::Outcome;

/// TCP flags of a segment after which there will be few.
const ENDS: u8 = transport::FIN | transport::RST;

/// Words of a frame's head: 2 bytes of nothing, so that the IP header is aligned, then Ethernet,
/// IP without options and TCP up to its flags.
const WORDS_V4: usize = (2 + ethernet::LEN + ipv4::LEN + 16) / 4;
const WORDS_V6: usize = (2 + ethernet::LEN + ipv6::LEN + 16) / 4;
/// The word in which the IP header begins.
const IP: usize = (2 + ethernet::LEN) / 4;

/// What the head of a segment says.
struct Segment {
    key: FlowKey,
    /// The sender's Ethernet address, see [`halves`].
    sender: (u32, u16),
    hops: u8,
}

/// Sends a segment on its way if one is remembered; whether it went.
///
/// A function of its own, for the sake of the caller's stack.
#[inline(never)]
pub(crate) fn walk(skb: &Skb, from_pod: bool) -> Result<bool, Failed> {
    let segment = match skb.ether_type() {
        ethernet::TYPE_IPV4 => v4(skb),
        ethernet::TYPE_IPV6 => v6(skb),
        _ => None,
    };
    let Some(segment) = segment else {
        return Ok(false);
    };
    let Some(Workspace { room, .. }) = maps::workspace() else {
        return Ok(false);
    };
    let way = &mut room.way;
    if !maps::way(&segment.key, way) {
        return Ok(false);
    }
    if way.arrives != skb.ifindex() || (from_pod && halves(&way.sender) != segment.sender) {
        return Ok(false);
    }
    if !way.is_out() {
        skb.redirect_to_peer(way.ifindex);
        return Ok(true);
    }
    if segment.hops <= 1 || !skb.fits(way.longest) {
        return Ok(false);
    }
    skb.store(0, &way.addresses)?;
    skb.spend_hop(family(&segment.key.source), segment.hops)?;
    if way.is_inside() {
        skb.mark_done();
    }
    skb.redirect(way.ifindex, Side::Out);
    Ok(true)
}

/// Whether the way of this packet, which has taken the whole walk, can be remembered.
#[inline(always)]
pub(crate) fn is_lasting(packet: &Packet, outcome: Outcome) -> bool {
    outcome == Outcome::Pass
        && packet.content == Content::Continuing
        && packet.key.protocol == protocol::TCP
        && packet.flags & (transport::SYN | ENDS) == 0
}

/// Completes `way`, which says where the packet went, and remembers it.
#[inline(always)]
pub(crate) fn remember(skb: &Skb, packet: &Packet, way: &mut Way, sender: [u8; 6]) {
    way.arrives = skb.ifindex();
    way.longest = skb.len();
    way.sender = sender;
    maps::remember_way(&packet.key, way);
}

#[inline(always)]
fn family(source: &Ip) -> packet::Family {
    if source.is_v4() {
        packet::Family::V4
    } else {
        packet::Family::V6
    }
}

#[inline(always)]
fn v4(skb: &Skb) -> Option<Segment> {
    let head: [u32; WORDS_V4] = skb.load_aligned().ok()?;
    let ip = [
        head[IP],
        head[IP + 1],
        head[IP + 2],
        head[IP + 3],
        head[IP + 4],
    ];
    let ip = ipv4::Header::new(ip)?;
    let plain = ip.header_len() == ipv4::LEN as u32 && !ip.is_fragment();
    if !plain || ip.protocol() != protocol::TCP {
        return None;
    }
    let tcp = [head[IP + 5], head[IP + 8]];
    finish(&head, (ip.source(), ip.destination()), tcp, ip.ttl())
}

#[inline(always)]
fn v6(skb: &Skb) -> Option<Segment> {
    let head: [u32; WORDS_V6] = skb.load_aligned().ok()?;
    let ip = ipv6::Header::new([head[IP], head[IP + 1]])?;
    if ip.next_header() != protocol::TCP {
        return None;
    }
    let address = |at: usize| Ip::from_words([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let tcp = [head[IP + 10], head[IP + 13]];
    finish(
        &head,
        (address(IP + 2), address(IP + 6)),
        tcp,
        ip.hop_limit(),
    )
}

/// `tcp` is the word of the ports and the one with the flags.
#[inline(always)]
fn finish<const N: usize>(
    head: &[u32; N],
    (source, destination): (Ip, Ip),
    tcp: [u32; 2],
    hops: u8,
) -> Option<Segment> {
    let flags = tcp[1].to_ne_bytes()[1];
    if flags & transport::SYN != 0 {
        return None;
    }
    let (from, to) = transport::ports(tcp[0].to_ne_bytes());
    // The sender's address stands at bytes 8 to 14 of the head.
    let [e, f, _, _] = head[3].to_ne_bytes();
    Some(Segment {
        key: FlowKey::new((source, from), (destination, to), protocol::TCP),
        sender: (head[2], u16::from_ne_bytes([e, f])),
        hops,
    })
}

/// An Ethernet address as a word and a half, to be compared in two steps.
#[inline(always)]
fn halves(address: &[u8; 6]) -> (u32, u16) {
    let [a, b, c, d, e, f] = *address;
    (u32::from_ne_bytes([a, b, c, d]), u16::from_ne_bytes([e, f]))
}
