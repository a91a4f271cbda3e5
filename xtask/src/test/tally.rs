//! Reading libtest's output, and the sum over all suites.

use std::fmt;

use super::failure::Failure;

/// What became of the tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Tests with `#[ignore]`, and those that said they cannot run here.
    pub(crate) skipped: usize,
    /// Each failed test or suite.
    pub(crate) failures: Vec<Failure>,
}

impl Tally {
    /// Adds another suite's result.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
    }

    /// Whether nothing failed and something ran.
    pub(crate) fn is_good(&self) -> bool {
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

/// How the line begins that a test prints when it cannot run here, in any case of letters.
/// (In CI it panics instead.)
const SKIPPED: &str = "skip";
/// The headings of libtest's sections under `--show-output`.
const SUCCESSES: &str = "successes:";
const FAILURES: &str = "failures:";

/// Reads the output of one test program, run with `--show-output`, line by line.
///
/// What successful tests printed is of no interest, except that a test which skipped itself
/// counts as passed in libtest's eyes and must not in ours.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    tally: Tally,
    in_successes: bool,
    /// Which of the failures the lines are of that come now.
    printing: Option<usize>,
    /// Whether the test whose output we are in has already been counted as skipped.
    counted: bool,
    skipped: usize,
    /// Tests that passed and that failed since the last result.
    ended: (usize, usize),
    /// Whether the last thing that the program told was a result, and not that it begins.
    has_result: bool,
}

impl Reader {
    /// Takes the next line; says whether it is worth showing. `full_name` completes a test's.
    pub(crate) fn line(&mut self, line: &str, full_name: impl Fn(&str) -> String) -> bool {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.section(false);
            self.result(counts);
        } else if line == SUCCESSES || line == FAILURES {
            self.section(line == SUCCESSES);
        } else if self.in_successes {
            self.success_output(line);
        } else if let Some(test) = heading(line) {
            let name = full_name(test);
            let failures = &self.tally.failures;
            self.printing = failures.iter().position(|failure| failure.name == name);
        } else if let Some(number) = self.printing {
            self.tally.failures[number].print(line);
        } else if let Some(test) = line
            .strip_prefix("test ")
            .and_then(|l| l.strip_suffix(" ... FAILED"))
        {
            self.tally.failures.push(Failure::new(full_name(test)));
            self.ended.1 += 1;
        } else if line.starts_with("test ") && line.ends_with(" ... ok") {
            self.ended.0 += 1;
        } else if line.starts_with("running ") {
            self.has_result = false;
        }
        !self.in_successes
    }

    /// A part of the output begins: what tests printed that passed, or anything else.
    fn section(&mut self, of_successes: bool) {
        self.in_successes = of_successes;
        self.printing = None;
    }

    fn success_output(&mut self, line: &str) {
        if heading(line).is_some() {
            self.counted = false;
        } else if says_skipped(line) && !self.counted {
            self.counted = true;
            self.skipped += 1;
            eprintln!("    {line}");
        }
    }

    fn result(&mut self, counts: &str) {
        self.ended = (0, 0);
        self.has_result = true;
        let skipped = std::mem::take(&mut self.skipped);
        self.tally.passed += count(counts, " passed").saturating_sub(skipped);
        self.tally.failed += count(counts, " failed");
        self.tally.skipped += count(counts, " ignored") + skipped;
    }

    /// Whether the program came to its end, as far as it says.
    pub(crate) fn has_result(&self) -> bool {
        self.has_result
    }

    /// The sum of what was read; of a program that was stopped before its result, the tests that
    /// had ended.
    pub(crate) fn finish(mut self) -> Tally {
        let (passed, failed) = self.ended;
        self.tally.passed += passed;
        self.tally.failed += failed;
        self.tally
    }
}

/// The test whose output begins with that line.
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

fn says_skipped(line: &str) -> bool {
    line.get(..SKIPPED.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(SKIPPED))
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

    /// Reads a whole output; returns the tally and the lines worth showing.
    fn read(output: &str) -> (Tally, Vec<&str>) {
        let mut reader = Reader::default();
        let shown = output
            .lines()
            .filter(|line| reader.line(line, |test| format!("k::{test}")));
        let shown = shown.collect();
        (reader.finish(), shown)
    }

    #[test]
    fn results_are_read_and_failures_named() {
        let ok = "running 1 test\ntest a::b ... ok\n\ntest result: ok. 12 passed; 0 failed; \
                  3 ignored; 0 measured; 1 filtered out; finished in 0.00s\n";
        assert_eq!(read(ok).0, tally(12, 0, 3));
        assert_eq!(read(ok).1.len(), 4, "all of it is shown");
        let failed = "test a ... FAILED\nfailures:\n---- a stdout ----\nwhy\n\
                      failures:\n    a\ntest result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured\n";
        let mut failure = Failure::new("k::a".to_owned());
        failure.print("why");
        let expected = Tally {
            failures: vec![failure],
            ..tally(1, 1, 0)
        };
        assert_eq!(
            read(failed).0,
            expected,
            "with what it printed, and no line more"
        );
        assert!(
            read(failed).1.contains(&"why"),
            "what a failed test printed is shown"
        );
    }

    #[test]
    fn of_a_program_that_was_stopped_the_tests_that_had_ended_count() {
        let whole = "test a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        let cut = "running 4 tests\ntest b ... ok\ntest c ... ok\ntest d ... FAILED\n";
        let expected = Tally {
            failures: vec![Failure::new("k::d".to_owned())],
            ..tally(3, 1, 0)
        };
        assert_eq!(read(&format!("{whole}{cut}")).0, expected);
        for (output, is_whole) in [(whole, true), (cut, false)] {
            let mut reader = Reader::default();
            for line in output.lines() {
                reader.line(line, str::to_owned);
            }
            assert_eq!(reader.has_result(), is_whole, "{output}");
        }
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let output = "test a ... ok\ntest b ... ok\n\nsuccesses:\n\n---- a stdout ----\n\
                      skipped: no root\nSKIP a: no root\n\n---- b stdout ----\nnoise\n\n\
                      successes:\n    a\n    b\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
        let (tally, shown) = read(output);
        assert_eq!(tally, super::tests::tally(1, 0, 1));
        assert!(!shown.contains(&"noise"), "{shown:?}");
    }

    #[test]
    fn the_closing_line_is_the_sum() {
        let mut total = tally(2, 0, 0);
        assert_eq!(total.to_string(), "2 passed, 0 failed");
        total.add(Tally {
            failures: vec![Failure::new("a::b".to_owned())],
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
