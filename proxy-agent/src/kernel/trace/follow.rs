//! The trace programs with a thread that empties their ring, so that they have room.

use std::mem;
use std::path::Path;
use std::thread;
use std::time::Duration;

use proxy_abi::trace::Event;

use super::{TraceError, Tracer, Wanted};
use crate::kernel::lease::{Gathering, Lease};
use crate::kernel::pins::Pins;

/// Between two looks into the ring, which has room for some 27 000 events.
const LOOK: Duration = Duration::from_millis(10);
/// Events that wait to be taken; more are counted as lost.
const MOST: usize = 50_000;

/// What was told since the last look.
#[derive(Debug, Default)]
pub struct Taken {
    /// In the order of the CPUs' ring: nearly that of their times.
    pub events: Vec<Event>,
    /// Events for which there was no room.
    pub lost: u64,
}

/// A trace that goes on.
pub struct Follow {
    /// The thread that empties the ring; the programs are gone when it has stopped.
    pub gathering: Gathering<Taken>,
    /// Why our own programs are not watched at their work, in words, where they are not.
    pub unwatched: Option<String>,
}

impl Follow {
    /// Loads the programs; when this returns, they see every packet. See [`Tracer::start`].
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn start(
        programs: &Path,
        pins: &Pins,
        wanted: &Wanted,
        spaces: &[u32],
    ) -> Result<Self, TraceError> {
        let mut tracer = Tracer::start(programs, pins, wanted, spaces)?;
        let unwatched = tracer.unwatched.take().map(|error| error.to_string());
        Ok(Self {
            gathering: Gathering::begin(move |held| empty(tracer, held)),
            unwatched,
        })
    }
}

fn empty(mut tracer: Tracer, held: &Lease<Taken>) {
    let mut lost = 0;
    loop {
        // Read before the last look, so that what came before the stop is seen.
        let last = held.is_over();
        let before = mem::replace(&mut lost, tracer.lost());
        held.with(|taken| taken.lost += lost.saturating_sub(before));
        drain(&mut tracer, held);
        if last {
            return;
        }
        thread::sleep(LOOK);
    }
}

/// What is in the ring now. (Bounded: under a flood the ring may never be empty.)
fn drain(tracer: &mut Tracer, held: &Lease<Taken>) {
    for _ in 0..MOST {
        let Some(event) = tracer.next() else {
            return;
        };
        held.with(|taken| match taken.events.len() < MOST {
            true => taken.events.push(event),
            false => taken.lost += 1,
        });
    }
}
