//! What a server says of itself and of who asked.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

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
}
