//! bytes -> the question in them.

use hickory_proto::rr::{DNSClass, Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::{HEADER, RECORD_FIXED, name_end, word};

/// Longer questions are malformed, over TCP too: a name, a type, and EDNS with its options fit many
/// times.
pub(crate) const LONGEST: usize = 4096;

/// What a packet turned out to be.
#[derive(Debug)]
pub(crate) enum Packet<'a> {
    /// One question.
    Query(Query<'a>),
    /// Not understood: worth a FORMERR.
    Malformed,
    /// Another operation than a query: worth a NOTIMP.
    OtherOperation,
    /// Less than a header, or an answer: answering it could go on for ever.
    Noise,
}

/// A packet with one well-formed question.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    packet: &'a [u8],
    /// Where the question's name ends.
    name_end: usize,
    pub(crate) kind: RecordType,
    pub(crate) class: DNSClass,
    pub(crate) edns: Option<Edns>,
}

/// The client's side of EDNS (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The largest datagram it takes, in bytes.
    pub(crate) payload: u16,
    pub(crate) version: u8,
    /// It wants signatures.
    pub(crate) dnssec_ok: bool,
}

/// Bit of the header's flags.
pub(crate) const RESPONSE: u16 = 0x8000;
pub(crate) const AUTHORITATIVE: u16 = 0x0400;
pub(crate) const TRUNCATED: u16 = 0x0200;
pub(crate) const RECURSION_DESIRED: u16 = 0x0100;
pub(crate) const RECURSION_AVAILABLE: u16 = 0x0080;
pub(crate) const CHECKING_DISABLED: u16 = 0x0010;
pub(crate) const OPERATION: u16 = 0x7800;

/// Longest name, in bytes as they are sent (RFC 1035, 3.1).
const MAX_NAME: usize = 255;

impl<'a> Packet<'a> {
    /// Reads a packet. Never panics.
    pub(crate) fn parse(packet: &'a [u8]) -> Self {
        let Some(flags) = word(packet, 2).filter(|_| packet.len() >= HEADER) else {
            return Self::Noise;
        };
        if flags & RESPONSE != 0 {
            return Self::Noise;
        }
        if flags & OPERATION != 0 {
            return Self::OtherOperation;
        }
        Query::parse(packet).map_or(Self::Malformed, Self::Query)
    }
}

impl<'a> Query<'a> {
    fn parse(packet: &'a [u8]) -> Option<Self> {
        // No question, or several, which nobody has ever defined an answer for.
        if word(packet, 4)? != 1 {
            return None;
        }
        let name_end = question_name_end(packet)?;
        let (kind, class) = (word(packet, name_end)?, word(packet, name_end + 2)?);
        let records = [6, 8].map(|at| word(packet, at).map_or(0, usize::from));
        let mut at = name_end + 4;
        for _ in 0..records.iter().sum() {
            at = Record::read(packet, at)?.end;
        }
        let mut edns = None;
        for _ in 0..word(packet, 10)? {
            let record = Record::read(packet, at)?;
            at = record.end;
            if record.kind == u16::from(RecordType::OPT) {
                // More than one is an error, and its name is the root's (RFC 6891, 6.1.1).
                if edns.is_some() || !record.of_root {
                    return None;
                }
                edns = Some(record.edns());
            }
        }
        Some(Self {
            packet,
            name_end,
            kind: RecordType::from(kind),
            class: DNSClass::from(class),
            edns,
        })
    }

    pub(crate) fn id(&self) -> u16 {
        word(self.packet, 0).unwrap_or_default()
    }

    pub(crate) fn flags(&self) -> u16 {
        word(self.packet, 2).unwrap_or_default()
    }

    /// The name asked for, as bytes, in the client's own case.
    pub(crate) fn name_bytes(&self) -> &'a [u8] {
        &self.packet[HEADER..self.name_end]
    }

    /// The question section: name, type, class.
    pub(crate) fn question(&self) -> &'a [u8] {
        &self.packet[HEADER..self.name_end + 4]
    }

    /// The name asked for, in the client's own case.
    pub(crate) fn name(&self) -> Option<Name> {
        Name::read(&mut BinDecoder::new(self.name_bytes())).ok()
    }

    /// The packet that it is in.
    pub(crate) fn packet(&self) -> &'a [u8] {
        self.packet
    }
}

/// Where the question's name ends. There is nothing before it that it could point at.
fn question_name_end(packet: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        match *packet.get(at)? {
            0 => return (at + 1 - HEADER <= MAX_NAME).then_some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

/// The fixed part of a record.
struct Record {
    of_root: bool,
    kind: u16,
    class: u16,
    ttl: [u8; 4],
    end: usize,
}

impl Record {
    fn read(packet: &[u8], at: usize) -> Option<Self> {
        let fixed = name_end(packet, at)?;
        let data = fixed + RECORD_FIXED;
        let end = data + usize::from(word(packet, fixed + 8)?);
        (packet.len() >= end).then_some(())?;
        Some(Self {
            of_root: fixed == at + 1,
            kind: word(packet, fixed)?,
            class: word(packet, fixed + 2)?,
            ttl: packet.get(fixed + 4..fixed + 8)?.try_into().ok()?,
            end,
        })
    }

    /// EDNS puts its fields in the places of class and TTL (RFC 6891, 6.1.3).
    fn edns(&self) -> Edns {
        Edns {
            payload: self.class,
            version: self.ttl[1],
            dnssec_ok: self.ttl[2] & 0x80 != 0,
        }
    }
}
