//! Bench `sync`: what it costs the agent to follow a cluster of 10 to 30 000 Services, ten
//! endpoints each.
//!
//! The agent, as it is shipped, starts on a node that is a namespace of its own ([`stage`], [`agent`]), with
//! an API server that lists the cluster and tells of changes. What is measured is what a user
//! sees: a connection to the last Service's cluster IP works for the first time (`first`), and
//! after each change of that Service's endpoints, all ready or none, it is answered or refused
//! (`change`). With an audit every second the same changes tell for how long one of them can be kept
//! waiting, and the agent how long the pass takes that ends an audit (`audit`).

mod audit;
mod agent;
mod stage;

use std::time::Duration;

use self::agent::Agent;
use self::stage::Stage;
use super::Plan;
use super::frame::{self, Better, Contender, Row};
use super::namespace;
use super::population::Population;
use super::quantile::quantile;
use crate::build;
use crate::process::{self, Step, cargo};
use crate::workspace::Workspace;

/// The bench's name.
pub(super) const NAME: &str = "sync";
/// Numbers of Services.
const SIZES: [usize; 4] = [10, 1_000, 10_000, 30_000];
const ENDPOINTS: usize = 10;
/// Changes of one round, and the pause after each.
const CHANGES: usize = 300;
const PAUSE: Duration = Duration::from_millis(5);
/// The default number of rounds is for what takes a tenth of a second; this takes many.
const FEWER: usize = 5;

/// What one start of the agent yields.
struct Started {
    first_ms: f64,
    /// Of each change, in milliseconds, to the first connection that shows it.
    changes: Vec<f64>,
    /// CPU time of the agent for one change.
    cpu_us: f64,
    mib: f64,
    peak_mib: f64,
}

/// Measures all sizes.
///
/// # Errors
/// When the agent does not come up, or does not follow.
pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    build::ebpf(workspace)?;
    let step = Step::start("building flatnet-agent, optimised");
    process::run(cargo(workspace.root()).args(["build", "--release", "-p", "proxy-agent"]))?;
    step.done();
    namespace::apart(|room| {
        let mut rows = Vec::new();
        for services in SIZES {
            let cases = Cases::of(services);
            if !cases.all().iter().any(|case| plan.wants(case)) {
                continue;
            }
            let rounds = plan.rounds.div_ceil(FEWER);
            let step = Step::start(format!(
                "{NAME}, {services} Services: {} starts, {CHANGES} changes each",
                rounds + 1
            ));
            let population = Population {
                services,
                endpoints: ENDPOINTS,
            };
            let stage = Stage::set(workspace, room, population)?;
            if plan.wants(&cases.audit) {
                rows.extend(audit::rows(&stage, &cases.audit)?);
            }
            let agent: Contender<'_, Started> = ("ours".to_owned(), Box::new(|| measure(&stage)));
            let measured = frame::alternate(&cases.first, vec![agent], rounds)?;
            let starts: Vec<Started> = measured
                .into_iter()
                .flat_map(|(_, starts)| starts)
                .collect();
            rows.extend(cases.rows(&starts));
            step.done();
        }
        rows.retain(|row| plan.wants(&row.case));
        Ok(rows)
    })
}

fn measure(stage: &Stage<'_>) -> anyhow::Result<Started> {
    let mut agent = Agent::start(stage, &[])?;
    let first = agent.first_sync()?;
    agent.knows_all()?;
    let before = agent.cpu()?;
    let changes = changes(&mut agent, CHANGES)?;
    let used = agent.cpu()? - before;
    Ok(Started {
        first_ms: first.as_secs_f64() * 1e3,
        changes,
        cpu_us: used.as_secs_f64() * 1e6 / CHANGES as f64,
        mib: agent.mib()?,
        peak_mib: agent.peak_mib()?,
    })
}

/// The time of each of so many changes, in milliseconds.
fn changes(agent: &mut Agent<'_>, count: usize) -> anyhow::Result<Vec<f64>> {
    let change = |_| {
        let taken = agent.change()?.as_secs_f64() * 1e3;
        std::thread::sleep(PAUSE);
        Ok(taken)
    };
    (0..count).map(change).collect()
}

/// The names of the cases of one size.
struct Cases {
    first: String,
    change: String,
    memory: String,
    audit: String,
}

impl Cases {
    fn of(services: usize) -> Self {
        Self {
            first: format!("first/{services}"),
            change: format!("change/{services}"),
            memory: format!("memory/{services}"),
            audit: format!("audit/{services}"),
        }
    }

    fn all(&self) -> [&str; 4] {
        [&self.first, &self.change, &self.memory, &self.audit]
    }

    /// Medians over the starts; quantiles of changes over those of all starts.
    fn rows(&self, starts: &[Started]) -> Vec<Row> {
        let changes: Vec<f64> = starts.iter().flat_map(|one| one.changes.clone()).collect();
        let median = |of: fn(&Started) -> f64| {
            let values: Vec<f64> = starts.iter().map(of).collect();
            quantile(&values, 0.5)
        };
        let values = [
            (&self.first, "ms", "ms", median(|one| one.first_ms)),
            (&self.change, "p50", "ms", quantile(&changes, 0.5)),
            (&self.change, "p99", "ms", quantile(&changes, 0.99)),
            (&self.change, "cpu", "us", median(|one| one.cpu_us)),
            (&self.memory, "mib", "MiB", median(|one| one.mib)),
            (&self.memory, "peak", "MiB", median(|one| one.peak_mib)),
        ];
        let row = |(case, metric, unit, ours): (&String, &str, &str, f64)| Row {
            bench: NAME.to_owned(),
            case: case.clone(),
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            better: Better::Lower,
            ours,
            peers: std::collections::BTreeMap::new(),
            runs: starts.len(),
        };
        values.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_medians_of_starts_and_quantiles_of_changes() {
        let started = |first_ms: f64, from: u32| Started {
            first_ms,
            changes: (from..from + 50).map(f64::from).collect(),
            cpu_us: first_ms / 2.0,
            mib: 7.0,
            peak_mib: 9.0,
        };
        let starts = [started(30.0, 1), started(10.0, 51), started(20.0, 101)];
        let shown: Vec<_> = Cases::of(1000)
            .rows(&starts)
            .iter()
            .map(|row| format!("{} {} {}", row.case, row.metric, row.ours))
            .collect();
        assert_eq!(
            shown,
            [
                "first/1000 ms 20",
                "change/1000 p50 75",
                "change/1000 p99 149",
                "change/1000 cpu 10",
                "memory/1000 mib 7",
                "memory/1000 peak 9",
            ]
        );
    }
}
