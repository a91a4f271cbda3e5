//! A path as it is told: hops, each with where, who and what changed. This is also the JSON of
//! `-o json`: fields are added, none changes its meaning.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::observed::{Observed, Pointed, Ran};

/// The way of a packet and of its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Trace {
    /// Where it starts, as people say it.
    pub(crate) from: String,
    /// Where it is to go.
    pub(crate) to: String,
    /// `tcp` or `udp`.
    pub(crate) protocol: Protocol,
    /// The way there.
    pub(crate) forward: Vec<Hop>,
    /// The way of the answer.
    pub(crate) back: Vec<Hop>,
    /// How it ends.
    pub(crate) outcome: Outcome,
    /// What a packet of our own did; none where the model alone was asked for.
    pub(crate) observed: Option<Observed>,
}

/// Transport protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As the agent's API names it in Services.
    pub(crate) const fn of_service(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    /// As the agent's API names it of sockets.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// IP protocol number.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Tcp => proxy_abi::protocol::TCP,
            Self::Udp => proxy_abi::protocol::UDP,
        }
    }
}

/// How it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It arrives, and the answer does.
    Reached,
    /// It does not.
    NotReached {
        /// A word for programs.
        reason: String,
        /// The same for people.
        words: String,
        /// The object to look at.
        object: String,
    },
    /// What was looked at does not tell.
    NotKnown {
        /// Why not.
        words: String,
    },
}

/// A place that the packet passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Hop {
    /// The node; none: outside of all.
    pub(crate) node: Option<String>,
    /// What kind of place it is.
    pub(crate) kind: Kind,
    /// The place: an interface, a process, a pod.
    pub(crate) place: String,
    /// Who runs it.
    pub(crate) owner: String,
    /// What happens there, and because of which object.
    pub(crate) does: String,
    /// The addresses before and after, where they change.
    pub(crate) change: Option<Change>,
    /// The command that shows it by hand, on that node.
    pub(crate) shown_by: Option<String>,
    /// Nanoseconds from when our packet was first seen until it was seen here, by the nodes'
    /// clocks; none where it cannot be seen, or was not looked for.
    pub(crate) seen_after_nanoseconds: Option<u64>,
    /// The same since it was seen the time before; none where it was not seen before.
    pub(crate) since_before_nanoseconds: Option<u64>,
    /// Whether this is the first hop where it should have been seen and was not.
    pub(crate) not_seen: bool,
    /// What our program made of it, where the kernel lets programs be watched at their work.
    pub(crate) ran: Option<Ran>,
    /// Of connect(): where our own connection really went.
    pub(crate) pointed: Option<Pointed>,
}

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The process that asks.
    Application,
    /// connect() or sendto(), where flatnet's socket programs look at the address.
    Connect,
    /// The loopback of a pod or node.
    Loopback,
    /// A pod's veth pair.
    PodInterface,
    /// Program from_pod.
    FromPod,
    /// Program to_pod.
    ToPod,
    /// Program from_network.
    FromNetwork,
    /// Program to_network.
    ToNetwork,
    /// The node's network stack and its routes.
    Stack,
    /// A VXLAN tunnel.
    Tunnel,
    /// Between the nodes.
    Fabric,
    /// Beyond the nodes.
    Outside,
    /// The socket that takes it.
    Listener,
}

impl Kind {
    /// The word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Connect => "connect",
            Self::Loopback => "loopback",
            Self::PodInterface => "pod-interface",
            Self::FromPod => "from-pod",
            Self::ToPod => "to-pod",
            Self::FromNetwork => "from-network",
            Self::ToNetwork => "to-network",
            Self::Stack => "stack",
            Self::Tunnel => "tunnel",
            Self::Fabric => "fabric",
            Self::Outside => "outside",
            Self::Listener => "listener",
        }
    }
}

/// The addresses of a packet before and after a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// Before.
    pub(crate) before: Tuple,
    /// After.
    pub(crate) after: Tuple,
}

impl Change {
    /// What of it changes: `to`, `from` or both.
    pub(crate) fn word(&self) -> &'static str {
        let from = self.before.from != self.after.from;
        match (from, self.before.to != self.after.to) {
            (true, true) => "from+to",
            (true, false) => "from",
            _ => "to",
        }
    }
}

/// Source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Tuple {
    /// Source.
    pub(crate) from: End,
    /// Destination.
    pub(crate) to: End,
}

impl Tuple {
    /// That of the answer.
    pub(crate) const fn reversed(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} > {}", self.from, self.to)
    }
}

/// An address, and a port where it is known before there is a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    /// The address.
    pub(crate) address: IpAddr,
    /// The port; none: one that the sender's kernel or masquerade chooses.
    pub(crate) port: Option<u16>,
}

impl End {
    /// One whose port the kernel chooses.
    pub(crate) const fn any(address: IpAddr) -> Self {
        Self {
            address,
            port: None,
        }
    }

    /// The address and port, where both are known.
    pub(crate) fn socket(self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address, self.port?))
    }
}

impl From<SocketAddr> for End {
    fn from(at: SocketAddr) -> Self {
        Self {
            address: at.ip(),
            port: Some(at.port()),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.socket(), self.address) {
            (Some(at), _) => write!(out, "{at}"),
            (None, IpAddr::V4(v4)) => write!(out, "{v4}:*"),
            (None, IpAddr::V6(v6)) => write!(out, "[{v6}]:*"),
        }
    }
}

impl Serialize for End {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Hop {
    /// The hop in a word: node, kind, and what of the addresses changes.
    pub(crate) fn code(&self) -> String {
        let node = self.node.as_deref().map(|node| format!("{node}:"));
        let change = self.change.map(|change| format!("[{}]", change.word()));
        let (node, change) = (node.unwrap_or_default(), change.unwrap_or_default());
        format!("{node}{}{change}", self.kind.name())
    }
}
