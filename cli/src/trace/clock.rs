//! Clocks of nodes against this machine's, as one question and its answer tell: the answer was
//! written between the two. Pure.

use proxy_agent::local::api::Watched;

/// What is known of a node's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// How far it is ahead, in nanoseconds; 0 where it may as well be right.
    pub(super) ahead: i64,
    /// How wrong that may be.
    pub(super) within: u64,
}

impl Clock {
    /// By an answer that says `theirs` and came between two moments of ours; all in nanoseconds
    /// since 1970. An agent that says nothing (0) is believed to be right.
    pub(super) fn of(asked: u64, theirs: u64, answered: u64) -> Self {
        if theirs == 0 {
            return Self::default();
        }
        let within = answered.saturating_sub(asked).div_ceil(2);
        let middle = asked.saturating_add(within);
        let ahead = theirs.wrapping_sub(middle).cast_signed();
        // Of two clocks that may be equal, a difference that is guessed would only blur the times.
        match ahead.unsigned_abs() <= within {
            true => Self { ahead: 0, within },
            false => Self { ahead, within },
        }
    }

    /// Makes the node's times this machine's.
    pub(super) fn correct(self, watched: &mut Watched) {
        let ours = |time: u64| time.wrapping_sub(self.ahead.cast_unsigned());
        for one in &mut watched.sightings {
            one.nanoseconds = ours(one.nanoseconds);
        }
        for one in &mut watched.events {
            one.nanoseconds = ours(one.nanoseconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use proxy_agent::local::api::Sighting;

    use super::*;

    #[test]
    fn a_clock_is_known_as_well_as_the_answer_was_quick() {
        let clock = |ahead, within| Clock { ahead, within };
        for (asked, theirs, answered, expected) in [
            (1_000, 1_050, 1_100, clock(0, 50)),
            (1_000, 1_001, 1_100, clock(0, 50)),
            (1_000, 5_050, 1_100, clock(4_000, 50)),
            (5_000, 1_050, 5_100, clock(-4_000, 50)),
            (1_000, 0, 1_100, Clock::default()),
        ] {
            assert_eq!(Clock::of(asked, theirs, answered), expected, "{theirs}");
        }
    }

    #[test]
    fn times_become_ours() {
        let at = |text: &str| text.parse().expect("an address");
        let sighting = Sighting {
            nanoseconds: 10_000,
            pod: None,
            interface: String::new(),
            outgoing: false,
            from: at("10.0.0.1:1"),
            to: at("10.0.0.2:2"),
        };
        for (ahead, expected) in [(4_000, 6_000), (-4_000, 14_000)] {
            let mut watched = Watched {
                sightings: vec![sighting.clone()],
                ..Watched::default()
            };
            Clock { ahead, within: 0 }.correct(&mut watched);
            assert_eq!(watched.sightings[0].nanoseconds, expected);
        }
    }
}
