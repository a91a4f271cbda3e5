//! Our bytes against hickory's reading of them, and what is no question.

use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Question, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::query::{self, Packet, Query};
use super::reply::{self, Form};
use super::stored::{FAILURE, Stored, StoredKind};
use crate::answer::Answer;

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect(text)
}

fn asking(text: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Question::query(name(text), kind));
    message
}

fn parsed(bytes: &[u8]) -> Query<'_> {
    match Packet::parse(bytes) {
        Packet::Query(query) => query,
        other => panic!("{other:?}"),
    }
}

#[test]
fn questions_are_read_as_hickory_writes_them() {
    for text in [".", "a.", "WeB.default.svc.cluster.local."] {
        let mut message = asking(text, RecordType::SRV);
        let mut edns = Edns::new();
        edns.set_max_payload(1400).set_dnssec_ok(true);
        message.edns = Some(edns);
        let bytes = message.to_vec().expect("bytes");
        let query = parsed(&bytes);
        assert!(query.name().expect("a name").eq_case(&name(text)), "{text}");
        assert_eq!((query.kind, query.class), (RecordType::SRV, DNSClass::IN));
        let wanted = query::Edns {
            payload: 1400,
            version: 0,
            dnssec_ok: true,
        };
        assert_eq!((query.id(), query.edns), (4711, Some(wanted)));
    }
}

#[test]
fn what_is_no_question_is_told_apart() {
    let good = asking("web.default.svc.cluster.local.", RecordType::A);
    let good = good.to_vec().expect("bytes");
    let with = |at: usize, bytes: &[u8]| {
        let mut packet = good.clone();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        packet
    };
    let edns = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let more =
        |additional: u8, records: &[u8]| [with(10, &[0, additional]), records.to_vec()].concat();
    let rows: [(&str, Vec<u8>, &str); 14] = [
        ("nothing", vec![], "Noise"),
        ("eleven bytes", good[..11].to_vec(), "Noise"),
        ("an answer", with(2, &[0x80]), "Noise"),
        ("a status request", with(2, &[0x10]), "OtherOperation"),
        ("no question", with(4, &[0, 0]), "Malformed"),
        ("two questions", with(4, &[0, 2]), "Malformed"),
        ("cut in the name", good[..20].to_vec(), "Malformed"),
        (
            "cut in the class",
            good[..good.len() - 1].to_vec(),
            "Malformed",
        ),
        ("a pointer for a name", with(12, &[0xc0, 12]), "Malformed"),
        ("a label of 64 bytes", with(12, &[64]), "Malformed"),
        ("a record that is not there", with(10, &[0, 1]), "Malformed"),
        ("EDNS twice", more(2, &[edns, edns].concat()), "Malformed"),
        (
            "EDNS with a name",
            more(1, &[&[1, 97], &edns[..]].concat()),
            "Malformed",
        ),
        ("EDNS once", more(1, &edns), "Query"),
    ];
    for (what, bytes, wanted) in rows {
        let found = format!("{:?}", Packet::parse(&bytes));
        assert!(found.starts_with(wanted), "{what}: {found}");
    }
    let long = [&good[..12], &[63; 64 * 4], &[0, 0, 1, 0, 1]].concat();
    assert!(
        matches!(Packet::parse(&long), Packet::Malformed),
        "a name of 257 bytes"
    );
}

