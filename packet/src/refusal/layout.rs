//! Where things stand in a frame of either family whose IP header is as short as it can be.

use crate::{Family, ethernet, ipv4, ipv6};

/// Offset of the IP header.
pub(super) const IP: usize = ethernet::LEN;

/// Bytes of a TCP segment's headers over IPv4, and of the reset that answers it.
pub const RESET_V4: usize = IP + ipv4::LEN + 20;
/// The same over IPv6.
pub const RESET_V6: usize = IP + ipv6::LEN + 20;
/// Bytes of a datagram over IPv4 that the answer is made of.
pub const UNREACHABLE_QUESTION_V4: usize = IP + ipv4::LEN + 8;
/// The same over IPv6.
pub const UNREACHABLE_QUESTION_V6: usize = IP + ipv6::LEN + 8;
/// Bytes of the ICMP error over IPv4: headers, and the quoted IP header and eight bytes (RFC 792).
pub const UNREACHABLE_V4: usize = UNREACHABLE_QUESTION_V4 + ipv4::LEN + 8;
/// The same over IPv6. RFC 4443 would have it quote more where it fits; sockets need no more.
pub const UNREACHABLE_V6: usize = UNREACHABLE_QUESTION_V6 + ipv6::LEN + 8;

/// Offsets in the frame.
pub(super) struct Layout {
    /// First byte of the IP header: version, and for IPv4 the header's length.
    pub(super) first_byte: u8,
    /// The length field.
    pub(super) length: usize,
    /// Bytes of the IP header that the length field counts.
    pub(super) length_covers: usize,
    /// Hop limit or time to live.
    pub(super) hop_limit: usize,
    /// Protocol or next header.
    pub(super) protocol: usize,
    /// Header checksum, where there is one.
    pub(super) checksum: Option<usize>,
    /// Source address; the destination follows it.
    pub(super) source: usize,
    /// Bytes of an address.
    pub(super) address: usize,
    /// The transport header.
    pub(super) transport: usize,
}

impl Layout {
    #[inline(always)]
    pub(super) const fn of(family: Family) -> Self {
        match family {
            Family::V4 => Self {
                first_byte: 0x45,
                length: IP + 2,
                length_covers: ipv4::LEN,
                hop_limit: IP + 8,
                protocol: IP + 9,
                checksum: Some(IP + 10),
                source: IP + 12,
                address: 4,
                transport: IP + ipv4::LEN,
            },
            Family::V6 => Self {
                first_byte: 0x60,
                length: IP + 4,
                length_covers: 0,
                hop_limit: IP + 7,
                protocol: IP + 6,
                checksum: None,
                source: IP + 8,
                address: 16,
                transport: IP + ipv6::LEN,
            },
        }
    }
}
