//! When to look again, and when to say that a table fills.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// From one look at the table to the next while it is less than half full.
const LEISURE: Duration = Duration::from_secs(10);
/// From one look to the next, whatever changes: a second, and so much that looks take a tenth of
/// one CPU at most.
const APART: Duration = Duration::from_secs(1);
const REST: u32 = 9;
/// A table of which more than this much is used is reported.
const ALARM_PERCENT: u64 = 90;
/// How often a table is reported.
const REMIND: Duration = Duration::from_secs(60);

/// How long to wait after a look that took `took` at a table with `used` of `size` entries.
#[must_use]
pub fn interval(used: u64, size: u64, took: Duration) -> Duration {
    let interval = match used.saturating_mul(100) / size.max(1) {
        0..50 => LEISURE,
        50..75 => LEISURE / 2,
        75..90 => LEISURE / 5,
        _ => LEISURE / 10,
    };
    interval.max(rest(took))
}

/// How long to wait at least after a look that took `took`.
#[must_use]
pub fn rest(took: Duration) -> Duration {
    APART.max(took * REST)
}

/// Whether so many of a table's entries are used that people must know.
#[must_use]
pub fn nearly_full(used: u64, size: u64) -> bool {
    used.saturating_mul(100) > size.saturating_mul(ALARM_PERCENT)
}

/// Which tables were reported, and when.
#[derive(Debug, Default)]
pub struct Alarm(BTreeMap<&'static str, Instant>);

impl Alarm {
    /// Whether it is to be reported now that `used` of a table's `size` entries are used.
    pub fn is_due(&mut self, table: &'static str, used: u64, size: u64, now: Instant) -> bool {
        if !nearly_full(used, size) {
            return false;
        }
        let due = self.0.get(table).is_none_or(|last| *last + REMIND <= now);
        if due {
            self.0.insert(table, now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_the_more_often() {
        let (quick, slow) = (Duration::from_millis(5), Duration::from_secs(1));
        for (used, took, seconds) in [
            (0, quick, 10),
            (49, quick, 10),
            (50, quick, 5),
            (75, quick, 2),
            (90, quick, 1),
            (100, quick, 1),
            (100, slow, 9),
            (0, slow, 10),
        ] {
            assert_eq!(
                interval(used, 100, took),
                Duration::from_secs(seconds),
                "{used} %, {took:?}"
            );
        }
        assert_eq!(interval(0, 0, quick), LEISURE, "a map that tells no size");
    }

    #[test]
    fn a_full_table_is_reported_once_a_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut alarm = Alarm::default();
        let mut due = |table, used, seconds| alarm.is_due(table, used, 1_000, at(seconds));
        assert!(!due("flows", 900, 0));
        assert!(due("flows", 901, 0));
        assert!(!due("flows", 1_000, 59));
        assert!(due("openings", 1_000, 59), "each table for itself");
        assert!(due("flows", 1_000, 60));
        assert!(!due("flows", 100, 200));
    }
}