/// One record of each type we have, with names of all kinds in it.
fn records(owner: &str) -> Vec<Record> {
    let ours = || name("db-0.db.default.svc.Cluster.local.");
    let data = [
        RData::A(A::new(10, 96, 0, 1)),
        RData::AAAA(AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
        RData::CNAME(CNAME(ours())),
        RData::PTR(PTR(name("cluster.local."))),
        RData::NS(NS(name("notcluster.local."))),
        RData::SRV(SRV::new(0, 100, 53, ours())),
        RData::SOA(SOA::new(ours(), name("."), 1, 2, 3, 4, 5)),
        RData::TXT(TXT::new(vec!["1.1.0".to_owned()])),
        RData::MX(MX::new(10, name("mail.cluster.local."))),
    ];
    let record = |data| Record::from_rdata(name(owner), 70_000, data);
    data.into_iter().map(record).collect()
}

#[test]
fn every_record_reads_as_it_was_meant() {
    let apex = name("cluster.local.");
    let names = [
        "web.default.svc.CLUSTER.local.",
        "1.0.96.10.in-addr.arpa.",
        "cluster.local.",
        ".",
    ];
    for asked in names {
        let bytes = asking(asked, RecordType::ANY).to_vec().expect("bytes");
        let query = parsed(&bytes);
        let answer = Answer {
            authoritative: true,
            answers: records(asked),
            authority: records("cluster.local."),
            additional: records("db-0.db.default.svc.cluster.local."),
            ..Answer::bare(ResponseCode::NXDomain)
        };
        let form = Form {
            apex: &apex,
            limit: 65535,
            payload: 1232,
        };
        let mut out = Vec::new();
        reply::write(&query, &answer, form, &mut out);
        let read = Message::from_vec(&out).expect("a message");
        assert_eq!(read.metadata.response_code, ResponseCode::NXDomain);
        assert!(read.metadata.authoritative && !read.metadata.truncation);
        assert_eq!(read.answers, answer.answers, "{asked}");
        assert_eq!(read.authorities, answer.authority, "{asked}");
        assert_eq!(read.additionals, answer.additional, "{asked}");
        let by_hand = answer
            .answers
            .iter()
            .chain(&answer.authority)
            .chain(&answer.additional);
        let uncompressed: usize = by_hand.map(|record| record.name.len() + 60).sum();
        assert!(out.len() < uncompressed, "{} bytes", out.len());
    }
}

fn stored(answers: Vec<Record>, authority: Vec<Record>, now: Instant) -> Stored {
    let question = Question::query(name("example.com."), RecordType::A);
    let mut message = Message::response(1, OpCode::Query);
    message.add_query(question.clone());
    message.answers = answers;
    message.authorities = authority;
    message.edns = Some(Edns::new());
    Stored::new(&question, message, now).expect("it can be written")
}

#[test]
fn kept_answers_age_and_fit_whoever_asks() {
    let now = Instant::now();
    let kept = stored(records("example.com."), vec![], now);
    assert_eq!(kept.kind, StoredKind::Records);
    let mut message = asking("EXAMPLE.com.", RecordType::A);
    message.metadata.recursion_desired = true;
    message.edns = Some(Edns::new());
    let bytes = message.to_vec().expect("bytes");
    let query = parsed(&bytes);
    let read = |after: u64, limit: usize| {
        let mut out = Vec::new();
        let at = now + Duration::from_secs(after);
        kept.write(&query, at, (limit, 1232), &mut out);
        assert!(out.len() <= limit);
        Message::from_vec(&out).expect("a message")
    };
    let whole = read(100, 4096);
    assert_eq!(whole.metadata.id, 4711);
    assert!(whole.metadata.recursion_desired && whole.edns.is_some());
    assert!(
        whole.queries[0].name().eq_case(&name("EXAMPLE.com.")),
        "its own case"
    );
    assert!(
        whole.answers[0].name.eq_case(&name("EXAMPLE.com.")),
        "its own case"
    );
    assert_eq!(whole.answers.len(), 9);
    assert!(
        whole
            .answers
            .iter()
            .all(|record| record.ttl == 70_000 - 100)
    );
    let old = read(3601, 4096);
    assert!(
        old.answers.iter().all(|record| record.ttl == 30),
        "RFC 8767"
    );
    let cut = read(0, 100);
    assert!(cut.metadata.truncation && cut.answers.is_empty());
}

#[test]
fn how_long_an_answer_holds() {
    let now = Instant::now();
    let record = |ttl| Record::from_rdata(name("a."), ttl, RData::A(A::new(1, 2, 3, 4)));
    let soa = |ttl, minimum| {
        let soa = SOA::new(name("."), name("."), 1, 2, 3, 4, minimum);
        Record::from_rdata(name("."), ttl, RData::SOA(soa))
    };
    let rows = [
        (stored(vec![record(60), record(20)], vec![], now), 20),
        (stored(vec![record(1 << 30)], vec![], now), 3600),
        (stored(vec![record(0)], vec![], now), 0),
        (stored(vec![], vec![soa(900, 60)], now), 60),
        (stored(vec![], vec![soa(9, 60)], now), 9),
        (stored(vec![], vec![soa(1 << 30, 1 << 30)], now), 1800),
        (stored(vec![], vec![], now), FAILURE.as_secs()),
    ];
    for (at, (kept, seconds)) in rows.iter().enumerate() {
        let end = now + Duration::from_secs(*seconds);
        assert_eq!(kept.overdue(end), Some(Duration::ZERO), "row {at}");
        if let Some(before) = end
            .checked_sub(Duration::from_millis(1))
            .filter(|b| *b >= now)
        {
            assert_eq!(kept.overdue(before), None, "row {at}");
        }
    }
}
