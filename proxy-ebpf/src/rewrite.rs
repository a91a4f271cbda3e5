//! Writes another address and port into a packet, and makes its checksums right.

use packet::{Family, ethernet, ipv4, ipv6, transport};
use proxy_abi::{Flow, Ip, Part, Port, protocol};

use crate::parse::Packet;
use crate::skb::{Checksum, Failed, Skb};
use crate::verdict::Drop;

const IP: u32 = ethernet::LEN as u32;

/// Rewrites the part of the packet that `flow` names.
#[inline(always)]
pub(crate) fn rewrite(skb: &Skb, packet: &Packet, flow: &Flow) -> Result<(), Drop> {
    let checksum = transport::checksum_offset(packet.key.protocol).ok_or(Drop::RewriteFailed)?;
    let checksum = Checksum {
        offset: packet.transport + checksum,
        optional: packet.key.protocol == protocol::UDP,
    };
    let (from, port_at) = match flow.part() {
        Part::Source => (
            (packet.key.source, packet.key.source_port),
            packet.transport,
        ),
        Part::Destination => (
            (packet.key.destination, packet.key.destination_port),
            packet.transport + 2,
        ),
    };
    let to = flow.target();
    let address_at = IP + address_offset(packet.family, flow.part());
    // The transport checksum covers the address too, as part of the pseudo header.
    let done = match packet.family {
        Family::V4 => write_v4(skb, &checksum, address_at, from.0, to.0),
        Family::V6 => write_v6(skb, &checksum, address_at, from.0, to.0),
    };
    done.and_then(|()| write_port(skb, &checksum, port_at, from.1, to.1))
        .map_err(|_| Drop::RewriteFailed)
}

#[inline(always)]
fn address_offset(family: Family, part: Part) -> u32 {
    match (family, part) {
        (Family::V4, Part::Source) => ipv4::SOURCE,
        (Family::V4, Part::Destination) => ipv4::DESTINATION,
        (Family::V6, Part::Source) => ipv6::SOURCE,
        (Family::V6, Part::Destination) => ipv6::DESTINATION,
    }
}

#[inline(always)]
fn write_v4(skb: &Skb, checksum: &Checksum, at: u32, from: Ip, to: Ip) -> Result<(), Failed> {
    skb.patch_pseudo(checksum, from.low(), to.low())?;
    skb.patch_ip(IP + ipv4::CHECKSUM, from.low(), to.low())?;
    skb.store(at, &to.low().to_ne_bytes())
}

/// Word by word: the helper takes four bytes at a time, and IPv6 has no header checksum.
#[inline(always)]
fn write_v6(skb: &Skb, checksum: &Checksum, at: u32, from: Ip, to: Ip) -> Result<(), Failed> {
    let (from, octets, to) = (from.words(), to.octets(), to.words());
    skb.patch_pseudo(checksum, from[0], to[0])?;
    skb.patch_pseudo(checksum, from[1], to[1])?;
    skb.patch_pseudo(checksum, from[2], to[2])?;
    skb.patch_pseudo(checksum, from[3], to[3])?;
    skb.store(at, &octets)
}

#[inline(always)]
fn write_port(skb: &Skb, checksum: &Checksum, at: u32, from: Port, to: Port) -> Result<(), Failed> {
    skb.patch_port(checksum, from, to)?;
    skb.store(at, &to.wire())
}
