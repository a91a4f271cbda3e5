//! What somebody who runs the cluster must see, as a value: about which object, and in which words.

use std::fmt;
use std::sync::Arc;

use crate::name::ServiceName;

/// The object that a notice is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// The node of this name.
    Node(Arc<str>),
    /// A Service.
    Service(ServiceName),
}

/// Something that is wrong and that nobody would see otherwise. Two that are equal are the same
/// thing happening still, so what changes all the time (a number) has no place in the words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// What it is about.
    pub about: About,
    /// Why there is a notice, in one word (`TableNearlyFull`), for those who filter.
    pub reason: &'static str,
    /// What was being done, in one word.
    pub action: &'static str,
    /// What is wrong and what helps; a sentence or two of less than 1 024 bytes.
    pub note: String,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "Node {name}"),
            Self::Service(name) => write!(f, "Service {name}"),
        }
    }
}
