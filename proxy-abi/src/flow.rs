//! A flow: what the packet programs remember of a translated conversation.
//!
//! Each conversation has two entries, one for the packets of the client and one for the replies;
//! each is found by the tuple *as the packet shows it on arrival* and says what tuple to write. The
//! one is the other reversed: `key -> to` for the client, `to reversed -> key reversed` for the
//! replies.
//!
//! Two maps, of the same types, both written by the programs: `openings` holds conversations until
//! both sides have spoken and the client has answered the answer; when it is full, the least
//! recently used goes. `flows` holds the rest, which nothing pushes out; the agent removes what has
//! been silent for too long.

use crate::{Endpoint, Ip, Port};

/// Key of the maps `flows` and `openings`: the tuple of a packet.
///
/// ICMP echo has one identifier in place of two ports: a request has it as its source port, a reply
/// as its destination port, and the other one is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    /// Source address.
    pub source: Ip,
    /// Destination address.
    pub destination: Ip,
    /// Source port.
    pub source_port: Port,
    /// Destination port.
    pub destination_port: Port,
    /// IP protocol number, see [`crate::protocol`].
    pub protocol: u8,
    // Integers, where bytes would be cleared by a call to memset in the kernel half.
    zero: u8,
    zeros: u16,
}

crate::plain_bytes!(FlowKey, 40);

impl FlowKey {
    /// A key from (address, port) of both ends.
    #[inline(always)]
    #[must_use]
    pub const fn new(source: (Ip, Port), destination: (Ip, Port), protocol: u8) -> Self {
        Self {
            source: source.0,
            destination: destination.0,
            source_port: source.1,
            destination_port: destination.1,
            protocol,
            zero: 0,
            zeros: 0,
        }
    }

    /// The sender's end.
    #[inline(always)]
    #[must_use]
    pub const fn from(&self) -> (Ip, Port) {
        (self.source, self.source_port)
    }

    /// The receiver's end.
    #[inline(always)]
    #[must_use]
    pub const fn towards(&self) -> (Ip, Port) {
        (self.destination, self.destination_port)
    }

    /// The tuple of the answers to this one.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self::new(self.towards(), self.from(), self.protocol)
    }

    /// The same, sent to another end.
    #[inline(always)]
    #[must_use]
    pub const fn sent_to(&self, destination: (Ip, Port)) -> Self {
        Self::new(self.from(), destination, self.protocol)
    }

    /// The same, sent from another end.
    #[inline(always)]
    #[must_use]
    pub const fn sent_from(&self, source: (Ip, Port)) -> Self {
        Self::new(source, self.towards(), self.protocol)
    }
}

/// What a flow entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A client's packets to a frontend.
    Request,
    /// An endpoint's packets to the client of a frontend.
    Reply,
    /// A pod's packets that leave the cluster under the node's address.
    Masquerade,
    /// What comes back to those.
    Return,
}

impl Role {
    /// The role of the other half.
    #[inline(always)]
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Request => Self::Reply,
            Self::Reply => Self::Request,
            Self::Masquerade => Self::Return,
            Self::Return => Self::Masquerade,
        }
    }

    /// Whether packets of this half come from the end that began the conversation.
    #[inline(always)]
    #[must_use]
    pub const fn is_client(self) -> bool {
        matches!(self, Self::Request | Self::Masquerade)
    }
}

/// Value of the maps `flows` and `openings`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// The tuple to write.
    pub to: FlowKey,
    /// [`crate::Frontend::generation`] under which the endpoint was last known to be in the list.
    pub generation: u32,
    /// When this half was last used, see [`Flow::time`].
    pub seen: u32,
    role: u8,
    /// What this half has sent so far, see [`Flow::SPOKE`].
    pub state: u8,
    zeros: u16,
}

crate::plain_bytes!(Flow, 52);

impl Flow {
    /// [`Flow::state`]: a packet of this half has passed.
    pub const SPOKE: u8 = 1;
    /// [`Flow::state`]: this half has sent a FIN.
    pub const FINISHED: u8 = 2;
    /// [`Flow::state`]: this half has sent a reset.
    pub const RESET: u8 = 4;

    /// Nanoseconds of CLOCK_MONOTONIC as flows note them: in units of 2^30, which are 1.07 seconds
    /// and need no division.
    #[inline(always)]
    #[must_use]
    pub const fn time(nanoseconds: u64) -> u32 {
        (nanoseconds >> 30) as u32
    }

    /// An entry that writes `to` and has not been used.
    #[inline(always)]
    #[must_use]
    pub const fn new(role: Role, to: FlowKey, generation: u32, now: u32) -> Self {
        Self {
            to,
            generation,
            seen: now,
            role: match role {
                Role::Request => 0,
                Role::Reply => 1,
                Role::Masquerade => 2,
                Role::Return => 3,
            },
            state: 0,
            zeros: 0,
        }
    }

    /// The endpoint to which a client's packets go.
    #[inline(always)]
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.to.destination, self.to.destination_port)
    }

    /// What it is for.
    #[inline(always)]
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.role {
            0 => Role::Request,
            1 => Role::Reply,
            2 => Role::Masquerade,
            _ => Role::Return,
        }
    }

    /// The other half of the entry that stands under `key`: where it stands, and what it holds.
    #[inline(always)]
    #[must_use]
    pub const fn other_half(&self, key: &FlowKey) -> (FlowKey, Self) {
        let role = self.role().other();
        let other = Self::new(role, key.reversed(), self.generation, self.seen);
        (self.to.reversed(), other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: (Ip, Port) = (Ip::v4([10, 244, 1, 2]), Port::new(40_000));
    const FRONTEND: (Ip, Port) = (Ip::v4([10, 96, 0, 10]), Port::new(53));
    const ENDPOINT: (Ip, Port) = (Ip::v4([10, 244, 2, 7]), Port::new(5353));

    #[test]
    fn the_halves_of_a_flow_are_each_others_reverse() {
        let key = FlowKey::new(CLIENT, FRONTEND, crate::protocol::UDP);
        let flow = Flow::new(Role::Request, key.sent_to(ENDPOINT), 7, 100);
        let (reply_key, reply) = flow.other_half(&key);
        assert_eq!(
            reply_key,
            FlowKey::new(ENDPOINT, CLIENT, crate::protocol::UDP)
        );
        assert_eq!(
            reply.to,
            FlowKey::new(FRONTEND, CLIENT, crate::protocol::UDP)
        );
        assert_eq!(reply.other_half(&reply_key), (key, flow));
    }

    #[test]
    fn a_flow_knows_its_role() {
        for role in [Role::Request, Role::Reply, Role::Masquerade, Role::Return] {
            assert_eq!(Flow::new(role, FlowKey::default(), 0, 0).role(), role);
            assert_eq!(role.other().other(), role);
            assert_ne!(role.is_client(), role.other().is_client());
        }
    }
}
