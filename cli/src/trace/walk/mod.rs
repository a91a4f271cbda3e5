//! The walk of a packet by what nodes are and hold, as the programs in the kernel take it: which
//! hops it passes, what changes there, and how it ends. Pure.
//!
//! The answer takes the same walk, and is turned back where the request was turned: the programs
//! look for a known conversation first. `pod` and `process` begin a walk, `network` goes on with it
//! on another node, `translate` is what a program does to addresses, `deliver` is the end.

mod deliver;
mod network;
mod pod;
mod process;
#[cfg(test)]
mod tests;
mod translate;

pub(crate) use deliver::STOPPED;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::facts::{Facts, Lack, Need};
use super::path::{Change, End, Hop, Kind, Outcome, Protocol, Tuple};

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// Who sends.
    pub(crate) source: Source,
    /// Where to.
    pub(crate) to: SocketAddr,
    /// By which protocol.
    pub(crate) protocol: Protocol,
    /// Which endpoint is taken, of several; without it the first.
    pub(crate) endpoint: Option<IpAddr>,
    /// By which node a client from outside comes in, where the address does not tell.
    pub(crate) through: Option<String>,
    /// What a packet of our own says. (The walk is the same.)
    pub(crate) says: Says,
}

/// What a datagram of our own says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// So many bytes; 0: a few.
    Bytes(u16),
    /// A question for a name.
    Name(String),
}

/// Who sends a packet, or takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A pod: its node and address.
    Pod(String, IpAddr),
    /// A process of a node, and the address that it sends from.
    Process(String, IpAddr),
    /// Somebody beyond the nodes.
    Outside(IpAddr),
}

impl Source {
    /// The address that it sends from.
    pub(crate) const fn address(&self) -> IpAddr {
        match self {
            Self::Pod(_, address) | Self::Process(_, address) | Self::Outside(address) => *address,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    /// The way there.
    pub(crate) forward: Vec<Hop>,
    /// The way of the answer.
    pub(crate) back: Vec<Hop>,
    /// How it ends.
    pub(crate) outcome: Outcome,
    /// Whom a packet may go to where a Service has several endpoints: the programs choose, the
    /// model takes one.
    pub(crate) candidates: Vec<SocketAddr>,
}

/// The names of addresses: `pod default/web`.
pub(crate) type Names = BTreeMap<IpAddr, String>;

/// Why a walk does not go on.
enum Stop {
    /// A fact is to be fetched.
    Need(Need),
    /// It ends here.
    Ended(Outcome),
}

impl From<Lack> for Stop {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::Need(need) => Self::Need(need),
            Lack::Silent(words) => Self::Ended(Outcome::NotKnown { words }),
        }
    }
}

type Step<T> = Result<T, Stop>;

/// A translation that answers take back.
#[derive(Clone, Debug)]
struct Undo {
    node: String,
    change: Change,
    /// Masquerade is taken back only where packets come in from the network.
    masquerade: bool,
}

/// A packet on its way.
struct Walker<'a> {
    facts: &'a Facts,
    names: &'a Names,
    protocol: Protocol,
    pick: Option<IpAddr>,
    tuple: Tuple,
    /// Whether this is the answer.
    answers: bool,
    undo: Vec<Undo>,
    hops: Vec<Hop>,
    candidates: Vec<SocketAddr>,
}

/// Walks there and back.
///
/// # Errors
/// [`Need`]: the fact that is missing. With it the walk is to be begun anew.
pub(crate) fn walk(ask: &Ask, facts: &Facts, names: &Names) -> Result<Walked, Need> {
    let mut walker = Walker {
        facts,
        names,
        protocol: ask.protocol,
        pick: ask.endpoint,
        tuple: Tuple {
            from: End::any(ask.source.address()),
            to: ask.to.into(),
        },
        answers: false,
        undo: Vec::new(),
        hops: Vec::new(),
        candidates: Vec::new(),
    };
    let arrived = walker.send(&ask.source, ask.through.as_deref());
    let forward = std::mem::take(&mut walker.hops);
    let candidates = std::mem::take(&mut walker.candidates);
    let (back, outcome) = match arrived {
        Ok(there) => {
            walker.answers = true;
            walker.tuple = walker.tuple.reversed();
            let end = walker.send(&there, None);
            (walker.hops, returned(end, &there)?)
        }
        Err(Stop::Need(need)) => return Err(need),
        Err(Stop::Ended(outcome)) => (Vec::new(), outcome),
    };
    Ok(Walked {
        forward,
        back,
        outcome,
        candidates,
    })
}

