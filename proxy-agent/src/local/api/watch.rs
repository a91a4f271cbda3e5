//! `POST /v1/watch?addresses=&protocol=&pods=` and `POST /v1/watched?id=`: packets as they pass the
//! interfaces of the node and of some of its pods. A watch ends when it is asked for, or after
//! fifteen seconds.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// A watch that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Its number.
    pub id: u64,
}

/// What it saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The packets, in the order of their times.
    pub sightings: Vec<Sighting>,
    /// Packets, of any kind, that the kernel had no room to show.
    pub missed: u64,
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
