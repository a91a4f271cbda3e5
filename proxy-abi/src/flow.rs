//! A flow: what the packet programs remember of a translated conversation.
//!
//! Map `flows`, written by the programs. Each conversation has two entries, one for the packets
//! of the client and one for the replies; each is found by the tuple *as the packet shows it on
//! arrival* and says which part to rewrite to what.

use crate::{Ip, Port};

/// Key of the map `flows`: the tuple of a packet before translation.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
    zero: [u8; 3],
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
            zero: [0; 3],
        }
    }

    /// The key of the answers to this packet once its destination is rewritten to `endpoint`.
    #[inline(always)]
    #[must_use]
    pub const fn reply_from(&self, endpoint: (Ip, Port)) -> Self {
        Self::new(endpoint, (self.source, self.source_port), self.protocol)
    }
}

/// Which part of the packet a flow rewrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The source: a reply takes the frontend's address again.
    Source,
    /// The destination: a client's packet goes to the endpoint.
    Destination,
}

/// Value of the map `flows`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Address to write.
    pub address: Ip,
    /// Port to write.
    pub port: Port,
    part: u8,
    zero: u8,
    /// [`crate::Frontend::generation`] under which the endpoint was last known to be in the list.
    pub generation: u32,
}

crate::plain_bytes!(Flow, 24);

impl Flow {
    /// The client's direction: its packets go to `endpoint`.
    #[inline(always)]
    #[must_use]
    pub const fn to_endpoint(endpoint: (Ip, Port), generation: u32) -> Self {
        Self {
            address: endpoint.0,
            port: endpoint.1,
            part: 1,
            zero: 0,
            generation,
        }
    }

    /// The replies' direction: they come from `frontend`, as far as the client can tell.
    #[inline(always)]
    #[must_use]
    pub const fn from_frontend(frontend: (Ip, Port), generation: u32) -> Self {
        Self {
            address: frontend.0,
            port: frontend.1,
            part: 0,
            zero: 0,
            generation,
        }
    }

    /// Which part of the packet to rewrite.
    #[inline(always)]
    #[must_use]
    pub const fn part(&self) -> Part {
        if self.part == 0 {
            Part::Source
        } else {
            Part::Destination
        }
    }

    /// What to write there.
    #[inline(always)]
    #[must_use]
    pub const fn target(&self) -> (Ip, Port) {
        (self.address, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_key_is_the_reversed_translated_tuple() {
        let client = (Ip::v4([10, 244, 1, 2]), Port::new(40000));
        let frontend = (Ip::v4([10, 96, 0, 10]), Port::new(53));
        let endpoint = (Ip::v4([10, 244, 2, 7]), Port::new(5353));
        let key = FlowKey::new(client, frontend, crate::protocol::UDP);
        assert_eq!(
            key.reply_from(endpoint),
            FlowKey::new(endpoint, client, crate::protocol::UDP)
        );
    }

    #[test]
    fn a_flow_knows_its_direction() {
        let at = (Ip::v4([1, 2, 3, 4]), Port::new(80));
        assert_eq!(Flow::to_endpoint(at, 1).part(), Part::Destination);
        assert_eq!(Flow::from_frontend(at, 1).part(), Part::Source);
        assert_eq!(Flow::to_endpoint(at, 1).target(), at);
    }
}
