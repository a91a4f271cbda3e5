//! The protobuf wire format: a sequence of numbered fields.
//! <https://protobuf.dev/programming-guides/encoding/>

/// The value of a field before its type is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    /// Wire type 0 (varint), 1 (eight bytes) or 5 (four bytes).
    Number(u64),
    /// Wire type 2: text, bytes or a message.
    Bytes(&'a [u8]),
}

impl Payload<'_> {
    /// Whether this is what an unset field looks like.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Payload::Number(0) | Payload::Bytes([]))
    }
}

/// Reads the fields of one message.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The number and value of the next field; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Payload<'a>)>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let payload = match tag & 7 {
            0 => Payload::Number(self.varint()?),
            1 => Payload::Number(little_endian(self.take(8)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| EARLY)?;
                Payload::Bytes(self.take(length)?)
            }
            5 => Payload::Number(little_endian(self.take(4)?)),
            other => return Err(format!("unknown wire type {other}")),
        };
        Ok(Some((tag >> 3, payload)))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is too long".to_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(EARLY)?;
        self.rest = rest;
        Ok(taken)
    }
}

const EARLY: &str = "the body ends too early";

fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 1, 0, 0];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.next(), Ok(Some((1, Payload::Number(150)))));
        assert_eq!(reader.next(), Ok(Some((2, Payload::Bytes(b"hi")))));
        assert_eq!(reader.next(), Ok(Some((3, Payload::Number(257)))));
        assert_eq!(reader.next(), Ok(None));
    }

    #[test]
    fn broken_bytes_are_errors() {
        let long = [0xff; 12];
        let rows: [&[u8]; 5] = [
            &[0x08],
            &[0x12, 5, 1],
            &[0x0b],
            &long,
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ];
        for bytes in rows {
            assert!(Reader::new(bytes).next().is_err(), "{bytes:?}");
        }
    }
}
