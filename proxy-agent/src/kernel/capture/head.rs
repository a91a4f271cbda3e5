//! The tuple of a packet, read from the bytes at its head.

use packet::transport::ports;
use packet::{ipv4, ipv6};
use proxy_abi::{FlowKey, Ip, protocol};

/// The tuple of a packet that begins with its IP header; none if it has no ports.
pub(super) fn tuple(head: &[u8]) -> Option<FlowKey> {
    let words = |at: usize| {
        let bytes = head.get(at..at + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let (source, destination, number, length) = match head.first()? >> 4 {
        4 => {
            let header = [words(0)?, words(4)?, words(8)?, words(12)?, words(16)?];
            let header = ipv4::Header::new(header)?;
            let length = header.header_len() as usize;
            let ends = (header.source(), header.destination());
            (ends.0, ends.1, header.protocol(), length)
        }
        6 => {
            let header = ipv6::Header::new([words(0)?, words(4)?])?;
            let address = |at: usize| {
                let words = [words(at)?, words(at + 4)?, words(at + 8)?, words(at + 12)?];
                Some(Ip::from_words(words))
            };
            let ends = (
                address(ipv6::SOURCE as usize)?,
                address(ipv6::DESTINATION as usize)?,
            );
            (ends.0, ends.1, header.next_header(), ipv6::LEN)
        }
        _ => return None,
    };
    if ![protocol::TCP, protocol::UDP].contains(&number) {
        return None;
    }
    let (from, to) = ports(words(length)?.to_ne_bytes());
    Some(FlowKey::new((source, from), (destination, to), number))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proxy_abi::Port;

    use super::*;

    #[test]
    fn a_tuple_is_read_behind_the_ip_header_of_either_family() {
        let mut v4 = vec![0; 24];
        v4[0] = 0x45;
        v4[9] = protocol::UDP;
        v4[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        v4[20..24].copy_from_slice(&[0x1f, 0x90, 0, 53]);
        let end = |last, port| (Ip::v4([10, 0, 0, last]), Port::new(port));
        let expected = FlowKey::new(end(1, 8080), end(2, 53), protocol::UDP);
        assert_eq!(tuple(&v4), Some(expected));
        v4[9] = protocol::ICMP;
        assert_eq!(tuple(&v4), None, "no ports");
        assert_eq!(tuple(&v4[..10]), None, "cut off");
        let mut v6 = vec![0; 44];
        v6[0] = 0x60;
        v6[6] = protocol::TCP;
        v6[23] = 1;
        v6[39] = 2;
        v6[40..44].copy_from_slice(&[0, 80, 0x9c, 0x40]);
        let found = tuple(&v6).expect("a tuple");
        let ends = (IpAddr::from(found.source), IpAddr::from(found.destination));
        assert_eq!(
            ends,
            ("::1".parse().expect("v6"), "::2".parse().expect("v6"))
        );
        assert_eq!(
            (found.source_port.number(), found.destination_port.number()),
            (80, 40_000)
        );
    }
}
