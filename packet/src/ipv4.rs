//! A view of an IPv4 header's fixed part (RFC 791 section 3.1).

use proxy_abi::Ip;

/// Bytes of the header without options.
pub const LEN: usize = 20;
/// Offset of the length of header and payload.
pub const TOTAL_LENGTH: u32 = 2;
/// Offset of the time to live; the protocol number follows it.
pub const TTL: u32 = 8;
/// Offset of the header checksum from the header's start.
pub const CHECKSUM: u32 = 10;
/// Offset of the source address.
pub const SOURCE: u32 = 12;
/// Offset of the destination address.
pub const DESTINATION: u32 = 16;

/// The first 20 bytes of an IPv4 packet, as words that lie as in the packet (see
/// [`proxy_abi::Ip`] for why words).
#[derive(Clone, Copy, Debug)]
pub struct Header([u32; LEN / 4]);

impl Header {
    /// The view, if the bytes say version 4 and a header of at least 20 bytes.
    #[inline(always)]
    #[must_use]
    pub fn new(words: [u32; LEN / 4]) -> Option<Self> {
        let first = words[0].to_ne_bytes()[0];
        (first >> 4 == 4 && first & 0x0f >= 5).then_some(Self(words))
    }

    /// Bytes of the header with its options: 20 to 60.
    #[inline(always)]
    #[must_use]
    pub fn header_len(&self) -> u32 {
        u32::from(self.0[0].to_ne_bytes()[0] & 0x0f) * 4
    }

    /// Whether this is a fragment other than the first: it has no transport header.
    #[inline(always)]
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        let [_, _, high, low] = self.0[1].to_ne_bytes();
        u16::from_be_bytes([high, low]) & 0x1fff != 0
    }

    /// Whether this is one fragment of several.
    #[inline(always)]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        let [_, _, high, low] = self.0[1].to_ne_bytes();
        u16::from_be_bytes([high, low]) & 0x3fff != 0
    }

    /// What all fragments of a datagram share, as it stands on the wire.
    #[inline(always)]
    #[must_use]
    pub fn identification(&self) -> u16 {
        let [high, low, _, _] = self.0[1].to_ne_bytes();
        u16::from_ne_bytes([high, low])
    }

    /// Hops that the packet may still take.
    #[inline(always)]
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.0[2].to_ne_bytes()[0]
    }

    /// IP protocol number, see [`proxy_abi::protocol`].
    #[inline(always)]
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.0[2].to_ne_bytes()[1]
    }

    /// Source address.
    #[inline(always)]
    #[must_use]
    pub fn source(&self) -> Ip {
        Ip::v4(self.0[3].to_ne_bytes())
    }

    /// Destination address.
    #[inline(always)]
    #[must_use]
    pub fn destination(&self) -> Ip {
        Ip::v4(self.0[4].to_ne_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> [u8; LEN] {
        [
            0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 244, 1, 2, 10, 96, 0, 10,
        ]
    }

    fn header(bytes: [u8; LEN]) -> Option<Header> {
        let mut words = [0; LEN / 4];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(4)) {
            *word = u32::from_ne_bytes(bytes.try_into().unwrap());
        }
        Header::new(words)
    }

    #[test]
    fn reads_each_field() {
        let header = header(bytes()).unwrap();
        assert_eq!(header.header_len(), 20);
        assert_eq!(header.ttl(), 64);
        assert_eq!(header.protocol(), 6);
        assert_eq!(header.source(), Ip::v4([10, 244, 1, 2]));
        assert_eq!(header.destination(), Ip::v4([10, 96, 0, 10]));
        assert!(!header.is_later_fragment(), "don't-fragment is no fragment");
    }

    #[test]
    fn options_lengthen_the_header() {
        let mut raw = bytes();
        raw[0] = 0x4f;
        assert_eq!(header(raw).unwrap().header_len(), 60);
    }

    #[test]
    fn the_first_fragment_is_no_later_one() {
        let mut raw = bytes();
        raw[6] = 0x20;
        assert!(!header(raw).unwrap().is_later_fragment());
        assert!(header(raw).unwrap().is_fragment());
        raw[7] = 0xb9;
        assert!(header(raw).unwrap().is_later_fragment());
        raw[6] = 0;
        assert!(header(raw).unwrap().is_fragment(), "the last one");
        assert!(!header(bytes()).unwrap().is_fragment());
    }

    #[test]
    fn another_version_or_a_short_header_is_refused() {
        let mut raw = bytes();
        raw[0] = 0x65;
        assert!(header(raw).is_none());
        raw[0] = 0x44;
        assert!(header(raw).is_none());
    }
}
