//! Watches: a capture in the node's namespace and one in each of some pods'.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use proxy_abi::{Ip, Port};

use super::api::{Sighting, Watched};
use crate::kernel::capture::{self, Capture, Wanted};
use crate::kernel::spaces::Space;

/// The watches that nobody has ended.
#[derive(Default)]
pub struct Watches(Mutex<Held>);

#[derive(Default)]
struct Held {
    last: u64,
    all: BTreeMap<u64, Vec<(Option<IpAddr>, Capture)>>,
}

impl Watches {
    /// Begins one in these namespaces, those of pods with their addresses. Forgets those that have
    /// ended by themselves.
    ///
    /// # Errors
    /// If one of the captures cannot begin.
    pub fn start(&self, spaces: Vec<(Option<IpAddr>, Space)>, wanted: &Wanted) -> io::Result<u64> {
        let begin = |(pod, space): (Option<IpAddr>, Space)| {
            let capture = Capture::start(&space, wanted.clone())?;
            Ok((pod, capture))
        };
        let captures = spaces.into_iter().map(begin).collect::<io::Result<_>>()?;
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.all.retain(|_, captures: &mut Vec<(_, Capture)>| {
            captures.iter().any(|(_, one)| !one.is_over())
        });
        held.last += 1;
        let id = held.last;
        held.all.insert(id, captures);
        Ok(id)
    }

    /// Ends one; `None` if there is none of that number. Blocks for a moment.
    #[must_use]
    pub fn stop(&self, id: u64) -> Option<Watched> {
        let captures = {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            held.all.remove(&id)?
        };
        let mut watched = Watched::default();
        for (pod, capture) in captures {
            let taken = capture.stop();
            watched.missed += taken.missed;
            let told = |one: capture::Sighting| told(pod, one);
            watched
                .sightings
                .extend(taken.sightings.into_iter().map(told));
        }
        watched.sightings.sort_by_key(|one| one.nanoseconds);
        Some(watched)
    }
}

fn told(pod: Option<IpAddr>, one: capture::Sighting) -> Sighting {
    let socket = |(ip, port): (Ip, Port)| SocketAddr::new(ip.into(), port.number());
    Sighting {
        nanoseconds: one.nanoseconds,
        pod,
        interface: one.interface,
        outgoing: one.outgoing,
        from: socket(one.tuple.from()),
        to: socket(one.tuple.towards()),
    }
}
