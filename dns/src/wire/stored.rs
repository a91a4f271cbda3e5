//! An upstream's answer as it is kept: bytes that fit every client with the same question, and
//! where in them the times to live stand.

use std::time::{Duration, Instant};

use hickory_proto::op::{Message, OpCode, Query as Question, ResponseCode};
use hickory_proto::rr::{RData, Record};

use super::query::{Query, RESPONSE};
use super::reply::{self, EDNS_LEN};
use super::{HEADER, RECORD_FIXED, name_end, word};

/// Longest that a denial is kept (CoreDNS: the same).
const MAX_DENIAL: Duration = Duration::from_secs(1800);
/// Longest that records are kept (CoreDNS: the same).
const MAX_RECORDS: Duration = Duration::from_secs(3600);
/// How long a failure is kept, and a denial that does not say (RFC 2308, 7: at most 5 minutes).
pub(crate) const FAILURE: Duration = Duration::from_secs(5);
/// What a record says that is served past its time (RFC 8767, 4).
const STALE_TTL: u32 = 30;

/// The flag by which an upstream says that it verified signatures.
const AUTHENTIC: u16 = 0x0020;

/// An upstream's answer.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Header, question and sections, without EDNS.
    message: Box<[u8]>,
    /// Where the records' times to live are.
    ttls: Box<[u16]>,
    pub(crate) kind: StoredKind,
    code: u16,
    /// When it came.
    at: Instant,
    /// How long it holds.
    holds: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredKind {
    /// It has records.
    Records,
    /// There is no such name, or nothing of that type.
    Denial,
    /// The upstreams failed.
    Failure,
}

impl Stored {
    /// `message`, which came as the answer to `question` at `now`; none where it cannot be
    /// written again.
    pub(crate) fn new(question: &Question, message: Message, now: Instant) -> Option<Self> {
        let code = message.metadata.response_code;
        let kind = kind(code, &message.answers);
        let holds = holds(kind, &message);
        let mut kept = Message::response(0, OpCode::Query);
        kept.metadata.response_code = code;
        kept.metadata.authentic_data = message.metadata.authentic_data;
        kept.add_query(question.clone());
        kept.answers = message.answers;
        kept.authorities = message.authorities;
        kept.additionals = message.additionals;
        let message = kept.to_vec().ok()?;
        let ttls = ttls(&message)?;
        Some(Self {
            message: message.into(),
            ttls,
            kind,
            code: u16::from(code),
            at: now,
            holds,
        })
    }

    /// That the upstreams failed to answer `question`.
    pub(crate) fn failure(question: &Question, now: Instant) -> Option<Self> {
        let mut message = Message::response(0, OpCode::Query);
        message.metadata.response_code = ResponseCode::ServFail;
        Self::new(question, message, now)
    }

    /// How long past its time it is; none while it holds.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.at);
        (age >= self.holds).then(|| age - self.holds)
    }

    /// Bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.message.len() + size_of_val(&*self.ttls)
    }

    pub(crate) fn code(&self) -> ResponseCode {
        ResponseCode::from((self.code >> 4) as u8, (self.code & 15) as u8)
    }

    /// Its records, for an answer that they are a part of.
    pub(crate) fn message(&self) -> Option<Message> {
        Message::from_vec(&self.message).ok()
    }

    /// Writes it to the empty `out` as the answer to `query`, which asks the same question. Over
    /// `limit` bytes there is nothing in it but that.
    pub(crate) fn write(
        &self,
        query: &Query<'_>,
        now: Instant,
        (limit, payload): (usize, u16),
        out: &mut Vec<u8>,
    ) {
        let code = ResponseCode::from(0, (self.code & 15) as u8);
        let flags = word(&self.message, 2).unwrap_or(RESPONSE) & AUTHENTIC;
        reply::start(query, flags, code, out);
        let edns = query.edns.map_or(0, |_| EDNS_LEN);
        let cut = self.message.len() + edns > limit;
        if !cut {
            out.truncate(6);
            out.extend_from_slice(&self.message[6..HEADER]);
            out.extend_from_slice(query.question());
            out.extend_from_slice(&self.message[out.len()..]);
            self.age(now, out);
        }
        reply::finish(query, cut, self.code, payload, out);
    }

    fn age(&self, now: Instant, out: &mut [u8]) {
        let stale = self.overdue(now).is_some();
        let age = now.saturating_duration_since(self.at).as_secs();
        let age = u32::try_from(age).unwrap_or(u32::MAX);
        for &at in &self.ttls {
            let at = usize::from(at);
            let Some(bytes) = out.get_mut(at..at + 4) else {
                continue;
            };
            let said = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let left = if stale {
                STALE_TTL
            } else {
                said.saturating_sub(age)
            };
            bytes.copy_from_slice(&left.to_be_bytes());
        }
    }
}

fn kind(code: ResponseCode, answers: &[Record]) -> StoredKind {
    match code {
        ResponseCode::NoError if !answers.is_empty() => StoredKind::Records,
        ResponseCode::NoError | ResponseCode::NXDomain => StoredKind::Denial,
        _ => StoredKind::Failure,
    }
}

/// How long an answer may be kept: records by their shortest time, denials by the SOA record
/// (RFC 2308, 5), failures briefly.
fn holds(kind: StoredKind, message: &Message) -> Duration {
    let seconds = |ttl: u32| Duration::from_secs(ttl.into());
    match kind {
        StoredKind::Records => {
            let shortest = message.answers.iter().map(|record| record.ttl).min();
            shortest.map_or(FAILURE, seconds).min(MAX_RECORDS)
        }
        StoredKind::Denial => {
            let soa = message
                .authorities
                .iter()
                .find_map(|record| match &record.data {
                    RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
                    _ => None,
                });
            soa.map_or(FAILURE, seconds).min(MAX_DENIAL)
        }
        StoredKind::Failure => FAILURE,
    }
}

/// Where the times to live are in a message that we wrote.
fn ttls(message: &[u8]) -> Option<Box<[u16]>> {
    let mut at = name_end(message, HEADER)? + 4;
    let mut found = Vec::new();
    let counts = [6, 8, 10].map(|at| word(message, at).map_or(0, usize::from));
    for _ in 0..counts.iter().sum() {
        let fixed = name_end(message, at)?;
        found.push(u16::try_from(fixed + 4).ok()?);
        at = fixed + RECORD_FIXED + usize::from(word(message, fixed + 8)?);
    }
    Some(found.into())
}
