//! Writes another address and port into a packet, and makes its checksums right.

use packet::{ethernet, ipv4, transport};
use proxy_abi::{Flow, Part};

use crate::parse::Packet;
use crate::skb::{Failed, Skb};
use crate::verdict::Drop;

const IP: u32 = ethernet::LEN as u32;

/// Rewrites the part of the packet that `flow` names.
#[inline(always)]
pub(crate) fn rewrite(skb: &Skb, packet: &Packet, flow: &Flow) -> Result<(), Drop> {
    let checksum = transport::checksum_offset(packet.key.protocol).ok_or(Drop::RewriteFailed)?;
    let (address_at, port_at, old, old_port) = match flow.part() {
        Part::Source => (
            IP + ipv4::SOURCE,
            packet.transport,
            packet.key.source,
            packet.key.source_port,
        ),
        Part::Destination => (
            IP + ipv4::DESTINATION,
            packet.transport + 2,
            packet.key.destination,
            packet.key.destination_port,
        ),
    };
    let (new, new_port) = flow.target();
    let address = Change {
        at: address_at,
        from: old.low(),
        to: new.low(),
    };
    let port = Change {
        at: port_at,
        from: old_port.wire(),
        to: new_port.wire(),
    };
    write(skb, packet.transport + checksum, &address, &port).map_err(|_| Drop::RewriteFailed)
}

/// Bytes that change, at an offset of the frame.
struct Change<const N: usize> {
    at: u32,
    from: [u8; N],
    to: [u8; N],
}

#[inline(always)]
fn write(skb: &Skb, checksum: u32, address: &Change<4>, port: &Change<2>) -> Result<(), Failed> {
    // The transport checksum first: it covers the address too, as part of the pseudo header.
    skb.patch_pseudo(checksum, address.from, address.to)?;
    skb.patch_transport(checksum, port.from, port.to)?;
    skb.patch_ip(IP + ipv4::CHECKSUM, address.from, address.to)?;
    skb.store(address.at, &address.to)?;
    skb.store(port.at, &port.to)?;
    Ok(())
}
