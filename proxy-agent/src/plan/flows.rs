//! How long the kernel remembers conversations, and which of them a change of Services ends. Pure.
//!
//! A conversation has two entries, of which only one may be looked at at a time; everything here
//! is decided on both together ([`Join`]), and once more when the entries are about to go, since
//! a packet may have used them meanwhile.

mod clients;
mod join;
mod pace;
mod timeouts;
mod touched;

#[cfg(test)]
mod tests;

use proxy_abi::{Flow, FlowKey, protocol};

pub use clients::Clients;
pub use join::{Doomed, Join, Looked};
pub use pace::{Alarm, interval, nearly_full, rest};
pub use timeouts::Timeouts;
pub use touched::{Change, Changes, Serving, Touched};

/// How far a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The client has not answered an answer.
    Opening,
    /// Both sides have spoken, the client twice.
    Established,
    /// One side has sent its FIN.
    HalfClosed,
    /// Both have, or one has sent a reset.
    Closed,
    /// Of the two entries there is one.
    Orphan,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Opening,
        Self::Established,
        Self::HalfClosed,
        Self::Closed,
        Self::Orphan,
    ];

    /// As metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Established => "established",
            Self::HalfClosed => "half_closed",
            Self::Closed => "closed",
            Self::Orphan => "orphan",
        }
    }
}

/// Why a conversation is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Silent for longer than its state is remembered.
    Idle(State),
    /// Its endpoint serves no more.
    EndpointGone,
    /// Its frontend is no more.
    FrontendGone,
}

impl Reason {
    /// As metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle(State::Opening) => "idle_opening",
            Self::Idle(State::Established) => "idle_established",
            Self::Idle(State::HalfClosed) => "idle_half_closed",
            Self::Idle(State::Closed) => "idle_closed",
            Self::Idle(State::Orphan) => "idle_orphan",
            Self::EndpointGone => "endpoint_gone",
            Self::FrontendGone => "frontend_gone",
        }
    }
}

/// The transport protocol, as metrics name it.
#[must_use]
pub const fn protocol_name(number: u8) -> &'static str {
    match number {
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::SCTP => "sctp",
        protocol::ICMP | protocol::ICMP6 => "icmp",
        _ => "other",
    }
}

/// The keys of both entries of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Keys {
    /// What the client's packets show.
    pub client: FlowKey,
    /// What the answers show.
    pub answers: FlowKey,
}

impl Keys {
    /// The keys of the conversation of which `flow` stands under `key`.
    #[must_use]
    pub const fn of(key: &FlowKey, flow: &Flow) -> Self {
        match flow.role().is_client() {
            true => Self {
                client: *key,
                answers: flow.to.reversed(),
            },
            false => Self {
                client: flow.to.reversed(),
                answers: *key,
            },
        }
    }

    /// Whether one entry is the whole of it: a pod's answers to what came under its own address
    /// are only kept from being masqueraded.
    fn is_single(&self) -> bool {
        self.client.reversed() == self.answers
    }
}

/// What an entry says of its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// [`Flow::seen`].
    pub seen: u32,
    /// [`Flow::state`].
    pub state: u8,
    /// Whether the conversation may still be one that nobody answered.
    pub opening: bool,
}

impl Half {
    /// What an entry that stands in this table says.
    #[must_use]
    pub const fn of(flow: &Flow, table: Table) -> Self {
        Self {
            seen: flow.seen,
            state: flow.state,
            opening: match table {
                Table::Flows => false,
                Table::Openings => true,
                Table::Overflow => flow.state & Flow::SPOKE == 0,
            },
        }
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The map `flows`.
    Flows,
    /// The map `openings`.
    Openings,
    /// The same while `flows` has no room: a conversation that was answered may be established.
    Overflow,
}

/// A conversation as its entries tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// IP protocol number.
    pub protocol: u8,
    /// How far it is.
    pub state: State,
    /// When either side last spoke.
    pub seen: u32,
}

impl Conversation {
    /// The conversation of these entries.
    #[must_use]
    pub fn of(keys: &Keys, one: Half, other: Option<Half>) -> Self {
        let protocol = keys.client.protocol;
        Self {
            protocol,
            state: match (other, keys.is_single()) {
                (None, true) => single(protocol, one),
                // The table may have pushed out the other one; the programs make it anew.
                (None, false) if one.opening => State::Opening,
                (None, false) => State::Orphan,
                (Some(other), _) => both(protocol, one, other),
            },
            seen: one.seen.max(other.map_or(0, |other| other.seen)),
        }
    }

    /// Whether it has been silent for so long that it goes.
    #[must_use]
    pub fn is_over(&self, timeouts: &Timeouts, now: u32) -> bool {
        // What was used after `now` was read is not idle at all.
        now.saturating_sub(self.seen) > timeouts.of(self.protocol, self.state)
    }
}

/// A client that is answered from the pod's own address. A TCP connection needs the entry for its
/// first packets alone, of others each packet does.
fn single(protocol: u8, half: Half) -> State {
    match half.state & Flow::SPOKE != 0 && protocol != protocol::TCP {
        true => State::Established,
        false => State::Opening,
    }
}

fn both(protocol: u8, one: Half, other: Half) -> State {
    let (any, all) = (one.state | other.state, one.state & other.state);
    let is_tcp = protocol == protocol::TCP;
    if is_tcp && (any & Flow::RESET != 0 || all & Flow::FINISHED != 0) {
        State::Closed
    } else if is_tcp && any & Flow::FINISHED != 0 {
        State::HalfClosed
    } else if one.opening || other.opening {
        State::Opening
    } else {
        State::Established
    }
}
