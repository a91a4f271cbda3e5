//! A view of the IPv6 header's first eight bytes (RFC 8200 section 3); the two addresses that
//! follow are read straight into the tuple.

/// Bytes of the header.
pub const LEN: usize = 40;
/// Offset of the hop limit.
pub const HOP_LIMIT: u32 = 7;
/// Offset of the source address.
pub const SOURCE: u32 = 8;
/// Offset of the destination address.
pub const DESTINATION: u32 = 24;

/// The header up to the addresses, as words that lie as in the packet.
#[derive(Clone, Copy, Debug)]
pub struct Header([u32; 2]);

impl Header {
    /// The view, if the bytes say version 6.
    #[inline(always)]
    #[must_use]
    pub fn new(words: [u32; 2]) -> Option<Self> {
        (words[0].to_ne_bytes()[0] >> 4 == 6).then_some(Self(words))
    }

    /// What follows: a transport protocol, or an extension header.
    #[inline(always)]
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.0[1].to_ne_bytes()[2]
    }

    /// Hops that the packet may still take.
    #[inline(always)]
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.0[1].to_ne_bytes()[3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_field() {
        let words = [[0x60, 0, 0, 0], [0, 8, 17, 64]].map(u32::from_ne_bytes);
        let header = Header::new(words).unwrap();
        assert_eq!(header.next_header(), 17);
        assert_eq!(header.hop_limit(), 64);
    }

    #[test]
    fn another_version_is_refused() {
        assert!(Header::new([u32::from_ne_bytes([0x45, 0, 0, 0]), 0]).is_none());
    }
}
