//! The answer to a question as bytes, cut to what the client can take.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use super::query::{
    AUTHORITATIVE, CHECKING_DISABLED, OPERATION, Query, RECURSION_AVAILABLE, RECURSION_DESIRED,
    RESPONSE, TRUNCATED,
};
use super::{HEADER, wire_len};
use crate::answer::Answer;

/// Bytes of an EDNS record without options.
pub(crate) const EDNS_LEN: usize = 11;

/// The flag that asks for signatures, in the third and fourth byte of the EDNS record's TTL.
const DNSSEC_OK: u16 = 0x8000;

/// How an answer is written, whatever is in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form<'a> {
    /// Names below this one end in a pointer to it, where it is in the question.
    pub(crate) apex: &'a Name,
    /// Most bytes.
    pub(crate) limit: usize,
    /// The largest datagram that we take, told to clients that speak EDNS.
    pub(crate) payload: u16,
}

/// Writes `answer` to the empty `out`. Records that do not fit are left out and the answer marked
/// as cut, but for additional ones, which nobody misses (RFC 2181, 9).
pub(crate) fn write(query: &Query<'_>, answer: &Answer, form: Form<'_>, out: &mut Vec<u8>) {
    let flags = if answer.authoritative {
        AUTHORITATIVE
    } else {
        0
    };
    start(query, flags, answer.code, out);
    let edns = query.edns.map_or(0, |_| EDNS_LEN);
    let mut body = Body {
        name: query.name_bytes(),
        apex: apex_at(query.name_bytes(), form.apex),
        apex_len: wire_len(form.apex),
        limit: form.limit.saturating_sub(edns),
        out,
    };
    let sections = [&answer.answers, &answer.authority, &answer.additional];
    let mut counts = [0_u16; 3];
    let mut cut = false;
    for (section, count) in sections.into_iter().zip(&mut counts) {
        *count = body.section(section);
        cut = usize::from(*count) < section.len();
        if cut {
            break;
        }
    }
    let cut =
        cut && usize::from(counts[0] + counts[1]) < answer.answers.len() + answer.authority.len();
    for (count, at) in counts.into_iter().zip([6, 8, 10]) {
        out[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }
    finish(query, cut, u16::from(answer.code), form.payload, out);
}

/// An answer of a header alone, to a packet that is no question. It needs the packet's header.
pub(crate) fn bare(packet: &[u8], code: ResponseCode, out: &mut Vec<u8>) {
    let asked = u16::from_be_bytes([packet[2], packet[3]]);
    let flags = RESPONSE | asked & (OPERATION | RECURSION_DESIRED | CHECKING_DISABLED);
    out.extend_from_slice(&packet[..2]);
    out.extend_from_slice(&(flags | u16::from(code.low())).to_be_bytes());
    out.resize(HEADER, 0);
}

/// Header and question. The counts of the other sections are still to come.
pub(super) fn start(query: &Query<'_>, more: u16, code: ResponseCode, out: &mut Vec<u8>) {
    let copied = query.flags() & (RECURSION_DESIRED | CHECKING_DISABLED);
    let flags = RESPONSE | RECURSION_AVAILABLE | copied | more | u16::from(code.low());
    out.extend_from_slice(&query.id().to_be_bytes());
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(query.question());
}

/// The mark of a cut answer, and the EDNS record if the client speaks it.
pub(super) fn finish(query: &Query<'_>, cut: bool, code: u16, payload: u16, out: &mut Vec<u8>) {
    if cut {
        out[2] |= TRUNCATED.to_be_bytes()[0];
    }
    let Some(asked) = query.edns else { return };
    let additional = u16::from_be_bytes([out[10], out[11]]) + 1;
    out[10..12].copy_from_slice(&additional.to_be_bytes());
    out.push(0);
    out.extend_from_slice(&u16::from(RecordType::OPT).to_be_bytes());
    out.extend_from_slice(&payload.to_be_bytes());
    // The high bits of the code, our version, 0, the flags.
    out.extend_from_slice(&[(code >> 4) as u8, 0]);
    let flags = if asked.dnssec_ok { DNSSEC_OK } else { 0 };
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
}

/// Where in a packet the zone's name is, at the end of the question's.
fn apex_at(name: &[u8], apex: &Name) -> Option<u16> {
    let start = name.len().checked_sub(wire_len(apex))?;
    let mut at = 0;
    while at < start {
        at += 1 + usize::from(name[at]);
    }
    let same = at == start && is_name(&name[at..], apex);
    let offset = u16::try_from(HEADER + start).ok()?;
    same.then_some(offset)
}

/// Whether these bytes are `name`, in whatever case.
fn is_name(bytes: &[u8], name: &Name) -> bool {
    let mut rest = bytes;
    for label in name {
        let Some((&length, after)) = rest.split_first() else {
            return false;
        };
        if usize::from(length) != label.len()
            || !after
                .get(..label.len())
                .is_some_and(|own| own.eq_ignore_ascii_case(label))
        {
            return false;
        }
        rest = &after[label.len()..];
    }
    rest == [0]
}

/// The sections after the question.
struct Body<'a> {
    /// The question's name.
    name: &'a [u8],
    /// Where the zone's name is, and how long.
    apex: Option<u16>,
    apex_len: usize,
    limit: usize,
    out: &'a mut Vec<u8>,
}

