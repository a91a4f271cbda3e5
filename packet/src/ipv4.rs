//! A view of an IPv4 header's fixed part (RFC 791 section 3.1).

use proxy_abi::Ip;

/// Bytes of the header without options.
pub const LEN: usize = 20;
/// Offset of the header checksum from the header's start.
pub const CHECKSUM: u32 = 10;
/// Offset of the source address.
pub const SOURCE: u32 = 12;
/// Offset of the destination address.
pub const DESTINATION: u32 = 16;

/// The first 20 bytes of an IPv4 packet.
#[derive(Clone, Copy, Debug)]
pub struct Header([u8; LEN]);

impl Header {
    /// The view, if the bytes say version 4 and a header of at least 20 bytes.
    #[inline(always)]
    #[must_use]
    pub fn new(bytes: [u8; LEN]) -> Option<Self> {
        (bytes[0] >> 4 == 4 && bytes[0] & 0x0f >= 5).then_some(Self(bytes))
    }

    /// Bytes of the header with its options: 20 to 60.
    #[inline(always)]
    #[must_use]
    pub fn header_len(&self) -> u32 {
        u32::from(self.0[0] & 0x0f) * 4
    }

    /// Bytes of the whole packet as the sender states it.
    #[inline(always)]
    #[must_use]
    pub fn total_len(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Whether this is a fragment other than the first: it has no transport header.
    #[inline(always)]
    #[must_use]
    pub fn is_later_fragment(&self) -> bool {
        u16::from_be_bytes([self.0[6], self.0[7]]) & 0x1fff != 0
    }

    /// IP protocol number, see [`proxy_abi::protocol`].
    #[inline(always)]
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.0[9]
    }

    /// Source address.
    #[inline(always)]
    #[must_use]
    pub fn source(&self) -> Ip {
        Ip::v4([self.0[12], self.0[13], self.0[14], self.0[15]])
    }

    /// Destination address.
    #[inline(always)]
    #[must_use]
    pub fn destination(&self) -> Ip {
        Ip::v4([self.0[16], self.0[17], self.0[18], self.0[19]])
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

    #[test]
    fn reads_each_field() {
        let header = Header::new(bytes()).unwrap();
        assert_eq!(header.header_len(), 20);
        assert_eq!(header.total_len(), 60);
        assert_eq!(header.protocol(), 6);
        assert_eq!(header.source(), Ip::v4([10, 244, 1, 2]));
        assert_eq!(header.destination(), Ip::v4([10, 96, 0, 10]));
        assert!(!header.is_later_fragment(), "don't-fragment is no fragment");
    }

    #[test]
    fn options_lengthen_the_header() {
        let mut raw = bytes();
        raw[0] = 0x4f;
        assert_eq!(Header::new(raw).unwrap().header_len(), 60);
    }

    #[test]
    fn the_first_fragment_is_no_later_one() {
        let mut raw = bytes();
        raw[6] = 0x20;
        assert!(!Header::new(raw).unwrap().is_later_fragment());
        raw[7] = 0xb9;
        assert!(Header::new(raw).unwrap().is_later_fragment());
    }

    #[test]
    fn another_version_or_a_short_header_is_refused() {
        let mut raw = bytes();
        raw[0] = 0x65;
        assert!(Header::new(raw).is_none());
        raw[0] = 0x44;
        assert!(Header::new(raw).is_none());
    }
}
