//! Bytes to tuple: what the proxy needs to know of a packet, read once.

use packet::icmp::Message;
use packet::{Family, ethernet, icmp, ipv4, ipv6, sctp, transport};
use proxy_abi::{FlowKey, FragmentKey, FragmentPorts, Ip, Port, protocol};

use crate::maps;
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
    /// TCP flags; 0 for another protocol.
    pub(crate) flags: u8,
    /// Hops that it may still take.
    pub(crate) hops: u8,
}

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A datagram, an echo request, a SYN or an INIT: it may open a conversation.
    Opening,
    /// A later segment of a connection, or an echo reply.
    Continuing,
    /// A fragment without transport header, whose ports are known from the first.
    Fragment,
    /// An ICMP error about another packet.
    Error,
    /// Something without ports.
    NoPorts,
}

const IP: u32 = ethernet::LEN as u32;

/// Reads the packet; whether it is IP.
///
/// A function of its own, as the others of this file that read much: what it holds on the stack is
/// gone when it returns.
#[inline(never)]
pub(crate) fn parse(skb: &Skb, packet: &mut Packet) -> Result<bool, Drop> {
    let piece = match skb.ether_type() {
        ethernet::TYPE_IPV4 => ip_v4(skb, IP, packet)?,
        ethernet::TYPE_IPV6 => ip_v6(skb, IP, packet)?,
        _ => return Ok(false),
    };
    let (ports, flags, content) = match piece {
        Piece::Later(id) => later(packet, id),
        Piece::Whole | Piece::First(_) => head(skb, packet)?,
    };
    packet.key.source_port = ports.source;
    packet.key.destination_port = ports.destination;
    packet.flags = flags;
    packet.content = content;
    if let Piece::First(id) = piece {
        maps::remember_ports(&datagram(packet, id), &ports);
    }
    Ok(true)
}

/// Reads the packet that an ICMP error carries at an offset into `carried`: its tuple, and the
/// offset of its transport header; whether there is enough of it and it has ports.
#[inline(never)]
pub(crate) fn parse_carried(skb: &Skb, family: Family, at: u32, carried: &mut Packet) -> bool {
    let piece = match family {
        Family::V4 => ip_v4(skb, at, carried),
        Family::V6 => ip_v6(skb, at, carried),
    };
    let Ok(Piece::Whole | Piece::First(_)) = piece else {
        return false;
    };
    let Ok(head) = skb.load::<u32, 2>(carried.transport) else {
        return false;
    };
    let ports = match carried.key.protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => both(head[0]),
        protocol::ICMP | protocol::ICMP6 => match echo(family, head) {
            Some((ports, _)) => ports,
            None => return false,
        },
        _ => return false,
    };
    carried.key.source_port = ports.source;
    carried.key.destination_port = ports.destination;
    true
}

/// What part of a datagram a packet is; fragments with their identification.
#[derive(Clone, Copy)]
enum Piece {
    Whole,
    First(u32),
    Later(u32),
}

#[inline(always)]
fn datagram(packet: &Packet, id: u32) -> FragmentKey {
    FragmentKey::new(
        packet.key.source,
        packet.key.destination,
        id,
        packet.key.protocol,
    )
}

const NO_PORT: Port = Port::new(0);

/// Reads an IPv4 header: family, addresses and protocol, offset of what follows, hops.
#[inline(always)]
fn ip_v4(skb: &Skb, at: u32, packet: &mut Packet) -> Result<Piece, Drop> {
    let words: [u32; 5] = skb.load(at).map_err(|_| Drop::Malformed)?;
    let ip = ipv4::Header::new(words).ok_or(Drop::Malformed)?;
    packet.family = Family::V4;
    packet.key = FlowKey::new(
        (ip.source(), NO_PORT),
        (ip.destination(), NO_PORT),
        ip.protocol(),
    );
    packet.transport = at + ip.header_len();
    packet.hops = ip.ttl();
    let id = u32::from(ip.identification());
    Ok(match (ip.is_fragment(), ip.is_later_fragment()) {
        (false, _) => Piece::Whole,
        (true, false) => Piece::First(id),
        (true, true) => Piece::Later(id),
    })
}

