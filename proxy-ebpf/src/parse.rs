//! Bytes to flow: what the proxy needs to know of a packet, read once.

use packet::{ethernet, ipv4, transport};
use proxy_abi::{FlowKey, protocol};

use crate::skb::Skb;
use crate::verdict::Drop;

/// A TCP or UDP packet over IPv4.
pub(crate) struct Packet {
    /// The tuple as the packet shows it.
    pub(crate) key: FlowKey,
    /// Offset of the transport header in the frame.
    pub(crate) transport: u32,
    /// Whether the packet opens a conversation: a SYN, or any datagram.
    pub(crate) opens: bool,
}

/// The packet, or `None` if it is nothing that a Service could concern.
///
/// A fragment other than the first has no ports and passes untouched.
#[inline(always)]
pub(crate) fn parse(skb: &Skb) -> Result<Option<Packet>, Drop> {
    if skb.ether_type() != ethernet::TYPE_IPV4 {
        return Ok(None);
    }
    let bytes = skb
        .load(ethernet::LEN as u32)
        .map_err(|_| Drop::Malformed)?;
    let ip = ipv4::Header::new(bytes).ok_or(Drop::Malformed)?;
    if ip.is_later_fragment() {
        return Ok(None);
    }
    let transport = ethernet::LEN as u32 + ip.header_len();
    let (ports, opens) = match ip.protocol() {
        protocol::TCP => {
            let head: [u8; transport::TCP_PREFIX] =
                skb.load(transport).map_err(|_| Drop::Malformed)?;
            (
                [head[0], head[1], head[2], head[3]],
                transport::opens(head[13]),
            )
        }
        protocol::UDP => (skb.load(transport).map_err(|_| Drop::Malformed)?, true),
        _ => return Ok(None),
    };
    let (source, destination) = transport::ports(ports);
    let key = FlowKey::new(
        (ip.source(), source),
        (ip.destination(), destination),
        ip.protocol(),
    );
    Ok(Some(Packet {
        key,
        transport,
        opens,
    }))
}
