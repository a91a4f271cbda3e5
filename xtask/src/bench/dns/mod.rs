//! Bench `dns`: questions a second, and what one costs, against unbound.
//!
//! Both servers know the same cluster of 10 000 Services: ours from an API server (a stub that
//! lists them and their endpoints, ten each), unbound as local data in its configuration. Both
//! forward other names to a third server, and answer them from their caches. dnsperf asks, over
//! UDP on loopback, once as fast as it gets answers (rate, CPU) and once at a fixed pace (p99).
//! With one core, the server has one and dnsperf the other; with two, all share both. dnsperf needs
//! more time a question than either server, so that for its rate each server is held to the same
//! share of its cores; the rates are to be compared, and are no measure of what a whole core does.
//!
//! Two more cases are measured without a limit: `memory`, after every name was asked for, and
//! `programming`, from an event of the API server to the changed answer (ours alone).

mod changing;
mod load;
mod names;
mod programming;
mod quota;
mod servers;

use anyhow::Context;

use super::Plan;
use super::frame::{self, Better, Case, Measure, Metric, Row};
use super::namespace::{self, Room};
use crate::process::Step;
use crate::workspace::Workspace;

use self::load::Load;
use self::servers::{Server, Stage};

/// The bench's name.
pub(super) const NAME: &str = "dns";

const METRICS: &[Metric] = &[
    Metric {
        name: "qps",
        unit: "1/s",
        better: Better::Higher,
    },
    Metric {
        name: "p99",
        unit: "us",
        better: Better::Lower,
    },
    Metric {
        name: "cpu_us",
        unit: "us",
        better: Better::Lower,
    },
    Metric {
        name: "mib",
        unit: "MiB",
        better: Better::Lower,
    },
];

/// Of the case `memory`.
const MEMORY: &[Metric] = &[METRICS[3]];

/// A case: a name, and what is asked.
type Asked = (&'static str, fn() -> String);

const CASES: &[Asked] = &[
    ("cluster", names::cluster),
    ("search-miss", names::search_misses),
    ("cached", names::outside),
];

/// Cores that a server may use.
const CORES: [usize; 2] = [1, 2];

/// The cases without a limit, with the number of Services.
const MEMORY_CASE: &str = "memory/10000";
const PROGRAMMING_CASE: &str = "programming/10000";

/// Measures every case with both numbers of cores, then the two others.
///
/// # Errors
/// When a server does not come up or a measurement fails.
pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    servers::build(workspace)?;
    namespace::apart(|room| {
        let mut rows = Vec::new();
        for cores in CORES {
            let wanted = |(name, _): &&Asked| plan.wants(&format!("{name}/{cores}"));
            let cases: Vec<_> = CASES.iter().filter(wanted).collect();
            if cases.is_empty() {
                continue;
            }
            let step = Step::start(format!("{NAME}: servers on {cores} cores"));
            let stage = Stage::up(workspace, room, cores)?;
            step.done();
            for (name, questions) in cases {
                let name = format!("{name}/{cores}");
                let step = Step::start(format!("{NAME}, {name}"));
                let case = case(room, &stage, name, &questions(), cores)?;
                rows.extend(frame::measure(NAME, case, plan.rounds)?);
                step.done();
            }
        }
        if plan.wants(MEMORY_CASE) || plan.wants(PROGRAMMING_CASE) {
            rows.extend(unlimited(workspace, room, plan)?);
        }
        Ok(rows)
    })
}

fn unlimited(workspace: &Workspace, room: &Room, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let step = Step::start(format!("{NAME}: memory, and from event to answer"));
    let cores = 2;
    let stage = Stage::up(workspace, room, cores)?;
    let mut rows = Vec::new();
    if plan.wants(MEMORY_CASE) {
        let load = load(room, &names::cluster(), cores)?;
        let measure = |server| -> Measure<'_> {
            let load = load.clone();
            Box::new(move || load.memory(server))
        };
        let case = Case {
            name: MEMORY_CASE.to_owned(),
            metrics: MEMORY,
            ours: measure(&stage.ours),
            peers: vec![("unbound".to_owned(), measure(&stage.unbound))],
        };
        rows.extend(frame::measure(NAME, case, plan.rounds)?);
    }
    if plan.wants(PROGRAMMING_CASE) {
        let Stage { api, ours, .. } = &stage;
        rows.extend(programming::rows(PROGRAMMING_CASE, api, ours, plan.rounds)?);
    }
    step.done();
    Ok(rows)
}

fn case<'a>(
    room: &Room,
    stage: &'a Stage,
    name: String,
    questions: &str,
    cores: usize,
) -> anyhow::Result<Case<'a>> {
    let load = load(room, questions, cores)?;
    let measure = |server: &'a Server| -> Measure<'a> {
        let load = load.clone();
        Box::new(move || load.measure(server))
    };
    Ok(Case {
        name,
        metrics: METRICS,
        ours: measure(&stage.ours),
        peers: vec![("unbound".to_owned(), measure(&stage.unbound))],
    })
}

fn load(room: &Room, questions: &str, cores: usize) -> anyhow::Result<Load> {
    let file = room.path("questions");
    std::fs::write(&file, questions).with_context(|| file.display().to_string())?;
    Ok(Load { file, cores })
}
