//! SCTP (RFC 9260): its checksum is a CRC32c over the whole packet, which a changed port changes in
//! a way that depends on the length of the packet alone. So the packet need not be read: the
//! difference of the ports, moved on by so many bytes, is the difference of the checksums.

/// Offset of the checksum in the common header; 4 bytes, little-endian.
pub const CHECKSUM: u32 = 8;
/// Offset of the first chunk's type.
pub const CHUNK: u32 = 12;
/// Chunk type that opens an association.
pub const INIT: u8 = 1;

/// Castagnoli's polynomial, bits reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Powers of two of a length in bytes: 65 535 is the longest packet.
const STEPS: usize = 16;

/// Hexadecimal digits of the register, each looked up by itself.
const DIGITS: usize = 8;

/// What each digit of the register becomes when it is moved on by two to the power of the index
/// bytes of zeros. A table, since the verifier would follow every step of a computation anew on
/// each of its paths: 8 KiB of read-only data.
static MOVED: [[[u32; 16]; DIGITS]; STEPS] = {
    let mut moved = [[[0; 16]; DIGITS]; STEPS];
    // x to the power of 8: one byte of zeros.
    let mut power = 0x0080_0000;
    let mut step = 0;
    while step < STEPS {
        let mut digit = 0;
        while digit < DIGITS {
            let mut value = 0;
            while value < 16 {
                moved[step][digit][value] = multiply(power, (value as u32) << (4 * digit));
                value += 1;
            }
            digit += 1;
        }
        power = multiply(power, power);
        step += 1;
    }
    moved
};

/// The product of two polynomials modulo Castagnoli's, bits reflected.
const fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut b, mut bit) = (0, b, 0);
    while bit < 32 {
        product ^= b & (a << bit >> 31).wrapping_neg();
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
        bit += 1;
    }
    product
}

/// What to exclusive-or onto the checksum, as it lies in the packet, when the first four bytes of
/// a packet of `len` bytes change from `from` to `to`.
#[inline(always)]
#[must_use]
pub fn difference(from: [u8; 4], to: [u8; 4], len: u32) -> [u8; 4] {
    let mut register = u32::from_le_bytes(from) ^ u32::from_le_bytes(to);
    for (step, digits) in MOVED.iter().enumerate() {
        let mut moved = 0;
        for (digit, values) in digits.iter().enumerate() {
            moved ^= values[(register >> (4 * digit) & 0xf) as usize];
        }
        let mask = (len >> step & 1).wrapping_neg();
        register = (moved & mask) | (register & !mask);
    }
    register.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC32c bit by bit.
    fn crc(bytes: &[u8]) -> u32 {
        let mut register = u32::MAX;
        for byte in bytes {
            register ^= u32::from(*byte);
            for _ in 0..8 {
                register = (register >> 1) ^ (POLYNOMIAL & (register & 1).wrapping_neg());
            }
        }
        !register
    }

    #[test]
    fn the_reference_value_of_the_castagnoli_crc() {
        assert_eq!(crc(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_changed_head_changes_the_checksum_by_the_difference() {
        for len in [12, 13, 16, 50, 100, 1_480, 9_000, 65_515] {
            let mut packet: Vec<u8> = (0..len).map(|at| (at * 7 + 3) as u8).collect();
            let before = crc(&packet);
            let from = [packet[0], packet[1], packet[2], packet[3]];
            let to = [0x9c, 0x40, 0x1f, 0x90];
            packet[..4].copy_from_slice(&to);
            let difference = u32::from_le_bytes(difference(from, to, len));
            assert_eq!(crc(&packet), before ^ difference, "{len} bytes");
        }
    }
}
