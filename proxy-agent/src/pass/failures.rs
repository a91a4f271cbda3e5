//! What went wrong in a pass that goes on past a failure.

use super::PassError;

/// What went wrong in a pass: all of it in the log, the first of it in the result.
#[derive(Default)]
pub(super) struct Failures(Option<PassError>);

impl Failures {
    pub(super) fn note<E: Into<PassError>>(&mut self, result: Result<(), E>) {
        let Err(error) = result else { return };
        let error = error.into();
        match &self.0 {
            // The first is logged by who gets it.
            None => self.0 = Some(error),
            Some(_) => tracing::error!("{error}"),
        }
    }

    pub(super) fn first(self) -> Result<(), PassError> {
        self.0.map_or(Ok(()), Err)
    }
}
