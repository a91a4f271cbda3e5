//! What one real packet did, beside what the model says. Part of the JSON of `-o json`.

use std::net::SocketAddr;

use proxy_agent::local::api::Probe;
use serde::Serialize;

/// What a packet of our own did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Observed {
    /// What came back.
    pub(crate) probe: Probe,
    /// What the programs counted as dropped or refused meanwhile.
    pub(crate) drops: Vec<NodeDrop>,
    /// Where kernels threw packets of this conversation away, in the order of time.
    pub(crate) freed: Vec<Freed>,
    /// Packets of any kind that could not be looked at: ours may have been among them.
    pub(crate) missed: u64,
    /// Events of the conversation for which there was no room.
    pub(crate) lost: u64,
    /// Why nodes tell less than they could, in words.
    pub(crate) blind: Vec<String>,
    /// By how much nodes' clocks differ from this machine's as far as that can be told, where they
    /// do: times are corrected by it.
    pub(crate) clocks: Vec<NodeClock>,
    /// Where model and packet part, in words; none where they agree.
    pub(crate) difference: Option<String>,
}

/// Drops on a node while the packet was on its way. (Of any packets: a busy node has others.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NodeDrop {
    /// The node.
    pub(crate) node: String,
    /// The reason's name.
    pub(crate) reason: String,
    /// How often.
    pub(crate) count: u64,
    /// What it means.
    pub(crate) words: &'static str,
}

/// A packet that a kernel threw away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Freed {
    /// The node.
    pub(crate) node: String,
    /// Where on it: an interface, or whose network namespace.
    pub(crate) place: String,
    /// Why: a counter of flatnet's, or the kernel's word.
    pub(crate) reason: String,
    /// The same for people.
    pub(crate) words: String,
    /// What to look at.
    pub(crate) object: String,
    /// The kernel's function, where it tells.
    pub(crate) function: Option<String>,
    /// The packet: `SOURCE > DESTINATION`.
    pub(crate) packet: String,
}

/// A clock that differs from this machine's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NodeClock {
    /// The node.
    pub(crate) node: String,
    /// How far it is ahead, in nanoseconds; negative: behind.
    pub(crate) ahead_nanoseconds: i64,
    /// How wrong that may be, in nanoseconds.
    pub(crate) within_nanoseconds: u64,
}

/// Where a connection goes that a socket program has pointed at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Pointed {
    /// As the kernel's table of connections has it.
    pub(crate) towards: SocketAddr,
    /// As getpeername() tells the process.
    pub(crate) peer: SocketAddr,
}

/// A run of one of our programs on the packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ran {
    /// How long.
    pub(crate) nanoseconds: u64,
    /// `passed`, `redirected` or `dropped`.
    pub(crate) verdict: String,
    /// The counters that it moved.
    pub(crate) counters: Vec<String>,
}
