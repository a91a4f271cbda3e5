//! What a thread gathers for somebody who asks for it from time to time, and who may go away
//! without a word: nothing that was begun for him is to go on for long after that.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Who has not asked for so long is gone.
const LONGEST: Duration = Duration::from_secs(15);

/// What was gathered, and whether to go on.
#[derive(Debug)]
pub struct Lease<T>(Mutex<Held<T>>);

#[derive(Debug)]
struct Held<T> {
    gathered: T,
    until: Instant,
    ended: bool,
}

impl<T: Default> Default for Lease<T> {
    fn default() -> Self {
        Self(Mutex::new(Held {
            gathered: T::default(),
            until: Instant::now() + LONGEST,
            ended: false,
        }))
    }
}

impl<T: Default> Lease<T> {
    /// Adds to what is gathered.
    pub fn with(&self, add: impl FnOnce(&mut T)) {
        add(&mut self.held().gathered);
    }

    /// What was gathered since the last call. Whoever asks is still there.
    #[must_use]
    pub fn take(&self) -> T {
        let mut held = self.held();
        held.until = Instant::now() + LONGEST;
        mem::take(&mut held.gathered)
    }

    /// Enough.
    pub fn end(&self) {
        self.held().ended = true;
    }

    /// Whether to stop.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.held().ended || self.is_forgotten()
    }

    /// Whether nobody has asked for long.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.held().until < Instant::now()
    }

    fn held(&self) -> MutexGuard<'_, Held<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that gathers, until it is stopped or nobody has asked for a while.
pub struct Gathering<T> {
    lease: Arc<Lease<T>>,
    thread: JoinHandle<()>,
}

impl<T: Default + Send + 'static> Gathering<T> {
    /// Begins; `gather` is to return soon after [`Lease::is_over`].
    pub fn begin(gather: impl FnOnce(&Lease<T>) + Send + 'static) -> Self {
        let lease = Arc::new(Lease::default());
        let kept = lease.clone();
        let thread = thread::spawn(move || gather(&kept));
        Self { lease, thread }
    }

    /// What was gathered since the last call; it goes on.
    #[must_use]
    pub fn take(&self) -> T {
        self.lease.take()
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it, waits for the thread, and returns the rest.
    #[must_use]
    pub fn stop(self) -> T {
        self.lease.end();
        _ = self.thread.join();
        self.lease.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_and_an_end_is_seen() {
        let lease = Lease::<Vec<u8>>::default();
        lease.with(|all| all.push(1));
        assert_eq!(lease.take(), [1]);
        assert!(lease.take().is_empty());
        assert!(!lease.is_over());
        lease.end();
        assert!(lease.is_over() && !lease.is_forgotten());
    }

    #[test]
    fn a_thread_gathers_until_it_is_stopped() {
        let gathering = Gathering::<u32>::begin(|lease| {
            while !lease.is_over() {
                thread::sleep(Duration::from_millis(1));
            }
            lease.with(|sum| *sum += 1);
        });
        assert!(!gathering.is_over());
        assert_eq!(gathering.take(), 0);
        assert_eq!(gathering.stop(), 1, "what came last is not lost");
    }
}
