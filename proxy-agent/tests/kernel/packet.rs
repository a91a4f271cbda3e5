//! Builds frames of both families with correct checksums, so that "rewritten correctly" is "equal
//! to what the builder makes of the new addresses".

use std::net::{IpAddr, SocketAddr};

/// A frame in the making.
#[derive(Clone)]
pub(crate) struct Builder {
    source: SocketAddr,
    destination: SocketAddr,
    protocol: u8,
    tcp_flags: u8,
    sender: [u8; 6],
    payload: Vec<u8>,
    options: Vec<u8>,
    fragment: u16,
    no_checksum: bool,
    hops: u8,
    icmp: Option<Icmp>,
    /// Type of an SCTP packet's only chunk.
    chunk: Option<u8>,
    /// Of an IPv6 fragment: offset and flag.
    piece: Option<u16>,
}

/// What an ICMP message is.
#[derive(Clone)]
enum Icmp {
    /// An echo request or reply with this identifier.
    Echo { request: bool, identifier: u16 },
    /// An error: type and code in each family, and the packet that it is about.
    Error { kind: [[u8; 2]; 2], about: Vec<u8> },
}

/// The Ethernet source address of every frame unless told otherwise.
pub(crate) const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];

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

/// An SCTP packet `from` -> `to` with one chunk of this type.
pub(crate) fn sctp(from: &str, to: &str, chunk: u8) -> Builder {
    Builder {
        chunk: Some(chunk),
        ..Builder::new(from, to, 132)
    }
}

/// An echo request `from` -> `to`; the port of `from` is the identifier.
pub(crate) fn ping(from: &str, to: &str) -> Builder {
    let identifier = from.parse::<SocketAddr>().expect("address:port").port();
    let request = true;
    Builder::icmp(
        from,
        to,
        Icmp::Echo {
            request,
            identifier,
        },
    )
}

/// An echo reply `from` -> `to`; the port of `to` is the identifier.
pub(crate) fn pong(from: &str, to: &str) -> Builder {
    let identifier = to.parse::<SocketAddr>().expect("address:port").port();
    let request = false;
    Builder::icmp(
        from,
        to,
        Icmp::Echo {
            request,
            identifier,
        },
    )
}

/// "Port unreachable" `from` -> `to` (their ports say nothing), about a packet.
pub(crate) fn unreachable(from: &str, to: &str, about: &Builder) -> Builder {
    error(from, to, [[3, 3], [1, 4]], about)
}

/// "Time exceeded", likewise.
pub(crate) fn exceeded(from: &str, to: &str, about: &Builder) -> Builder {
    error(from, to, [[11, 0], [3, 0]], about)
}

fn error(from: &str, to: &str, kind: [[u8; 2]; 2], about: &Builder) -> Builder {
    let about = about.frame()[14..].to_vec();
    Builder::icmp(from, to, Icmp::Error { kind, about })
}

impl Builder {
    fn new(from: &str, to: &str, protocol: u8) -> Self {
        Self {
            source: from.parse().expect("address:port"),
            destination: to.parse().expect("address:port"),
            protocol,
            tcp_flags: 0,
            sender: SENDER,
            payload: b"hello".to_vec(),
            options: Vec::new(),
            fragment: 0,
            no_checksum: false,
            hops: 64,
            icmp: None,
            chunk: None,
            piece: None,
        }
    }

    fn icmp(from: &str, to: &str, message: Icmp) -> Self {
        let mut builder = Self::new(from, to, 1);
        if builder.source.is_ipv6() {
            builder.protocol = 58;
        }
        builder.icmp = Some(message);
        builder
    }

    /// As the first fragment of several, cut after these bytes of data.
    pub(crate) fn first(mut self) -> Self {
        self.fragment = 0x2000;
        self.piece = Some(1);
        self
    }

    /// As the last fragment, behind `units` times 8 bytes; its bytes are data alone.
    pub(crate) fn last(mut self, units: u16) -> Self {
        self.fragment = units;
        self.piece = Some(units << 3);
        self
    }

    /// With IP options (four "no operation"; IPv4).
    pub(crate) fn options(mut self) -> Self {
        self.options = vec![1; 4];
        self
    }

    /// As the fragment at this offset (units of 8 bytes; IPv4).
    pub(crate) fn fragment(mut self, offset: u16) -> Self {
        self.fragment = offset;
        self
    }

    /// UDP without a checksum.
    pub(crate) fn no_checksum(mut self) -> Self {
        self.no_checksum = true;
        self
    }