/// The same of an IPv6 header. A packet whose next header is an extension header other than a
/// fragment's counts as one without ports: no Service is concerned, and the stack routes it.
#[inline(always)]
fn ip_v6(skb: &Skb, at: u32, packet: &mut Packet) -> Result<Piece, Drop> {
    let words: [u32; 2] = skb.load(at).map_err(|_| Drop::Malformed)?;
    let ip = ipv6::Header::new(words).ok_or(Drop::Malformed)?;
    let addresses: [Ip; 2] = skb.load(at + ipv6::SOURCE).map_err(|_| Drop::Malformed)?;
    let mut transport = at + ipv6::LEN as u32;
    let (mut protocol, mut piece) = (ip.next_header(), Piece::Whole);
    if protocol == ipv6::FRAGMENT {
        let words: [u32; 2] = skb.load(transport).map_err(|_| Drop::Malformed)?;
        let fragment = ipv6::Fragment::new(words);
        let id = fragment.identification();
        protocol = fragment.next_header();
        transport += ipv6::Fragment::LEN as u32;
        piece = if fragment.is_later() {
            Piece::Later(id)
        } else {
            Piece::First(id)
        };
    }
    packet.family = Family::V6;
    packet.key = FlowKey::new((addresses[0], NO_PORT), (addresses[1], NO_PORT), protocol);
    packet.transport = transport;
    packet.hops = ip.hop_limit();
    Ok(piece)
}

/// Ports, TCP flags, and what the packet is.
type Head = (FragmentPorts, u8, Content);

#[inline(always)]
fn later(packet: &Packet, id: u32) -> Head {
    match maps::ports_of(&datagram(packet, id)) {
        Some(ports) => (ports, 0, Content::Fragment),
        None => (FragmentPorts::default(), 0, Content::NoPorts),
    }
}

#[inline(always)]
fn head(skb: &Skb, packet: &Packet) -> Result<Head, Drop> {
    let at = packet.transport;
    let nothing = (FragmentPorts::default(), 0, Content::NoPorts);
    Ok(match packet.key.protocol {
        protocol::TCP => {
            let head: [u32; 1] = skb.load(at).map_err(|_| Drop::Malformed)?;
            let [flags]: [u8; 1] = skb
                .load(at + transport::TCP_FLAGS)
                .map_err(|_| Drop::Malformed)?;
            let content = if transport::opens(flags) {
                Content::Opening
            } else {
                Content::Continuing
            };
            (both(head[0]), flags, content)
        }
        protocol::UDP => {
            let head: [u32; 1] = skb.load(at).map_err(|_| Drop::Malformed)?;
            (both(head[0]), 0, Content::Opening)
        }
        protocol::SCTP => {
            let head: [u32; 1] = skb.load(at).map_err(|_| Drop::Malformed)?;
            let [chunk]: [u8; 1] = skb.load(at + sctp::CHUNK).map_err(|_| Drop::Malformed)?;
            let content = if chunk == sctp::INIT {
                Content::Opening
            } else {
                Content::Continuing
            };
            (both(head[0]), 0, content)
        }
        protocol::ICMP | protocol::ICMP6 => {
            let head: [u32; 2] = skb.load(at).map_err(|_| Drop::Malformed)?;
            match echo(packet.family, head) {
                Some((ports, content)) => (ports, 0, content),
                None if is_error(packet.family, head) => {
                    (FragmentPorts::default(), 0, Content::Error)
                }
                None => nothing,
            }
        }
        _ => nothing,
    })
}

/// The two ports with which a transport header begins.
#[inline(always)]
fn both(word: u32) -> FragmentPorts {
    let (source, destination) = transport::ports(word.to_ne_bytes());
    FragmentPorts {
        source,
        destination,
    }
}

#[inline(always)]
fn is_error(family: Family, head: [u32; 2]) -> bool {
    icmp::message(family, head[0].to_ne_bytes()[0]) == Message::Error
}

/// What stands for the ports of an echo message: its identifier, on the side that asks.
#[inline(always)]
fn echo(family: Family, head: [u32; 2]) -> Option<(FragmentPorts, Content)> {
    let [a, b, _, _] = head[1].to_ne_bytes();
    let identifier = Port::from_wire([a, b]);
    match icmp::message(family, head[0].to_ne_bytes()[0]) {
        Message::EchoRequest => Some((
            FragmentPorts {
                source: identifier,
                destination: NO_PORT,
            },
            Content::Opening,
        )),
        Message::EchoReply => Some((
            FragmentPorts {
                source: NO_PORT,
                destination: identifier,
            },
            Content::Continuing,
        )),
        Message::Error | Message::Other => None,
    }
}