impl Body<'_> {
    /// Writes as many of the records as fit; says how many that are.
    fn section(&mut self, records: &[Record]) -> u16 {
        let mut count = 0;
        for record in records {
            let before = self.out.len();
            if self.record(record).is_none() || self.out.len() > self.limit {
                self.out.truncate(before);
                break;
            }
            count += 1;
        }
        count
    }

    fn record(&mut self, record: &Record) -> Option<()> {
        self.name(&record.name);
        self.words(&[
            u16::from(record.record_type()),
            u16::from(DNSClass::IN),
            (record.ttl >> 16) as u16,
            record.ttl as u16,
            0,
        ]);
        let data = self.out.len();
        self.data(&record.data)?;
        let length = u16::try_from(self.out.len() - data).ok()?;
        self.out[data - 2..data].copy_from_slice(&length.to_be_bytes());
        Some(())
    }

    fn data(&mut self, data: &RData) -> Option<()> {
        match data {
            RData::A(address) => self.out.extend_from_slice(&address.octets()),
            RData::AAAA(address) => self.out.extend_from_slice(&address.octets()),
            RData::CNAME(target) => self.name(target),
            RData::PTR(target) => self.name(target),
            RData::NS(target) => self.name(target),
            RData::SRV(srv) => {
                self.words(&[srv.priority, srv.weight, srv.port]);
                // Not to be compressed (RFC 2782).
                self.labels(srv.target.iter());
                self.out.push(0);
            }
            RData::SOA(soa) => {
                self.name(&soa.mname);
                self.name(&soa.rname);
                self.out.extend_from_slice(&soa.serial.to_be_bytes());
                for seconds in [soa.refresh, soa.retry, soa.expire] {
                    self.out.extend_from_slice(&seconds.to_be_bytes());
                }
                self.out.extend_from_slice(&soa.minimum.to_be_bytes());
            }
            other => {
                let mut bytes = Vec::new();
                let mut encoder = BinEncoder::new(&mut bytes);
                // A pointer would be one into these bytes alone.
                encoder.set_name_encoding(NameEncoding::Uncompressed);
                other.emit(&mut encoder).ok()?;
                self.out.extend_from_slice(&bytes);
            }
        }
        Some(())
    }

    fn name(&mut self, name: &Name) {
        let pointer = |at: u16| (0xc000 | at).to_be_bytes();
        if wire_len(name) == self.name.len() && is_name(self.name, name) {
            self.out.extend_from_slice(&pointer(HEADER as u16));
            return;
        }
        let tail = self.apex.filter(|at| {
            let start = usize::from(*at) - HEADER;
            ends_with(name, &self.name[start..])
        });
        let Some(at) = tail else {
            self.labels(name.iter());
            self.out.push(0);
            return;
        };
        let mut left = wire_len(name) - self.apex_len;
        let inner = name.iter().take_while(|label| {
            let more = left > 0;
            left = left.saturating_sub(1 + label.len());
            more
        });
        self.labels(inner);
        self.out.extend_from_slice(&pointer(at));
    }

    fn labels<'n>(&mut self, labels: impl Iterator<Item = &'n [u8]>) {
        for label in labels {
            // A label is at most 63 bytes.
            self.out.push(label.len() as u8);
            self.out.extend_from_slice(label);
        }
    }

    fn words(&mut self, words: &[u16]) {
        for word in words {
            self.out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// Whether `name` ends in the name that is these bytes.
fn ends_with(name: &Name, bytes: &[u8]) -> bool {
    let mut rest = wire_len(name);
    let mut labels = name.iter();
    while rest > bytes.len() {
        let Some(label) = labels.next() else {
            return false;
        };
        rest -= 1 + label.len();
    }
    let mut bytes = bytes;
    for label in labels {
        let Some((_, after)) = bytes.split_first() else {
            return false;
        };
        if !after
            .get(..label.len())
            .is_some_and(|own| own.eq_ignore_ascii_case(label))
        {
            return false;
        }
        bytes = &after[label.len()..];
    }
    bytes == [0]
}
