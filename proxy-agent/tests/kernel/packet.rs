//! Builds frames with correct checksums, so that "rewritten correctly" is "equal to what the
//! builder makes of the new addresses".

use std::net::SocketAddrV4;

/// A frame in the making.
#[derive(Clone)]
pub(crate) struct Builder {
    source: SocketAddrV4,
    destination: SocketAddrV4,
    protocol: u8,
    tcp_flags: u8,
    payload: Vec<u8>,
    options: Vec<u8>,
    fragment: u16,
    no_checksum: bool,
}

/// A UDP datagram `from` -> `to`.
pub(crate) fn udp(from: &str, to: &str) -> Builder {
    Builder::new(from, to, 17)
}

/// A TCP segment `from` -> `to` with these flags.
pub(crate) fn tcp(from: &str, to: &str, flags: u8) -> Builder {
    Builder {
        tcp_flags: flags,
        ..Builder::new(from, to, 6)
    }
}

impl Builder {
    fn new(from: &str, to: &str, protocol: u8) -> Self {
        Self {
            source: from.parse().expect("address:port"),
            destination: to.parse().expect("address:port"),
            protocol,
            tcp_flags: 0,
            payload: b"hello".to_vec(),
            options: Vec::new(),
            fragment: 0,
            no_checksum: false,
        }
    }

    /// With IP options (four "no operation").
    pub(crate) fn options(mut self) -> Self {
        self.options = vec![1; 4];
        self
    }

    /// As the fragment at this offset (units of 8 bytes).
    pub(crate) fn fragment(mut self, offset: u16) -> Self {
        self.fragment = offset;
        self
    }

    /// UDP without a checksum.
    pub(crate) fn no_checksum(mut self) -> Self {
        self.no_checksum = true;
        self
    }

    /// The frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        let transport = self.transport();
        let header = 20 + self.options.len();
        let mut ip = vec![0x40 | (header / 4) as u8, 0];
        ip.extend(((header + transport.len()) as u16).to_be_bytes());
        ip.extend([0x12, 0x34]);
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([64, self.protocol, 0, 0]);
        ip.extend(self.source.ip().octets());
        ip.extend(self.destination.ip().octets());
        ip.extend(&self.options);
        let checksum = sum(&ip);
        ip[10..12].copy_from_slice(&checksum);
        frame.extend(ip);
        frame.extend(transport);
        frame
    }

    fn transport(&self) -> Vec<u8> {
        let mut bytes = self.source.port().to_be_bytes().to_vec();
        bytes.extend(self.destination.port().to_be_bytes());
        let checksum_at = if self.protocol == 6 {
            bytes.extend(1000u32.to_be_bytes());
            bytes.extend(0u32.to_be_bytes());
            bytes.extend([5 << 4, self.tcp_flags, 0xff, 0xff, 0, 0, 0, 0]);
            16
        } else {
            bytes.extend((8 + self.payload.len() as u16).to_be_bytes());
            bytes.extend([0, 0]);
            6
        };
        bytes.extend(&self.payload);
        if !self.no_checksum {
            let mut pseudo = self.source.ip().octets().to_vec();
            pseudo.extend(self.destination.ip().octets());
            pseudo.extend([0, self.protocol]);
            pseudo.extend((bytes.len() as u16).to_be_bytes());
            pseudo.extend(&bytes);
            let checksum = sum(&pseudo);
            bytes[checksum_at..checksum_at + 2].copy_from_slice(&checksum);
        }
        bytes
    }
}

/// The Internet checksum, written apart from the one under test.
fn sum(bytes: &[u8]) -> [u8; 2] {
    let mut total: u64 = 0;
    for pair in bytes.chunks(2) {
        total += u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low));
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    (!(total as u16)).to_be_bytes()
}
