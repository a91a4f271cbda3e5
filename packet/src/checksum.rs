//! The Internet checksum (RFC 1071) of small headers that we write ourselves. Headers that we
//! only change are patched by the kernel's own helpers, which know about checksum offload.

/// A running ones' complement sum of 16-bit words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u32);

impl Sum {
    /// Adds `len` bytes from offset `at` as big-endian words; an odd last byte counts as the high
    /// byte of a word. Offsets are constants wherever this is inlined, so the kernel half carries
    /// neither a loop nor a bounds check.
    #[inline(always)]
    #[must_use]
    pub fn range<const N: usize>(mut self, bytes: &[u8; N], at: usize, len: usize) -> Self {
        let mut index = 0;
        while index < len {
            let byte = u32::from(bytes[at + index]);
            // At most 64 KiB of headers would overflow the u32; ours are tens of bytes.
            self.0 += if index % 2 == 0 { byte << 8 } else { byte };
            index += 1;
        }
        self
    }

    /// Adds all of `bytes`.
    #[inline(always)]
    #[must_use]
    pub fn bytes<const N: usize>(self, bytes: &[u8; N]) -> Self {
        self.range(bytes, 0, N)
    }

    /// Adds one 16-bit word in host order.
    #[inline(always)]
    #[must_use]
    pub fn word(self, word: u16) -> Self {
        Self(self.0 + word as u32)
    }

    /// The checksum as it stands on the wire.
    #[inline(always)]
    #[must_use]
    pub fn finish(self) -> [u8; 2] {
        let once = (self.0 & 0xffff) + (self.0 >> 16);
        let twice = (once & 0xffff) + (once >> 16);
        (!(twice as u16)).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc1071_example() {
        // RFC 1071 section 3: 0001 f203 f4f5 f6f7 sums to ddf2.
        let sum = Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), (!0xddf2u16).to_be_bytes());
    }

    #[test]
    fn a_header_with_its_checksum_sums_to_zero() {
        let mut header: [u8; 20] = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1,
            0xc0, 0xa8, 0, 0xc7,
        ];
        let checksum = Sum::default().bytes(&header).finish();
        assert_eq!(checksum, [0xb8, 0x61]);
        header[10..12].copy_from_slice(&checksum);
        assert_eq!(Sum::default().bytes(&header).finish(), [0, 0]);
    }

    #[test]
    fn an_odd_byte_is_the_high_half_of_a_word() {
        assert_eq!(
            Sum::default().bytes(&[0x12]).finish(),
            Sum::default().word(0x1200).finish()
        );
    }
}
