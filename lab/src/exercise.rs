//! Exercises in a lab: a page of `docs/exercises/` sets something up, asks, and knows the answer.

use crate::client::Client;
use crate::error::LabError;

/// The pages, in their order.
const PAGES: [&str; 6] = [
    include_str!("../../docs/exercises/1.md"),
    include_str!("../../docs/exercises/2.md"),
    include_str!("../../docs/exercises/3.md"),
    include_str!("../../docs/exercises/4.md"),
    include_str!("../../docs/exercises/5.md"),
    include_str!("../../docs/exercises/6.md"),
];

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exercise {
    /// Title and question.
    pub question: &'static str,
    /// What is set up.
    pub manifest: &'static str,
    /// What `flatnet trace` is asked to find the answer.
    pub trace: &'static str,
    /// The answer, a word that the trace says.
    pub answer: &'static str,
    /// The page behind the question: how the answer is found.
    pub solution: &'static str,
}

impl Exercise {
    /// Every exercise.
    #[must_use]
    pub fn all() -> Vec<Self> {
        PAGES.into_iter().filter_map(Self::read).collect()
    }

    /// The exercise of a number, counted from 1.
    ///
    /// # Errors
    /// [`LabError::NotFound`] if there is none.
    pub fn numbered(number: usize) -> Result<Self, LabError> {
        let all = Self::all();
        let count = all.len();
        let found = all.into_iter().nth(number.wrapping_sub(1));
        found.ok_or_else(|| LabError::NotFound(format!("exercises are numbered 1 to {count}")))
    }

    fn read(page: &'static str) -> Option<Self> {
        let (task, solution) = page.split_once("\n## Answer\n")?;
        Some(Self {
            question: task.split("\n```yaml\n").next()?.trim(),
            manifest: block(task, "yaml")?,
            trace: block(solution, "trace")?,
            answer: block(solution, "answer")?,
            solution: solution.trim(),
        })
    }

    /// Sets it up.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(crate) fn set_up(&self, client: &Client) -> Result<(), LabError> {
        client.apply(self.manifest)
    }
}

/// What stands in a block of this kind.
fn block(text: &'static str, kind: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once(&format!("\n```{kind}\n"))?;
    Some(rest.split_once("\n```")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_an_exercise() {
        let all = Exercise::all();
        assert_eq!(all.len(), PAGES.len());
        for one in all {
            assert!(one.question.starts_with("# "), "{}", one.question);
            assert!(!one.question.contains(one.answer), "it gives itself away");
            assert!(one.trace.ends_with("--explain"), "{}", one.trace);
            assert!(one.solution.contains(one.answer));
        }
        assert!(Exercise::numbered(0).is_err() && Exercise::numbered(7).is_err());
    }
}
