//! Frames that are given to programs, and what programs made of them. Pure.

use std::net::{Ipv4Addr, SocketAddrV4};

/// TCP flags.
pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

const ETHERNET: usize = 14;
const IP: usize = 20;
const TCP: usize = 20;

/// An Ethernet address.
pub(super) type Mac = [u8; 6];

/// A TCP segment without payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) macs: (Mac, Mac),
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) flags: u8,
}

impl Segment {
    /// The frame. The checksum of TCP is left at zero: programs adapt it and never read it.
    pub(super) fn frame(&self) -> Vec<u8> {
        let Self {
            macs: (sender, receiver),
            from,
            to,
            flags,
        } = self;
        let mut frame = [&receiver[..], sender, &[8, 0]].concat();
        // Version and length, total length, identification, don't fragment, hops, protocol.
        frame.extend([0x45, 0, 0, (IP + TCP) as u8, 0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(from.ip().octets());
        frame.extend(to.ip().octets());
        let checksum = ip_checksum(&frame[ETHERNET..]);
        frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&checksum.to_be_bytes());
        frame.extend(from.port().to_be_bytes());
        frame.extend(to.port().to_be_bytes());
        // Sequence numbers, header length, flags, window, checksum, urgent pointer.
        frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, *flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame
    }
}

/// RFC 1071, over a header whose own checksum is still zero.
fn ip_checksum(header: &[u8]) -> u16 {
    let words = header
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// From whom and to whom a frame of IPv4 and TCP is.
pub(super) fn ends(frame: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let bytes = frame.get(ETHERNET + 12..ETHERNET + IP + 4)?;
    let address = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    Some((
        SocketAddrV4::new(address(0), port(8)),
        SocketAddrV4::new(address(4), port(10)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_whose_it_is_and_its_checksum_is_right() {
        let (from, to) = ("10.1.2.3:4", "10.5.6.7:80");
        let segment = Segment {
            macs: ([2; 6], [4; 6]),
            from: from.parse().expect("an address"),
            to: to.parse().expect("an address"),
            flags: SYN,
        };
        let frame = segment.frame();
        assert_eq!(frame.len(), 54);
        assert_eq!(ends(&frame), Some((segment.from, segment.to)));
        // A header together with its checksum sums up to nothing.
        assert_eq!(ip_checksum(&frame[14..34]), 0);
        assert_eq!(ends(&frame[..30]), None);
    }
}
