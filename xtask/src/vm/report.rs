//! Reading the guest's console: which suite is speaking, what its tests said, and what never ran.

use super::guest::{BEGINS, DONE, ENDED};
use crate::test::run::count_as_failure;
use crate::test::suite::Suite;
use crate::test::tally::{Reader, Tally};

/// How a line begins that is shown though its test passed: what the verifier went through.
const SHOWN: &str = "verified: ";

/// What has been read so far.
pub(super) struct Report<'a> {
    suites: &'a [Suite],
    /// The suite whose program is running.
    current: Option<(usize, Reader)>,
    ended: Vec<bool>,
    total: Tally,
    done: bool,
}

impl<'a> Report<'a> {
    /// Nothing, of these.
    pub(super) fn new(suites: &'a [Suite]) -> Self {
        Self {
            suites,
            current: None,
            ended: vec![false; suites.len()],
            total: Tally::default(),
            done: false,
        }
    }

    /// Takes the next line of the console; says whether it is worth showing.
    pub(super) fn line(&mut self, line: &str) -> bool {
        if line == DONE {
            self.done = true;
        } else if let Some(number) = line.strip_prefix(BEGINS) {
            let number = number.parse::<usize>().ok();
            if let Some(number) = number.filter(|number| *number < self.suites.len()) {
                eprintln!("==> {}", self.suites[number].name);
                self.current = Some((number, Reader::default()));
            }
        } else if let Some(code) = line.strip_prefix(ENDED) {
            self.end(code.rsplit(' ').next().unwrap_or_default());
        } else if let Some((number, reader)) = &mut self.current {
            let name = &self.suites[*number].name;
            return reader.line(line, |test| name.path(test)) || line.starts_with(SHOWN);
        } else {
            return true;
        }
        false
    }

    fn end(&mut self, code: &str) {
        let Some((number, reader)) = self.current.take() else {
            return;
        };
        let suite = &self.suites[number];
        let mut tally = reader.finish();
        let seen = tally.passed + tally.failed + tally.skipped;
        if seen != suite.tests.len() || (tally.failed == 0 && code != "0") {
            let of = suite.tests.len();
            let what = format!("{}: {seen} of {of} tests, exit code {code}", suite.name);
            count_as_failure(&mut tally, what);
        }
        self.ended[number] = true;
        self.total.add(tally);
    }

    /// The sum, and whether the guest came to the end of its script.
    pub(super) fn finish(mut self) -> (Tally, bool) {
        if let Some((_, reader)) = self.current.take() {
            self.total.add(reader.finish());
        }
        for (suite, _) in self
            .suites
            .iter()
            .zip(&self.ended)
            .filter(|(_, ended)| !**ended)
        {
            count_as_failure(&mut self.total, format!("{}: did not end", suite.name));
        }
        (self.total, self.done)
    }
}