fn returned(end: Step<Source>, there: &Source) -> Result<Outcome, Need> {
    match (end, there) {
        (Ok(_), Source::Outside(address)) => Ok(Outcome::NotKnown {
            words: format!("{address} is beyond the nodes: whether it answers only a packet shows"),
        }),
        (Ok(_), _) => Ok(Outcome::Reached),
        (Err(Stop::Need(need)), _) => Err(need),
        (Err(Stop::Ended(outcome)), _) => Ok(outcome),
    }
}

impl Walker<'_> {
    /// From its sender to whoever takes it.
    fn send(&mut self, source: &Source, through: Option<&str>) -> Step<Source> {
        match source {
            Source::Pod(node, address) => self.pod_sends(node, *address),
            Source::Process(node, _) => self.process_sends(node),
            Source::Outside(address) => self.outside_sends(*address, through),
        }
    }

    fn outside_sends(&mut self, address: IpAddr, through: Option<&str>) -> Step<Source> {
        let does = if self.answers { "answers" } else { "sends" };
        let place = self.called(address);
        self.hop(None, (Kind::Outside, "its own"), place, does);
        let node = match (self.node_of(self.tuple.to.address)?, through) {
            (Some(node), _) => node,
            (None, Some(node)) => node.to_owned(),
            (None, None) => {
                let to = self.tuple.to.address;
                let words = format!(
                    "which node {to} comes in by is for the network outside: name it by --through"
                );
                return Err(Stop::Ended(Outcome::NotKnown { words }));
            }
        };
        self.arrive(&node, None)
    }

    /// The node that an address belongs to: its own, or in its pod CIDRs.
    fn node_of(&self, address: IpAddr) -> Step<Option<String>> {
        let Some(any) = self.facts.any_node() else {
            return Ok(None);
        };
        let mut peers = self.facts.node(&any)?.peers.iter();
        let owner = peers.find(|peer| peer.has(address));
        Ok(owner.map(|peer| peer.name.clone()))
    }

    /// What an address is called.
    fn called(&self, address: IpAddr) -> String {
        let name = self.names.get(&address);
        name.map_or_else(|| address.to_string(), |name| format!("{name} ({address})"))
    }

    /// Lets a hop at which the walk ends say so.
    fn settle<T>(&mut self, step: Step<T>) -> Step<T> {
        if let (Err(Stop::Ended(Outcome::NotReached { words, .. })), Some(hop)) =
            (&step, self.hops.last_mut())
        {
            hop.does.clone_from(words);
        }
        step
    }

    /// The next hop: at a node or none, what it is and who runs it, where, and what happens.
    fn hop(
        &mut self,
        node: Option<&str>,
        (kind, owner): (Kind, &str),
        place: impl Into<String>,
        does: impl Into<String>,
    ) -> &mut Hop {
        self.hops.push(Hop {
            node: node.map(str::to_owned),
            kind,
            place: place.into(),
            owner: owner.to_owned(),
            does: does.into(),
            change: None,
            shown_by: None,
            seen_after_nanoseconds: None,
            since_before_nanoseconds: None,
            not_seen: false,
            ran: None,
            pointed: None,
        });
        let last = self.hops.len() - 1;
        &mut self.hops[last]
    }
}

/// The packet ends here.
fn ended(reason: &str, words: impl Into<String>, object: impl Into<String>) -> Stop {
    Stop::Ended(Outcome::NotReached {
        reason: reason.to_owned(),
        words: words.into(),
        object: object.into(),
    })
}
