//! What `flatnet-demo` prints, and the commands that make it print.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::process::Output;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::error::LabError;
use crate::handle::Lab;

/// One answer of a server.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Answer {
    pub(super) pod: String,
    pub(super) address: String,
    pub(super) node: String,
    /// Who asked, as the server saw it.
    pub(super) client: SocketAddr,
}

/// The summary of a request loop.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Summary {
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) by_endpoint: BTreeMap<String, u64>,
    pub(super) failures: Vec<Failure>,
    pub(super) slowest_ms: u64,
}

/// One failed request of a loop.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Failure {
    pub(super) at_ms: u64,
    pub(super) cause: String,
}

/// What a failed command said.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) words: String,
    pub(super) after: Duration,
}

/// Asks `url` from `pod`, `count` times, each with a new connection.
pub(super) fn get(
    lab: &Lab,
    pod: &str,
    url: &str,
    count: u32,
) -> Result<Result<Vec<Answer>, Refusal>, LabError> {
    let count = count.to_string();
    let began = Instant::now();
    let output = run(lab, pod, &["flatnet-demo", "get", url, "--count", &count])?;
    let after = began.elapsed();
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Ok(Err(Refusal { words, after }));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let answers = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>();
    answers.map(Ok).map_err(|error| LabError::Io {
        what: format!("the answers of {url}"),
        source: error.into(),
    })
}

/// The first address `pod` finds for `name`.
pub(super) fn resolve(
    lab: &Lab,
    pod: &str,
    name: &str,
) -> Result<Result<IpAddr, String>, LabError> {
    let output = run(lab, pod, &["flatnet-demo", "resolve", name])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let address = text.lines().next().and_then(|line| line.parse().ok());
    let failed = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok(address.ok_or_else(failed))
}

fn run(lab: &Lab, pod: &str, argv: &[&str]) -> Result<Output, LabError> {
    let what = || format!("running {} in {pod}", argv.join(" "));
    lab.in_pod(pod, argv)
        .output()
        .map_err(LabError::doing(what()))
}
