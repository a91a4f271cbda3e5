//! Writes another tuple into a packet, and makes its checksums right. Only what differs is touched.

use packet::{Family, ethernet, icmp, ipv4, ipv6, sctp, transport};
use proxy_abi::{FlowKey, Ip, Port, protocol};

use crate::parse::{Content, Packet};
use crate::skb::{Checksum, Failed, Skb};
use crate::verdict::Drop;

const IP: u32 = ethernet::LEN as u32;

/// An end of a packet.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Source,
    Destination,
}

/// Writes the tuple `to` where the packet shows `packet.key`.
///
/// A function of its own, for the sake of the caller's stack.
#[inline(never)]
pub(crate) fn rewrite(skb: &Skb, packet: &Packet, to: &FlowKey) -> Result<(), Drop> {
    let checksum = checksum(packet);
    let key = &packet.key;
    let changes = [
        (End::Source, key.from(), to.from()),
        (End::Destination, key.towards(), to.towards()),
    ];
    for (end, from, to) in changes {
        if from.0 != to.0 {
            let field = Field {
                family: packet.family,
                ip: IP,
                end,
            };
            write_address(skb, &field, checksum.as_ref(), (from.0, to.0))
                .map_err(|_| Drop::RewriteFailed)?;
        }
        if from.1 == to.1 || packet.content == Content::Fragment {
            continue;
        }
        if key.protocol == protocol::SCTP {
            let at = packet.transport + port_offset(key.protocol, end);
            skb.store(at, &to.1.wire())
                .map_err(|_| Drop::RewriteFailed)?;
        } else if let Some(checksum) = &checksum {
            let at = packet.transport + port_offset(key.protocol, end);
            write_port(skb, checksum, at, from.1, to.1).map_err(|_| Drop::RewriteFailed)?;
        }
    }
    Ok(())
}

/// Makes the checksum of an SCTP packet right that has been rewritten from `packet.key` to `to`.
#[inline(always)]
pub(crate) fn finish_sctp(skb: &Skb, packet: &Packet, to: &FlowKey) -> Result<(), Drop> {
    if packet.key.protocol != protocol::SCTP || packet.content == Content::Fragment {
        return Ok(());
    }
    patch_sctp(skb, packet, to).map_err(|_| Drop::RewriteFailed)
}

/// A function of its own, for the sake of the caller's stack.
#[inline(never)]
fn patch_sctp(skb: &Skb, packet: &Packet, to: &FlowKey) -> Result<(), Failed> {
    let ports = |key: &FlowKey| {
        let ([a, b], [c, d]) = (key.source_port.wire(), key.destination_port.wire());
        [a, b, c, d]
    };
    let (from, to) = (ports(&packet.key), ports(to));
    if from == to {
        return Ok(());
    }
    // Frames may be padded, so the length is the IP header's word.
    let (length_at, before) = match packet.family {
        Family::V4 => (IP + ipv4::TOTAL_LENGTH, packet.transport - IP),
        Family::V6 => (
            IP + ipv6::PAYLOAD_LENGTH,
            packet.transport - IP - ipv6::LEN as u32,
        ),
    };
    let [length] = skb.load::<u16, 1>(length_at)?;
    let len = u32::from(u16::from_be(length)).wrapping_sub(before);
    let at = packet.transport + sctp::CHECKSUM;
    let [sum] = skb.load::<u32, 1>(at)?;
    let difference = u32::from_ne_bytes(sctp::difference(from, to, len & 0xffff));
    skb.store(at, &(sum ^ difference).to_ne_bytes())
}

/// Where the packet's transport checksum stands; a later fragment has none (the first one's covers
/// the datagram).
#[inline(always)]
fn checksum(packet: &Packet) -> Option<Checksum> {
    if packet.content == Content::Fragment {
        return None;
    }
    let offset = transport::checksum_offset(packet.key.protocol)?;
    Some(Checksum {
        offset: packet.transport + offset,
        optional: packet.key.protocol == protocol::UDP,
        // Of our protocols ICMP alone leaves the addresses out (RFC 792).
        with_addresses: packet.key.protocol != protocol::ICMP,
    })
}

/// Offset of an end's port in the transport header, or of what stands for it.
#[inline(always)]
pub(crate) fn port_offset(protocol: u8, end: End) -> u32 {
    match (protocol, end) {
        (protocol::ICMP | protocol::ICMP6, _) => icmp::IDENTIFIER,
        (_, End::Source) => 0,
        (_, End::Destination) => 2,
    }
}

/// Offset of an end's address in the IP header.
#[inline(always)]
fn address_offset(family: Family, end: End) -> u32 {
    match (family, end) {
        (Family::V4, End::Source) => ipv4::SOURCE,
        (Family::V4, End::Destination) => ipv4::DESTINATION,
        (Family::V6, End::Source) => ipv6::SOURCE,
        (Family::V6, End::Destination) => ipv6::DESTINATION,
    }
}

/// An address in an IP header.
pub(crate) struct Field {
    /// The header's family.
    pub(crate) family: Family,
    /// Where the header begins.
    pub(crate) ip: u32,
    /// Which of the two it is.
    pub(crate) end: End,
}

/// Writes another address into an IP header, and patches that header's checksum and the
/// transport's, which covers the address as part of the pseudo header.
#[inline(always)]
pub(crate) fn write_address(
    skb: &Skb,
    field: &Field,
    checksum: Option<&Checksum>,
    (from, to): (Ip, Ip),
) -> Result<(), Failed> {
    let checksum = checksum.filter(|checksum| checksum.with_addresses);
    let at = field.ip + address_offset(field.family, field.end);
    match field.family {
        Family::V4 => {
            if let Some(checksum) = checksum {
                skb.patch_pseudo(checksum, from.low(), to.low())?;
            }
            skb.patch_ip(field.ip + ipv4::CHECKSUM, from.low(), to.low())?;
            skb.store(at, &to.low().to_ne_bytes())
        }
        Family::V6 => {
            // Word by word: the helper takes four bytes at a time; and no header checksum.
            let (from, octets, to) = (from.words(), to.octets(), to.words());
            if let Some(checksum) = checksum {
                skb.patch_pseudo(checksum, from[0], to[0])?;
                skb.patch_pseudo(checksum, from[1], to[1])?;
                skb.patch_pseudo(checksum, from[2], to[2])?;
                skb.patch_pseudo(checksum, from[3], to[3])?;
            }
            skb.store(at, &octets)
        }
    }
}

#[inline(always)]
fn write_port(skb: &Skb, checksum: &Checksum, at: u32, from: Port, to: Port) -> Result<(), Failed> {
    skb.patch_port(checksum, from, to)?;
    skb.store(at, &to.wire())
}