    /// From this Ethernet address.
    pub(crate) fn sender(mut self, mac: [u8; 6]) -> Self {
        self.sender = mac;
        self
    }

    /// With so many hops left.
    pub(crate) fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// As another protocol, with the same bytes behind the IP header.
    pub(crate) fn protocol(mut self, number: u8) -> Self {
        self.protocol = number;
        self
    }

    /// The frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 2];
        frame.extend(self.sender);
        let mut transport = self.transport();
        if let Some(piece) = self.piece
            && self.source.is_ipv6()
        {
            let mut header = vec![self.protocol, 0];
            header.extend(piece.to_be_bytes());
            header.extend([0, 0, 0x12, 0x34]);
            transport.splice(..0, header);
        }
        if self.source.is_ipv4() {
            frame.extend([0x08, 0x00]);
            frame.extend(self.ipv4(transport.len()));
        } else {
            frame.extend([0x86, 0xdd]);
            frame.extend(self.ipv6(transport.len()));
        }
        frame.extend(transport);
        frame
    }

    fn ipv4(&self, payload: usize) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut ip = vec![0x40 | (header / 4) as u8, 0];
        ip.extend(((header + payload) as u16).to_be_bytes());
        ip.extend([0x12, 0x34]);
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([self.hops, self.protocol, 0, 0]);
        ip.extend(self.addresses());
        ip.extend(&self.options);
        let checksum = sum(&ip);
        ip[10..12].copy_from_slice(&checksum);
        ip
    }

    fn ipv6(&self, payload: usize) -> Vec<u8> {
        let mut ip = vec![0x60, 0, 0, 0];
        ip.extend((payload as u16).to_be_bytes());
        let next = if self.piece.is_some() {
            44
        } else {
            self.protocol
        };
        ip.extend([next, self.hops]);
        ip.extend(self.addresses());
        ip
    }

    fn addresses(&self) -> Vec<u8> {
        let octets = |at: &SocketAddr| match at.ip() {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        [octets(&self.source), octets(&self.destination)].concat()
    }

    fn transport(&self) -> Vec<u8> {
        match (&self.icmp, self.piece) {
            (_, Some(piece)) if piece != 1 => b"and the rest of it".to_vec(),
            (Some(message), _) => self.message(message),
            (None, _) => self
                .chunk
                .map_or_else(|| self.ports(), |chunk| self.sctp(chunk)),
        }
    }

    fn sctp(&self, chunk: u8) -> Vec<u8> {
        let mut bytes = self.source.port().to_be_bytes().to_vec();
        bytes.extend(self.destination.port().to_be_bytes());
        bytes.extend([0, 0, 0, 9, 0, 0, 0, 0, chunk, 0]);
        bytes.extend((4 + self.payload.len() as u16).to_be_bytes());
        bytes.extend(&self.payload);
        let checksum = crc32c(&bytes).to_le_bytes();
        bytes[8..12].copy_from_slice(&checksum);
        bytes
    }

    fn message(&self, message: &Icmp) -> Vec<u8> {
        let v6 = self.source.is_ipv6();
        let mut bytes = Vec::new();
        match message {
            Icmp::Echo {
                request,
                identifier,
            } => {
                let kind = match (v6, request) {
                    (false, true) => 8,
                    (false, false) => 0,
                    (true, true) => 128,
                    (true, false) => 129,
                };
                bytes.extend([kind, 0, 0, 0]);
                bytes.extend(identifier.to_be_bytes());
                bytes.extend([0, 1]);
                bytes.extend(&self.payload);
            }
            Icmp::Error { kind, about } => {
                bytes.extend(kind[usize::from(v6)]);
                bytes.extend([0; 6]);
                bytes.extend(about);
            }
        }
        let mut covered = if v6 { self.pseudo(&bytes) } else { Vec::new() };
        covered.extend(&bytes);
        let checksum = sum(&covered);
        bytes[2..4].copy_from_slice(&checksum);
        bytes
    }

    fn pseudo(&self, bytes: &[u8]) -> Vec<u8> {
        let mut pseudo = self.addresses();
        pseudo.extend([0, self.protocol]);
        pseudo.extend((bytes.len() as u16).to_be_bytes());
        pseudo
    }

    fn ports(&self) -> Vec<u8> {
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
            let mut covered = self.pseudo(&bytes);
            covered.extend(&bytes);
            let checksum = sum(&covered);
            bytes[checksum_at..checksum_at + 2].copy_from_slice(&checksum);
        }
        bytes
    }
}

/// CRC32c, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            register = (register >> 1) ^ if register & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !register
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
