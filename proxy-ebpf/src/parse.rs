//! Bytes to tuple: what the proxy needs to know of a packet, read once.

use packet::{Family, ethernet, ipv4, ipv6, transport};
use proxy_abi::{FlowKey, Ip, protocol};

use crate::skb::Skb;
use crate::verdict::Drop;

/// An IP packet.
pub(crate) struct Packet {
    /// Its family.
    pub(crate) family: Family,
    /// The tuple as the packet shows it; the ports are 0 where `content` says that it has none.
    pub(crate) key: FlowKey,
    /// Offset of what follows the IP header.
    pub(crate) transport: u32,
    /// What it carries, as far as the proxy cares.
    pub(crate) content: Content,
    /// Hops that it may still take.
    pub(crate) hops: u8,
}

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A datagram, or a SYN: it may open a conversation.
    Opening,
    /// A later segment of a connection.
    Continuing,
    /// Something without ports, or a fragment other than the first.
    NoPorts,
}

const IP: u32 = ethernet::LEN as u32;

/// The packet, or `None` if it is not IP.
#[inline(always)]
pub(crate) fn parse(skb: &Skb) -> Result<Option<Packet>, Drop> {
    match skb.ether_type() {
        ethernet::TYPE_IPV4 => parse_v4(skb).map(Some),
        ethernet::TYPE_IPV6 => parse_v6(skb).map(Some),
        _ => Ok(None),
    }
}

#[inline(always)]
fn parse_v4(skb: &Skb) -> Result<Packet, Drop> {
    let words: [u32; 5] = skb.load(IP).map_err(|_| Drop::Malformed)?;
    let ip = ipv4::Header::new(words).ok_or(Drop::Malformed)?;
    let network = Network {
        family: Family::V4,
        source: ip.source(),
        destination: ip.destination(),
        protocol: ip.protocol(),
        transport: IP + ip.header_len(),
        whole: !ip.is_later_fragment(),
        hops: ip.ttl(),
    };
    finish(skb, network)
}

/// An IPv6 packet whose next header is an extension header counts as one without ports: no
/// Service is concerned, and the stack routes it.
#[inline(always)]
fn parse_v6(skb: &Skb) -> Result<Packet, Drop> {
    let words: [u32; 2] = skb.load(IP).map_err(|_| Drop::Malformed)?;
    let ip = ipv6::Header::new(words).ok_or(Drop::Malformed)?;
    let addresses: [Ip; 2] = skb.load(IP + ipv6::SOURCE).map_err(|_| Drop::Malformed)?;
    let network = Network {
        family: Family::V6,
        source: addresses[0],
        destination: addresses[1],
        protocol: ip.next_header(),
        transport: IP + ipv6::LEN as u32,
        whole: true,
        hops: ip.hop_limit(),
    };
    finish(skb, network)
}

/// What the headers before the transport header say.
struct Network {
    family: Family,
    source: Ip,
    destination: Ip,
    protocol: u8,
    transport: u32,
    whole: bool,
    hops: u8,
}

#[inline(always)]
fn finish(skb: &Skb, network: Network) -> Result<Packet, Drop> {
    let at = network.transport;
    let (ports, content) = match network.protocol {
        protocol::TCP if network.whole => {
            let head: [u32; 1] = skb.load(at).map_err(|_| Drop::Malformed)?;
            let flags: [u8; 1] = skb
                .load(at + transport::TCP_FLAGS)
                .map_err(|_| Drop::Malformed)?;
            let opens = transport::opens(flags[0]);
            (
                head,
                if opens {
                    Content::Opening
                } else {
                    Content::Continuing
                },
            )
        }
        protocol::UDP if network.whole => {
            (skb.load(at).map_err(|_| Drop::Malformed)?, Content::Opening)
        }
        _ => ([0], Content::NoPorts),
    };
    let (source, destination) = transport::ports(ports[0].to_ne_bytes());
    Ok(Packet {
        family: network.family,
        key: FlowKey::new(
            (network.source, source),
            (network.destination, destination),
            network.protocol,
        ),
        transport: at,
        content,
        hops: network.hops,
    })
}
