//! What a server says of itself and of who asked.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// No datagram is larger.
pub(crate) const LARGEST: usize = 0xffff;

/// Begins a question that wants an answer of its own size.
const AS_LARGE: &[u8] = b"who, at this length?";

/// A question of `size` bytes that wants an answer as large, or a short one.
pub(crate) fn question(size: Option<usize>) -> Vec<u8> {
    let Some(size) = size else {
        return b"who?".to_vec();
    };
    let mut question = AS_LARGE.to_vec();
    question.resize(size.max(AS_LARGE.len()), b'.');
    question
}

/// One answer, as JSON on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The pod's name (env POD_NAME), or the host's.
    pub(crate) pod: String,
    /// The pod's address (env POD_IP); empty outside a pod.
    pub(crate) address: String,
    /// The pod's node (env NODE_NAME); empty outside a pod.
    pub(crate) node: String,
    /// The address and port the question came from, as the server saw it.
    pub(crate) client: SocketAddr,
}

impl Answer {
    pub(crate) fn to(client: SocketAddr) -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let pod = Some(variable("POD_NAME")).filter(|name| !name.is_empty());
        Self {
            pod: pod.unwrap_or_else(|| variable("HOSTNAME")),
            address: variable("POD_IP"),
            node: variable("NODE_NAME"),
            client,
        }
    }

    /// The answer to `question`, padded if that is wanted.
    pub(crate) fn datagram(&self, question: &[u8]) -> serde_json::Result<Vec<u8>> {
        let mut answer = serde_json::to_vec(self)?;
        if question.starts_with(AS_LARGE) {
            answer.resize(question.len().max(answer.len()), b' ');
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_back() {
        let answer = Answer::to(([10, 244, 1, 2], 40000).into());
        let text = serde_json::to_string(&answer).expect("JSON");
        assert!(text.contains("\"client\":\"10.244.1.2:40000\""), "{text}");
        assert_eq!(
            serde_json::from_str::<Answer>(&text).expect("an answer"),
            answer
        );
    }

    #[test]
    fn a_datagram_is_as_large_as_the_question_if_that_is_wanted() {
        let answer = Answer::to(([10, 244, 1, 2], 40000).into());
        for (size, expected) in [(None, text_of(&answer).len()), (Some(60_000), 60_000)] {
            let datagram = answer.datagram(&question(size)).expect("JSON");
            assert_eq!(datagram.len(), expected, "{size:?}");
            let read = serde_json::from_slice::<Answer>(&datagram);
            assert_eq!(read.expect("an answer"), answer);
        }
    }

    fn text_of(answer: &Answer) -> String {
        serde_json::to_string(answer).expect("JSON")
    }
}
