//! A question to a DNS server as the words of a probe, and what its answer says.

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use super::api::Lookup;

/// The packet that asks for the addresses of a name in one family. (Its identifier is no secret: it
/// is one question, to find out whether it is answered.)
///
/// # Errors
/// If this is no name.
pub fn question(name: &str, v6: bool) -> Result<Vec<u8>, ProtoError> {
    let mut name = Name::from_ascii(name)?;
    name.set_fqdn(true);
    let kind = if v6 { RecordType::AAAA } else { RecordType::A };
    let mut message = Message::new(0xf1a7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    message.to_vec()
}

/// What the answer says; none if it is no answer.
#[must_use]
pub fn told(bytes: &[u8]) -> Option<Lookup> {
    let message = Message::from_vec(bytes).ok()?;
    let address = |data: &RData| match data {
        RData::A(a) => Some(a.0.into()),
        RData::AAAA(a) => Some(a.0.into()),
        _ => None,
    };
    let records = message.answers.iter();
    (message.metadata.message_type == MessageType::Response).then(|| Lookup {
        code: message.metadata.response_code.to_str().to_owned(),
        addresses: records.filter_map(|record| address(&record.data)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::A;

    use super::*;

    #[test]
    fn a_question_is_no_answer_and_an_answer_is_read() {
        let bytes = question("backend.default.svc.cluster.local", false).expect("a name");
        assert_eq!(told(&bytes), None);
        let asked = Message::from_vec(&bytes).expect("a question");
        let query = &asked.queries[0];
        assert_eq!(query.query_type(), RecordType::A);
        let mut answer = Message::response(asked.metadata.id, OpCode::Query);
        let data = RData::A(A::new(10, 96, 0, 7));
        answer.add_answer(Record::from_rdata(query.name().clone(), 5, data));
        let read = told(&answer.to_vec().expect("bytes")).expect("an answer");
        assert_eq!(
            read.addresses,
            ["10.96.0.7".parse::<std::net::IpAddr>().expect("v4")]
        );
        assert_eq!(read.code, "No Error");
        assert_eq!(told(b"nonsense"), None);
    }
}
