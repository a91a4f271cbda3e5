//! Which slots of the map `endpoints` are free.
//!
//! A list takes a run of slots. A run that no frontend points at any more is retired first and
//! given out again only after a while: a program that read the old frontend entry may still be
//! reading its slots.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// How long a retired run rests. Programs run for microseconds; a second is safe also where the
/// kernel is preempted in the middle of one.
pub const REST: Duration = Duration::from_secs(1);

/// A run of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// First slot.
    pub first: u32,
    /// Number of slots, at least 1.
    pub len: u32,
}

/// No free run is long enough.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the map `endpoints` has no {wanted} free slots in a row (size {size}, {resting} resting); \
     a larger map needs a node without \
     pins, started with a larger --endpoint-slots"
)]
pub struct OutOfSlots {
    /// Slots asked for.
    pub wanted: u32,
    /// Slots in all.
    pub size: u32,
    /// Slots that will be free again within [`REST`].
    pub resting: u32,
}

/// Knows which slots are free, in use, or resting.
#[derive(Debug)]
pub struct Slots {
    size: u32,
    /// First slot -> length; runs never touch each other.
    free: BTreeMap<u32, u32>,
    /// The same, by length and then first slot: the cost of a list is not that of all gaps.
    gaps: BTreeSet<(u32, u32)>,
    /// In the order in which they were retired.
    resting: VecDeque<(Instant, Run)>,
}

impl Slots {
    /// `size` slots of which `used` are in use. Overlapping runs (an earlier agent's mistake) are
    /// taken as their union.
    #[must_use]
    pub fn new(size: u32, used: impl IntoIterator<Item = Run>) -> Self {
        let mut used: Vec<Run> = used.into_iter().collect();
        used.sort();
        let mut free = BTreeMap::new();
        let mut next = 0;
        for run in used {
            let first = run.first.min(size);
            if first > next {
                free.insert(next, first - next);
            }
            next = next.max(run.first.saturating_add(run.len));
        }
        if next < size {
            free.insert(next, size - next);
        }
        Self {
            size,
            gaps: free.iter().map(|(first, len)| (*len, *first)).collect(),
            free,
            resting: VecDeque::new(),
        }
    }

    /// Takes `len` slots of the smallest free run that has them.
    ///
    /// # Errors
    /// [`OutOfSlots`] if there is none; nothing is taken then.
    pub fn take(&mut self, len: u32, now: Instant) -> Result<Run, OutOfSlots> {
        self.wake(now);
        let Some(&(free, first)) = self.gaps.range((len, 0)..).next() else {
            let resting = self.resting.iter().map(|(_, run)| run.len).sum();
            return Err(OutOfSlots {
                wanted: len,
                size: self.size,
                resting,
            });
        };
        self.close(first, free);
        if free > len {
            self.open(first + len, free - len);
        }
        Ok(Run { first, len })
    }

    /// Gives a run back; it rests before it is taken again.
    pub fn retire(&mut self, run: Run, now: Instant) {
        self.resting.push_back((now, run));
    }

    /// Frees what has rested long enough.
    fn wake(&mut self, now: Instant) {
        let rested = |since: Instant| now.saturating_duration_since(since) >= REST;
        while let Some((_, run)) = self.resting.pop_front_if(|(since, _)| rested(*since)) {
            self.release(run);
        }
    }

    /// Frees a run, together with what of it is free already (runs that an earlier agent let
    /// overlap).
    fn release(&mut self, run: Run) {
        let (mut first, mut end) = (run.first, run.first.saturating_add(run.len).min(self.size));
        if end <= first {
            return;
        }
        while let Some((&before, &len)) = self.free.range(..=end).next_back()
            && before + len >= first
        {
            self.close(before, len);
            (first, end) = (first.min(before), end.max(before + len));
        }
        self.open(first, end - first);
    }

    fn open(&mut self, first: u32, len: u32) {
        self.free.insert(first, len);
        self.gaps.insert((len, first));
    }

    fn close(&mut self, first: u32, len: u32) {
        self.free.remove(&first);
        self.gaps.remove(&(len, first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u32, len: u32) -> Run {
        Run { first, len }
    }

    #[test]
    fn takes_the_smallest_run_that_fits() {
        let mut slots = Slots::new(20, [run(2, 3), run(8, 2)]);
        let now = Instant::now();
        assert_eq!(slots.take(3, now), Ok(run(5, 3)));
        assert_eq!(slots.take(2, now), Ok(run(0, 2)));
        assert_eq!(slots.take(10, now), Ok(run(10, 10)));
        assert_eq!(
            slots.take(1, now),
            Err(OutOfSlots {
                wanted: 1,
                size: 20,
                resting: 0
            })
        );
    }

    #[test]
    fn a_retired_run_rests_before_it_is_taken_again() {
        let mut slots = Slots::new(4, []);
        let start = Instant::now();
        let taken = slots.take(4, start).unwrap();
        slots.retire(taken, start);
        let error = slots.take(1, start + REST / 2).unwrap_err();
        assert_eq!(error.resting, 4);
        assert_eq!(slots.take(4, start + REST), Ok(run(0, 4)));
    }

    #[test]
    fn neighbours_grow_together_again() {
        let mut slots = Slots::new(9, []);
        let start = Instant::now();
        let runs: Vec<Run> = (0..3).map(|_| slots.take(3, start).unwrap()).collect();
        for index in [0, 2, 1] {
            slots.retire(runs[index], start);
        }
        assert_eq!(slots.take(9, start + REST), Ok(run(0, 9)));
    }

    #[test]
    fn runs_that_overlapped_are_freed_as_their_union() {
        let mut slots = Slots::new(12, [run(0, 5), run(3, 4), run(9, 6)]);
        let start = Instant::now();
        for used in [run(3, 4), run(9, 6), run(0, 5)] {
            slots.retire(used, start);
        }
        assert_eq!(slots.take(12, start + REST), Ok(run(0, 12)));
        assert!(slots.take(1, start + REST).is_err());
    }

    #[test]
    fn use_beyond_the_end_frees_nothing_there() {
        let mut slots = Slots::new(10, [run(20, 5)]);
        assert_eq!(slots.take(10, Instant::now()), Ok(run(0, 10)));
        assert!(slots.take(1, Instant::now()).is_err());
    }

    #[test]
    fn overlapping_use_is_taken_as_its_union() {
        let mut slots = Slots::new(10, [run(0, 5), run(3, 4)]);
        assert_eq!(slots.take(3, Instant::now()), Ok(run(7, 3)));
    }
}
