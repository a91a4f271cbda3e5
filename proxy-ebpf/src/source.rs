//! Whether a pod may send what it sends: only from its own addresses, and its own Ethernet
//! address.

use packet::{Family, ethernet};
use proxy_abi::protocol;

use crate::maps;
use crate::parse::Packet;
use crate::skb::Skb;
use crate::verdict::Drop;

/// Next header of hop-by-hop options (RFC 8200 section 4.3).
const HOP_BY_HOP: u8 = 0;

/// Checks a packet that a pod sent, and says whether the pod's packets must stay on the node's
/// stack.
///
/// Neighbour discovery from an address that is no pod's (`::`, `fe80::/10`) is for the node's
/// stack, which sends it nowhere else.
#[inline(always)]
pub(crate) fn check(skb: &Skb, packet: &Packet) -> Result<bool, Drop> {
    let sender: [u16; 3] = skb
        .load(ethernet::SOURCE as u32)
        .map_err(|_| Drop::Malformed)?;
    match maps::pod(&packet.key.source) {
        Some(pod) if pod.ifindex == skb.ifindex() && halves(pod.mac) == sender => {
            Ok(pod.is_shaped())
        }
        _ if is_link_talk(packet) => Ok(true),
        _ => Err(Drop::ForgedSource),
    }
}

/// ICMPv6 between an interface and its link; multicast listener reports have a hop-by-hop header
/// before it (RFC 3810 section 5).
#[inline(always)]
fn is_link_talk(packet: &Packet) -> bool {
    let (high, low) = packet.key.source.halves();
    let link_local = high >> 54 == 0xfe80 >> 6;
    packet.family == Family::V6
        && matches!(packet.key.protocol, protocol::ICMP6 | HOP_BY_HOP)
        && (link_local || (high, low) == (0, 0))
}

/// An Ethernet address as three half words, to be compared in three steps.
#[inline(always)]
fn halves([a, b, c, d, e, f]: [u8; 6]) -> [u16; 3] {
    [
        u16::from_ne_bytes([a, b]),
        u16::from_ne_bytes([c, d]),
        u16::from_ne_bytes([e, f]),
    ]
}
