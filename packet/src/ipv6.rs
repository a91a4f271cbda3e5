//! A view of the IPv6 header's first eight bytes (RFC 8200 section 3); the two addresses that
//! follow are read straight into the tuple.

/// Bytes of the header.
pub const LEN: usize = 40;
/// Offset of the length of what follows the header.
pub const PAYLOAD_LENGTH: u32 = 4;
/// Offset of the hop limit.
pub const HOP_LIMIT: u32 = 7;
/// Offset of the source address.
pub const SOURCE: u32 = 8;
/// Offset of the destination address.
pub const DESTINATION: u32 = 24;

/// Next header: a fragment header follows (RFC 8200 section 4.5).
pub const FRAGMENT: u8 = 44;

/// A fragment header, as words that lie as in the packet.
#[derive(Clone, Copy, Debug)]
pub struct Fragment([u32; 2]);

impl Fragment {
    /// Bytes of the header.
    pub const LEN: usize = 8;

    /// The view.
    #[inline(always)]
    #[must_use]
    pub const fn new(words: [u32; 2]) -> Self {
        Self(words)
    }

    /// What follows in the first fragment.
    #[inline(always)]
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.0[0].to_ne_bytes()[0]
    }

    /// Whether this is a fragment other than the first.
    #[inline(always)]
    #[must_use]
    pub fn is_later(&self) -> bool {
        let [_, _, high, low] = self.0[0].to_ne_bytes();
        u16::from_be_bytes([high, low]) & 0xfff8 != 0
    }

    /// What all fragments of a datagram share, as it stands on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn identification(&self) -> u32 {
        self.0[1]
    }
}

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
    fn reads_a_fragment_header() {
        let first = Fragment::new([[17, 0, 0, 1], [1, 2, 3, 4]].map(u32::from_ne_bytes));
        assert_eq!(first.next_header(), 17);
        assert!(!first.is_later());
        assert_eq!(first.identification(), u32::from_ne_bytes([1, 2, 3, 4]));
        let later = Fragment::new([[17, 0, 5, 0xa8], [1, 2, 3, 4]].map(u32::from_ne_bytes));
        assert!(later.is_later());
    }

    #[test]
    fn another_version_is_refused() {
        assert!(Header::new([u32::from_ne_bytes([0x45, 0, 0, 0]), 0]).is_none());
    }
}
