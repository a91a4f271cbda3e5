//! Reading libtest's output, and the sum over all suites.

use std::fmt;

/// What became of the tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    /// Tests with `#[ignore]`.
    pub(super) skipped: usize,
    /// The full name of each failed test or suite.
    pub(super) failures: Vec<String>,
}

impl Tally {
    /// Adds another suite's result.
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }

    /// Whether nothing failed and something ran.
    pub(super) fn is_good(&self) -> bool {
        self.failed == 0 && self.failures.is_empty() && self.passed > 0
    }
}

impl fmt::Display for Tally {
    /// The closing line, which CI reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// What one line of a test program's output says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// `test NAME ... FAILED`
    Failed(&'a str),
    /// `test result: …`
    Result(Tally),
    /// Anything else.
    Other,
}

/// Reads one line of a test program's output.
pub(super) fn read(line: &str) -> Line<'_> {
    if let Some(counts) = line.strip_prefix("test result: ") {
        return Line::Result(Tally {
            passed: count(counts, " passed"),
            failed: count(counts, " failed"),
            skipped: count(counts, " ignored"),
            failures: Vec::new(),
        });
    }
    line.strip_prefix("test ")
        .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        .map_or(Line::Other, Line::Failed)
}

/// The number in front of `what` in `ok. 3 passed; 1 failed; …`.
fn count(counts: &str, what: &str) -> usize {
    counts
        .split(';')
        .filter_map(|part| part.strip_suffix(what))
        .filter_map(|before| before.rsplit(' ').next()?.parse().ok())
        .next()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: usize, failed: usize, skipped: usize) -> Tally {
        Tally {
            passed,
            failed,
            skipped,
            failures: Vec::new(),
        }
    }

    #[test]
    fn libtest_lines_are_read() {
        for (line, expected) in [
            (
                "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out; \
                 finished in 0.00s",
                Line::Result(tally(12, 0, 3)),
            ),
            (
                "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
                Line::Result(tally(1, 2, 0)),
            ),
            (
                "test flow::tests::reverse ... FAILED",
                Line::Failed("flow::tests::reverse"),
            ),
            ("test flow::tests::reverse ... ok", Line::Other),
            ("running 2 tests", Line::Other),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn the_closing_line_is_the_sum() {
        let mut total = tally(2, 0, 0);
        assert_eq!(total.to_string(), "2 passed, 0 failed");
        total.add(Tally {
            failures: vec!["a::b".to_owned()],
            ..tally(1, 1, 1)
        });
        assert_eq!(total.to_string(), "3 passed, 1 failed, 1 skipped");
        assert!(!total.is_good());
    }

    #[test]
    fn running_nothing_is_not_good() {
        assert!(!Tally::default().is_good());
    }
}
