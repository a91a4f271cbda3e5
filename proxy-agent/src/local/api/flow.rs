//! `GET /v1/flows`: the conversations that the kernel translates. `?address=` asks for those of
//! one address (in any place), `?limit=` for so many at most.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flows {
    /// The node.
    pub node: String,
    /// How many there are that fit, whether they are listed or not.
    pub found: u64,
    /// Those that are listed.
    pub flows: Vec<Flow>,
}

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flow {
    /// `tcp`, `udp`, `sctp` or `icmp`.
    pub protocol: String,
    /// `service`: its client asked a frontend; `masquerade`: a pod left the cluster.
    pub kind: String,
    /// The client, as it sends. (ICMP has an identifier for a port.)
    pub client: SocketAddr,
    /// Whom it asks.
    pub asked: SocketAddr,
    /// Whom the other end sees.
    pub seen_as: SocketAddr,
    /// The other end.
    pub endpoint: SocketAddr,
    /// `opening`, `established`, `half_closed`, `closed` or `orphan`.
    pub state: String,
    /// Seconds since either side spoke, in steps of about one.
    pub idle_seconds: u64,
}
