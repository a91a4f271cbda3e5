//! A failed test and what it printed. It is told again at the very end: a log that was cut off in
//! the middle still says why.

use std::collections::VecDeque;
use std::fmt;

/// How many lines of one test are told again: its last ones, where the reason is.
const MOST: usize = 60;

/// A test or suite that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The full name of the test, or the suite's and what became of it.
    pub(crate) name: String,
    /// The last lines it printed, [`MOST`] at most; none where it was not asked (a suite that died).
    printed: VecDeque<String>,
    /// How many lines came before those.
    before: usize,
}

impl Failure {
    /// One that has printed nothing (yet).
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// It printed that.
    pub(super) fn print(&mut self, line: &str) {
        self.printed.push_back(line.to_owned());
        if self.printed.len() > MOST {
            self.printed.pop_front();
            self.before += 1;
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed: {}", self.name)?;
        if self.before > 0 {
            write!(f, "\n    ({} lines before these)", self.before)?;
        }
        for line in self.printed.iter().filter(|line| !line.is_empty()) {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_told() {
        let mut failure = Failure::new("k::a".to_owned());
        assert_eq!(failure.to_string(), "failed: k::a");
        for number in 0..MOST + 2 {
            failure.print(&number.to_string());
        }
        failure.print("");
        let text = failure.to_string();
        assert!(
            text.starts_with("failed: k::a\n    (3 lines before these)\n    3\n    4\n"),
            "{text}"
        );
        assert!(text.ends_with(&format!("\n    {}", MOST + 1)), "{text}");
    }
}
