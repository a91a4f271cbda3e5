//! How long to wait before a failing watch is tried again.
//!
//! kube's own back-off does not fit: it forgets a failure only when an object arrives, so that a
//! server that came back is met with the pause that its absence had grown to, and a list that
//! fails is taken for a new start and tried for ever at the shortest pause.

use std::time::Duration;

/// Pause after the first failure.
const FIRST: Duration = Duration::from_millis(500);
/// Longest pause. How stale the index may stay after the server is back.
const LAST: Duration = Duration::from_secs(10);

/// Pause of a watch whose kind is missing: how late an upgrade of the server, or of our role, is
/// seen.
const MISSING: Duration = Duration::from_secs(300);

/// The pause before a kind that is missing is asked for again; `chance` as in [`Retry::pause`].
pub(crate) fn of_missing(chance: f64) -> Duration {
    spread(MISSING, chance)
}

fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(0.75 + chance / 2.0)
}

/// What failed, as far as the pause depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server has forgotten where the watch left off; only a new list helps.
    Gone,
    /// Anything else, and whether the server was heard of since the failure before.
    Other { heard_since: bool },
}

/// The pauses of one watch.
#[derive(Debug)]
pub(crate) struct Retry {
    next: Duration,
}

impl Retry {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The pause after `failure`. `chance` is a number from 0 to 1, so that the watches of a
    /// thousand nodes do not come back in one moment.
    pub(crate) fn pause(&mut self, failure: Failure, chance: f64) -> Duration {
        let pause = match failure {
            Failure::Gone => FIRST,
            Failure::Other { heard_since } => {
                let pause = if heard_since { FIRST } else { self.next };
                self.next = (pause * 2).min(LAST);
                pause
            }
        };
        spread(pause, chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chance that leaves a pause as it is.
    const EVEN: f64 = 0.5;
    const SILENT: Failure = Failure::Other { heard_since: false };
    const HEARD: Failure = Failure::Other { heard_since: true };

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let mut retry = Retry::new();
        let millis = (0..7).map(|_| retry.pause(SILENT, EVEN).as_millis());
        let expected = [500, 1000, 2000, 4000, 8000, 10_000, 10_000];
        assert_eq!(millis.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_server_that_was_heard_of_starts_it_anew() {
        let mut retry = Retry::new();
        for _ in 0..6 {
            retry.pause(SILENT, EVEN);
        }
        assert_eq!(retry.pause(HEARD, EVEN), FIRST);
        assert_eq!(retry.pause(SILENT, EVEN), FIRST * 2);
    }

    #[test]
    fn a_forgotten_place_costs_a_short_pause_and_grows_none() {
        let mut retry = Retry::new();
        retry.pause(SILENT, EVEN);
        assert_eq!(retry.pause(Failure::Gone, EVEN), FIRST);
        assert_eq!(retry.pause(SILENT, EVEN), FIRST * 2);
    }

    #[test]
    fn chance_spreads_the_pauses() {
        let at = |chance| Retry::new().pause(SILENT, chance);
        assert_eq!(at(0.0), FIRST.mul_f64(0.75));
        assert_eq!(at(1.0), FIRST.mul_f64(1.25));
    }
}
