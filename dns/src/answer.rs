//! What is known of a name -> the answer to the question: sections, code, authority.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use cluster_model::ClusterIndex;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::question::{Subject, subject};
use crate::records::records;
use crate::zone::Zone;

/// Longest chain of ExternalName Services that point at each other within the zone.
const MAX_CHAIN: usize = 8;

/// Targets whose addresses are added to an answer of SRV records. A datagram holds no more, and
/// whoever gets more targets asks for those it uses.
const MAX_GLUE: usize = 16;

/// What becomes of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is ours: this is the answer.
    Ours(Answer),
    /// The name is somebody else's.
    Elsewhere,
}

/// An answer, still without the header's identity and flags.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    pub(crate) authoritative: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authority: Vec<Record>,
    pub(crate) additional: Vec<Record>,
    /// Where the last CNAME of the answer leads, if that is out of the zone.
    pub(crate) leads_to: Option<Name>,
}

impl Answer {
    /// An answer that is nothing but its code.
    pub(crate) fn bare(code: ResponseCode) -> Self {
        Self {
            code,
            authoritative: false,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            leads_to: None,
        }
    }
}

/// Answers the question for the records of type `kind` at `name`, spelt as the client spelt it.
///
/// `index` is none while the cluster is not known in full: a denial then could be wrong, and a
/// wrong one would be kept by resolvers. `turn` counts questions: the records of an answer begin
/// with another one each time.
pub(crate) fn answer(
    zone: &Zone,
    index: Option<&ClusterIndex>,
    name: &Name,
    kind: RecordType,
    turn: usize,
) -> Verdict {
    let lower = name.to_lowercase();
    let subject = subject(zone, &lower);
    if matches!(kind, RecordType::AXFR | RecordType::IXFR) {
        return Verdict::Ours(Answer::bare(ResponseCode::Refused));
    }
    if subject == Subject::Outside {
        return Verdict::Elsewhere;
    }
    let Some(index) = index else {
        return Verdict::Ours(Answer::bare(ResponseCode::ServFail));
    };
    let reverse = matches!(subject, Subject::Reverse(_));
    let found = records(zone, index, subject);
    if reverse && found.is_none() {
        // Not an address of ours, and so not a name of ours.
        return Verdict::Elsewhere;
    }
    let asked = Asked {
        zone,
        index,
        name,
        kind,
        turn,
        reverse,
    };
    Verdict::Ours(asked.answer(found))
}

/// A question that is ours to answer.
struct Asked<'a> {
    zone: &'a Zone,
    index: &'a ClusterIndex,
    name: &'a Name,
    kind: RecordType,
    turn: usize,
    /// Whether the name is one of an address, in a zone that is not ours.
    reverse: bool,
}

impl Asked<'_> {
    fn answer(&self, found: Option<Vec<RData>>) -> Answer {
        let mut answer = Answer {
            authoritative: true,
            ..Answer::bare(ResponseCode::NoError)
        };
        let denied = self.follow(&mut answer, found);
        // There is no SOA of ours to show for a reverse name.
        if denied && !self.reverse {
            // The end of the name as it was asked: the zone's name in the question's own case.
            let apex = self
                .name
                .trim_to(usize::from(self.zone.apex().num_labels()));
            answer
                .authority
                .push(self.zone.record(apex, self.zone.soa().clone()));
        }
        answer.additional = self.glue(&answer.answers);
        answer
    }

    /// Fills in the answer section, along CNAMEs as far as they stay in the zone. Says whether
    /// it ended in a denial: of the name (NXDOMAIN) or of the type (no error).
    fn follow(&self, answer: &mut Answer, mut found: Option<Vec<RData>>) -> bool {
        let mut owner = self.name.clone();
        for _ in 0..=MAX_CHAIN {
            let Some(data) = found else {
                answer.code = ResponseCode::NXDomain;
                return true;
            };
            let Some(target) = alias(&data).filter(|_| !self.wants(RecordType::CNAME)) else {
                return !self.add(answer, &owner, data);
            };
            answer
                .answers
                .push(self.zone.record(owner, RData::CNAME(CNAME(target.clone()))));
            let lower = target.to_lowercase();
            let next = subject(self.zone, &lower);
            if matches!(next, Subject::Outside | Subject::Reverse(_)) {
                answer.leads_to = Some(target);
                return false;
            }
            found = records(self.zone, self.index, next);
            owner = target;
        }
        *answer = Answer::bare(ResponseCode::ServFail);
        false
    }

    /// Adds the records of the wanted type, beginning with another one each turn. Says whether
    /// there are any.
    fn add(&self, answer: &mut Answer, owner: &Name, mut data: Vec<RData>) -> bool {
        data.retain(|data| self.wants(data.record_type()));
        if data.is_empty() {
            return false;
        }
        let first = self.turn % data.len();
        data.rotate_left(first);
        let records = data
            .into_iter()
            .map(|data| self.zone.record(owner.clone(), data));
        answer.answers.extend(records);
        true
    }

    fn wants(&self, kind: RecordType) -> bool {
        self.kind == kind || self.kind == RecordType::ANY
    }

    /// Addresses of the hosts that the answers name.
    fn glue(&self, answers: &[Record]) -> Vec<Record> {
        let hosts: BTreeSet<&Name> = answers
            .iter()
            .filter_map(|record| host(&record.data))
            .collect();
        let mut glue = Vec::new();
        for host in hosts.into_iter().take(MAX_GLUE) {
            let lower = host.to_lowercase();
            let data = records(self.zone, self.index, subject(self.zone, &lower));
            let addresses = data
                .into_iter()
                .flatten()
                .filter(|data| data.ip_addr().is_some());
            glue.extend(addresses.map(|data| self.zone.record(host.clone(), data)));
        }
        glue
    }
}

/// Where a CNAME among the records points.
fn alias(data: &[RData]) -> Option<Name> {
    data.iter().find_map(|data| match data {
        RData::CNAME(target) => Some(target.0.clone()),
        _ => None,
    })
}

/// The host that a record sends its reader to.
fn host(data: &RData) -> Option<&Name> {
    match data {
        RData::SRV(srv) => Some(&srv.target),
        RData::NS(server) => Some(&server.0),
        _ => None,
    }
}
