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

/// Reads them; none if it is not IP.
#[inline(always)]
pub(crate) fn head(skb: u64, layout: &Layout, start: Start) -> Option<Head> {
    let at = match start {
        Start::Data => read::<u64>(skb, layout.data)?,
        Start::Header => {
            let begin: u64 = read(skb, layout.head)?;
            begin.wrapping_add(u64::from(read::<u16>(skb, layout.network_header)?))
        }
    };
    // Of a short IPv4 packet, the words behind its end are read and not looked at.
    let words: [u32; 10] = read(at, 0)?;
    match words[0].to_ne_bytes()[0] >> 4 {
        4 => {
            let [a, b, c, d, e, ..] = words;
            let header = ipv4::Header::new([a, b, c, d, e])?;
            let ends = (header.source(), header.destination());
            let transport = match header.is_later_fragment() {
                true => None,
                false => Some(header.header_len() as u16),
            };
            Some(tuple(at, transport, ends, header.protocol()))
        }
        6 => {
            let [a, b, s0, s1, s2, s3, d0, d1, d2, d3] = words;
            let header = ipv6::Header::new([a, b])?;
            let ends = (
                Ip::from_words([s0, s1, s2, s3]),
                Ip::from_words([d0, d1, d2, d3]),
            );
            let transport = Some(ipv6::LEN as u16);
            Some(tuple(at, transport, ends, header.next_header()))
        }
        _ => None,
    }
}

#[inline(always)]
fn tuple(at: u64, transport: Option<u16>, (source, destination): (Ip, Ip), number: u8) -> Head {
    let has_ports = matches!(number, protocol::TCP | protocol::UDP | protocol::SCTP);
    let transport = transport.filter(|_| has_ports);
    let read_ports = transport.and_then(|offset| read::<[u8; 4]>(at, offset));
    let (from, to) = read_ports.map_or((Port::new(0), Port::new(0)), ports);
    let flags = transport.filter(|_| number == protocol::TCP);
    let flags = flags.and_then(|offset| read::<u8>(at, offset + TCP_FLAGS as u16));
    Head {
        tuple: FlowKey::new((source, from), (destination, to), number),
        tcp_flags: flags.unwrap_or(0),
    }
}
