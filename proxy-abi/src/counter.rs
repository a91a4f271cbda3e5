//! The counters of the programs: one for each way in which a packet's or socket's fate differs.
//!
//! Map `counters`, a per-CPU array of u64 indexed by [`Counter`]; a new counter goes at the end.

/// Index into the map `counters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Counter {
    /// A new flow was made and its packet rewritten.
    FlowCreated = 0,
    /// A flow whose endpoint left the list was moved to another.
    FlowMoved = 1,
    /// connect() was pointed at an endpoint.
    SocketTranslated = 2,
    /// connect() was refused because the frontend has no endpoint.
    SocketRefused = 3,
    /// A packet was answered with a reset or port unreachable: the frontend has no endpoint.
    NoEndpoint = 4,
    /// Dropped: its headers end before their own length says, or cannot be read.
    Malformed = 5,
    /// A new flow goes on from another port of the same client: its own is in use to that endpoint, by
    /// a conversation through another frontend.
    AnotherPort = 6,
    /// No room in the map `flows`: a conversation stays in `openings`, where newer ones may push it
    /// out; or, dropped: no room there either.
    FlowTableFull = 7,
    /// Dropped: a header could not be written.
    RewriteFailed = 8,
    /// Dropped: no route from the node to the endpoint.
    NoRoute = 9,
    /// Dropped: the frontend has no endpoint and the packet is no one to answer (a reset, an
    /// ICMP error, a packet with IP options).
    NoEndpointSilent = 10,
    /// Dropped: the frontend points at a slot that holds no endpoint; the agent's mistake.
    EmptySlot = 11,
    /// Dropped: a pod sent it from an address, or an Ethernet address, that is not its own.
    ForgedSource = 12,
    /// A packet went straight to a pod of this node or out of the node, past the node's stack.
    Shortcut = 13,
    /// A pod's packet began a flow that leaves the cluster under the node's address.
    Masqueraded = 14,
    /// Dropped: every port tried for its new source is taken by another flow or socket.
    PortsExhausted = 15,
    /// Dropped: it leaves the cluster and has nothing by which an answer could be told apart (a
    /// protocol without ports, a fragment whose first was not seen).
    NotMasqueradable = 16,
    /// Dropped: a traffic policy allows only endpoints on this node, and there are none.
    NoLocalEndpoint = 17,
    /// An ICMP error about a translated packet was translated.
    ErrorTranslated = 18,
    /// Dropped: its endpoint is on another node, and this uplink has no address under which the
    /// answer would come back.
    NoSource = 19,
    /// Dropped: the client is in none of the load balancer's source ranges.
    SourceRange = 20,
}

impl Counter {
    /// Every counter in the order of its index.
    pub const ALL: [Self; 21] = [
        Self::FlowCreated,
        Self::FlowMoved,
        Self::SocketTranslated,
        Self::SocketRefused,
        Self::NoEndpoint,
        Self::Malformed,
        Self::AnotherPort,
        Self::FlowTableFull,
        Self::RewriteFailed,
        Self::NoRoute,
        Self::NoEndpointSilent,
        Self::EmptySlot,
        Self::ForgedSource,
        Self::Shortcut,
        Self::Masqueraded,
        Self::PortsExhausted,
        Self::NotMasqueradable,
        Self::NoLocalEndpoint,
        Self::ErrorTranslated,
        Self::NoSource,
        Self::SourceRange,
    ];

    /// Size of the map.
    pub const COUNT: u32 = Self::ALL.len() as u32;

    /// The name that people read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlowCreated => "flow-created",
            Self::FlowMoved => "flow-moved",
            Self::SocketTranslated => "socket-translated",
            Self::SocketRefused => "socket-refused",
            Self::NoEndpoint => "no-endpoint",
            Self::Malformed => "malformed",
            Self::AnotherPort => "another-port",
            Self::FlowTableFull => "flow-table-full",
            Self::RewriteFailed => "rewrite-failed",
            Self::NoRoute => "no-route",
            Self::NoEndpointSilent => "no-endpoint-silent",
            Self::EmptySlot => "empty-slot",
            Self::ForgedSource => "forged-source",
            Self::Shortcut => "shortcut",
            Self::Masqueraded => "masqueraded",
            Self::PortsExhausted => "ports-exhausted",
            Self::NotMasqueradable => "not-masqueradable",
            Self::NoLocalEndpoint => "no-local-endpoint",
            Self::ErrorTranslated => "error-translated",
            Self::NoSource => "no-source",
            Self::SourceRange => "source-range",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_dense_and_in_order() {
        for (index, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, index, "{}", counter.name());
        }
    }
}
