//! What a packet's headers say, read from the kernel's structure of it.

use ::packet::transport::{TCP_FLAGS, ports};
use ::packet::{ipv4, ipv6};
use proxy_abi::trace::Layout;
use proxy_abi::{FlowKey, Ip, Port, protocol};

use crate::memory::read;

/// Where in a packet the IP header is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Where its data begins.
    Data,
    /// Where the kernel has noted it.
    Header,
}

/// The headers of a packet.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) tuple: FlowKey,
    pub(crate) tcp_flags: u8,
}

/// Where the transport header is, and of which protocol it is; 0 where there is none.
struct Transport {
    at: u64,
    protocol: u8,
}

/// Reads them; none if it is not IP.
#[inline(always)]
pub(crate) fn head(skb: u64, layout: &Layout, start: Start) -> Option<Head> {
    let at = match start {
        Start::Data => read::<u64>(skb, layout.data),
        Start::Header => {
            let header = read::<u16>(skb, layout.network_header);
            read::<u64>(skb, layout.head).wrapping_add(u64::from(header))
        }
    };
    // Of a short IPv4 packet, the words behind its end are read and not looked at.
    let words: [u32; 10] = read(at, 0);
    let (ends, number, transport) = match words[0].to_ne_bytes()[0] >> 4 {
        4 => v4(at, words)?,
        6 => v6(at, words)?,
        _ => return None,
    };
    let has_ports = matches!(
        transport.protocol,
        protocol::TCP | protocol::UDP | protocol::SCTP
    );
    let (from, to) = match has_ports {
        true => ports(read(transport.at, 0)),
        false => (Port::new(0), Port::new(0)),
    };
    let (source, destination) = ends;
    Some(Head {
        tuple: FlowKey::new((source, from), (destination, to), number),
        tcp_flags: match transport.protocol {
            protocol::TCP => read(transport.at, TCP_FLAGS as u16),
            _ => 0,
        },
    })
}

#[inline(always)]
fn v4(at: u64, words: [u32; 10]) -> Option<((Ip, Ip), u8, Transport)> {
    let [a, b, c, d, e, ..] = words;
    let header = ipv4::Header::new([a, b, c, d, e])?;
    let number = header.protocol();
    let transport = Transport {
        at: at.wrapping_add(header.header_len().into()),
        protocol: match header.is_later_fragment() {
            true => 0,
            false => number,
        },
    };
    Some(((header.source(), header.destination()), number, transport))
}

#[inline(always)]
fn v6(at: u64, words: [u32; 10]) -> Option<((Ip, Ip), u8, Transport)> {
    let [a, b, s0, s1, s2, s3, d0, d1, d2, d3] = words;
    let number = ipv6::Header::new([a, b])?.next_header();
    let source = Ip::from_words([s0, s1, s2, s3]);
    let destination = Ip::from_words([d0, d1, d2, d3]);
    let transport = Transport {
        at: at.wrapping_add(ipv6::LEN as u64),
        protocol: number,
    };
    Some(((source, destination), number, transport))
}
