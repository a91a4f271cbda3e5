//! Watches: the trace programs, and packet sockets in the node's namespace and in those of pods.

mod told;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::api::Watched;
use crate::kernel::capture;
use crate::kernel::clock;
use crate::kernel::lease::Gathering;
use crate::kernel::pins::Pins;
use crate::kernel::spaces::Space;
use crate::kernel::trace::{self, Follow, Wanted};
use told::Told;

/// The watches that nobody has ended.
#[derive(Default)]
pub struct Watches(Mutex<Held>);

#[derive(Default)]
struct Held {
    last: u64,
    all: BTreeMap<u64, Watch>,
}

/// Where the trace programs are and what they are to see.
pub struct Sight<'a> {
    /// The data path's object.
    pub programs: &'a Path,
    /// Of this node.
    pub pins: &'a Pins,
    /// Which packets.
    pub wanted: &'a Wanted,
    /// In these namespaces, those of pods with their addresses.
    pub spaces: Vec<(Option<IpAddr>, Space)>,
    /// Whether packet sockets look too, and not only where there are no events.
    pub sockets: bool,
}

struct Watch {
    captures: Vec<(Option<IpAddr>, Gathering<capture::Taken>)>,
    follow: Option<Gathering<trace::Taken>>,
    told: Told,
}

impl Watches {
    /// Begins one; what of it cannot begin is said with what it sees. Forgets those that have ended
    /// by themselves.
    pub fn start(&self, sight: Sight<'_>) -> u64 {
        let watch = Watch::start(sight);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.all.retain(|_, watch| !watch.is_over());
        held.last += 1;
        let id = held.last;
        held.all.insert(id, watch);
        id
    }

    /// What one has seen since it was last asked, or until it is ended; `None` if there is none of
    /// that number. Blocks for a moment.
    #[must_use]
    pub fn take(&self, id: u64, goes_on: bool) -> Option<Watched> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if goes_on {
            return held.all.get(&id).map(Watch::take);
        }
        let watch = held.all.remove(&id)?;
        drop(held);
        Some(watch.stop())
    }
}

impl Watch {
    fn start(sight: Sight<'_>) -> Self {
        let mut told = Told::new(&sight.spaces);
        let inodes = told.inodes();
        let follow = match Follow::start(sight.programs, sight.pins, sight.wanted, &inodes) {
            Ok(follow) => {
                told.blind.extend(follow.unwatched);
                Some(follow.gathering)
            }
            Err(error) => {
                told.blind.push(error.to_string());
                None
            }
        };
        // Packets at interfaces are no drops.
        let sockets = sight.sockets || (follow.is_none() && !sight.wanted.only_drops);
        let mut captures = Vec::new();
        for (pod, space) in told.spaces(&sight.spaces).filter(|_| sockets) {
            match capture::start(space, sight.wanted.clone()) {
                Ok(capture) => captures.push((pod, capture)),
                Err(error) => told.blind.push(format!(
                    "no packet socket in the network namespace of {}: {error}",
                    pod.map_or("the node".to_owned(), |pod| format!("pod {pod}")),
                )),
            }
        }
        Self {
            captures,
            follow,
            told,
        }
    }

    fn is_over(&self) -> bool {
        self.captures.iter().all(|(_, one)| one.is_over())
            && self.follow.as_ref().is_none_or(Gathering::is_over)
    }

    fn take(&self) -> Watched {
        let captured = self.captures.iter().map(|(pod, one)| (*pod, one.take()));
        let followed = self.follow.as_ref().map(Gathering::take);
        self.told.all(captured, followed, clock::offset())
    }

    fn stop(self) -> Watched {
        let captured = self
            .captures
            .into_iter()
            .map(|(pod, one)| (pod, one.stop()));
        let followed = self.follow.map(Gathering::stop);
        self.told.all(captured, followed, clock::offset())
    }
}
