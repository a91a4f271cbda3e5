//! What audits keep waiting, and for how long: the pass that each of them ends with, and changes
//! that come meanwhile.

use std::collections::BTreeMap;

use super::super::frame::{Better, Row};
use super::super::quantile::quantile;
use super::agent::Agent;
use super::stage::Stage;
use super::{NAME, changes};

/// Changes beside audits: some ten seconds of them.
const CHANGES: usize = 1_000;

/// The rows of `case`: the mean time of an audit's pass (over the node, as long as the maps of
/// Services hold what they should), and quantiles of the changes beside one a second.
pub(super) fn rows(stage: &Stage<'_>, case: &str) -> anyhow::Result<Vec<Row>> {
    let mut agent = Agent::start(stage, &["--audit-seconds", "1"])?;
    agent.first_sync()?;
    agent.knows_all()?;
    let before = agent.full_passes()?;
    let changes = changes(&mut agent, CHANGES)?;
    let after = agent.full_passes()?;
    let audits = after.0 - before.0;
    let mean = (after.1 - before.1) * 1e3 / audits.max(1.0);
    let values = [
        ("ms", mean),
        ("p50", quantile(&changes, 0.5)),
        ("p99", quantile(&changes, 0.99)),
        ("max", quantile(&changes, 1.0)),
    ];
    let row = |(metric, ours): (&str, f64)| Row {
        bench: NAME.to_owned(),
        case: case.to_owned(),
        metric: metric.to_owned(),
        unit: "ms".to_owned(),
        better: Better::Lower,
        ours,
        peers: BTreeMap::new(),
        runs: audits as usize,
    };
    Ok(values.into_iter().map(row).collect())
}
