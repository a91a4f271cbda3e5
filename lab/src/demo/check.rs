//! What steps ask and check alike.

use std::time::Duration;

use super::answers::{self, Answer};
use crate::error::LabError;
use crate::handle::{Lab, RunningPod};

/// The Service by its name.
pub(super) const URL: &str = "http://backend";
/// For what takes as long as it takes, and no longer than this.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A pod of the frontend.
pub(super) fn frontend(lab: &Lab) -> Result<RunningPod, LabError> {
    Ok(lab.wait_pods("frontend", 2, PATIENCE)?.remove(0))
}

pub(super) fn names(pods: Vec<RunningPod>) -> Vec<String> {
    pods.into_iter().map(|pod| pod.name).collect()
}

/// Asks the backend from `pod`; every question must be answered.
pub(super) fn ask(lab: &Lab, pod: &RunningPod, count: u32) -> Result<Vec<Answer>, LabError> {
    answers::get(lab, &pod.name, URL, count)?.map_err(|refusal| LabError::NotHeld {
        expected: format!("{count} answers of {URL}"),
        seen: refusal.words,
    })
}

/// Fails unless `holds`; `seen` says what was instead.
pub(super) fn check(
    holds: bool,
    expected: String,
    seen: impl FnOnce() -> String,
) -> Result<(), LabError> {
    if holds {
        return Ok(());
    }
    Err(LabError::NotHeld {
        expected,
        seen: seen(),
    })
}
