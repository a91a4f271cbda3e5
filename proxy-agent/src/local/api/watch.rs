//! `POST /v1/watch` and `POST /v1/watched`: packets as they pass the interfaces of the node and of
//! some of its pods, and what our programs and the kernel do with them.
//!
//! `/v1/watch?addresses=&protocol=&ports=&pods=` looks for packets between two of the addresses;
//! with `follow=true` for those with one of them (or any, without addresses), in all pods' name-
//! spaces; with `drops=true` for those alone that are dropped. `/v1/watched?id=` ends it and tells,
//! with `more=true` it goes on. A watch of which nobody asks ends after fifteen seconds.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// A watch that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Its number.
    pub id: u64,
    /// The node's clock when it answered: nanoseconds since 1970.
    #[serde(default)]
    pub now: u64,
}

/// What it saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The packets, in the order of their times.
    pub sightings: Vec<Sighting>,
    /// Packets, of any kind, that the kernel had no room to show.
    pub missed: u64,
    /// What happened to packets, in the order of their times.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Events for which there was no room.
    #[serde(default)]
    pub lost: u64,
    /// Why there are fewer events than there could be, in words.
    #[serde(default)]
    pub blind: Vec<String>,
}

/// A packet at an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// When, in nanoseconds since 1970 by the node's clock.
    pub nanoseconds: u64,
    /// The pod in whose namespace the interface is; none: the node's own.
    pub pod: Option<IpAddr>,
    /// The interface.
    pub interface: String,
    /// Whether the packet left by it, rather than came.
    pub outgoing: bool,
    /// Source.
    pub from: SocketAddr,
    /// Destination.
    pub to: SocketAddr,
}

/// What happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in nanoseconds since 1970 by the node's clock.
    pub nanoseconds: u64,
    /// What.
    pub what: What,
    /// The pod in whose namespace it was; none: the node's own.
    pub pod: Option<IpAddr>,
    /// The interface; empty where the packet had none (any more).
    pub interface: String,
    /// IP protocol number.
    pub protocol: u8,
    /// Source; its port is 0 where the protocol has none.
    pub from: SocketAddr,
    /// Destination.
    pub to: SocketAddr,
    /// Bytes, as the kernel counts there: with or without the Ethernet header.
    pub length: u32,
    /// Flags of a TCP header: `SYN`, `SYN+ACK`; empty for other protocols.
    pub tcp: String,
}

/// A kind of event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// It came in by the interface.
    Received,
    /// It was handed to the interface's driver.
    Sent,
    /// The kernel threw it away.
    Freed {
        /// The kernel's word (`enum skb_drop_reason`): `NO_SOCKET`.
        reason: String,
        /// The function of the kernel that did, where it tells.
        function: Option<String>,
        /// Why our program had it dropped: names of counters; empty where none of ours did.
        ours: Vec<String>,
    },
    /// One of our programs ran on it.
    Program {
        /// Its name.
        name: String,
        /// `passed`, `dropped` or `redirected`.
        verdict: String,
        /// How long it ran.
        nanoseconds: u64,
        /// Source afterwards.
        after_from: SocketAddr,
        /// Destination afterwards.
        after_to: SocketAddr,
        /// The counters that it moved.
        counters: Vec<String>,
    },
}
