//! What the proxy reads of TCP (RFC 9293 section 3.1) and UDP (RFC 768) headers.

use proxy_abi::{Port, protocol};

use crate::icmp;

/// Offset of the flags in a TCP header.
pub const TCP_FLAGS: u32 = 13;
/// TCP flag: no more data from the sender.
pub const FIN: u8 = 0x01;
/// TCP flag: synchronise sequence numbers.
pub const SYN: u8 = 0x02;
/// TCP flag: reset the connection.
pub const RST: u8 = 0x04;
/// TCP flag: the acknowledgement field counts.
pub const ACK: u8 = 0x10;

/// Offset of the checksum from the start of the transport header; `None` for a protocol that the
/// proxy does not translate.
#[inline(always)]
#[must_use]
pub fn checksum_offset(protocol: u8) -> Option<u32> {
    match protocol {
        protocol::TCP => Some(16),
        protocol::UDP => Some(6),
        protocol::ICMP | protocol::ICMP6 => Some(icmp::CHECKSUM),
        _ => None,
    }
}

/// The two ports with which every transport header of ours begins: source, destination.
#[inline(always)]
#[must_use]
pub fn ports(bytes: [u8; 4]) -> (Port, Port) {
    let [a, b, c, d] = bytes;
    (Port::from_wire([a, b]), Port::from_wire([c, d]))
}

/// Whether these TCP flags open a connection (SYN without ACK).
#[inline(always)]
#[must_use]
pub fn opens(flags: u8) -> bool {
    flags & (SYN | ACK | RST) == SYN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_in_network_order() {
        let (source, destination) = ports([0x9c, 0x40, 0x00, 0x35]);
        assert_eq!((source.number(), destination.number()), (40_000, 53));
    }

    #[test]
    fn only_a_bare_syn_opens() {
        assert!(opens(SYN));
        assert!(!opens(SYN | ACK));
        assert!(!opens(ACK));
        assert!(!opens(SYN | RST));
    }

    #[test]
    fn checksums_stand_where_the_rfcs_say() {
        assert_eq!(checksum_offset(protocol::TCP), Some(16));
        assert_eq!(checksum_offset(protocol::UDP), Some(6));
        assert_eq!(checksum_offset(protocol::ICMP6), Some(2));
        assert_eq!(checksum_offset(47), None);
    }
}
