//! Bench `program`: nanoseconds of one run of each packet program, by BPF_PROG_TEST_RUN.
//!
//! The programs are those of a lab's node, with its maps and routes; the packets never leave
//! memory. A program changes its packet, so each run is given a new one, and the time is that of a
//! single run, with the two looks at the clock that the kernel takes around it. What is measured
//! is proved by what came out: a packet is dropped, or has the ends that it should have. (The
//! socket programs cannot be run this way: the kernel does not offer it for their type.)

mod frame_of;
mod place;
mod paths;
mod runner;

use anyhow::{Context, ensure};

use self::paths::Expected;
use self::runner::Outcome;
use super::Plan;
use super::cluster::{Cluster, PODS};
use super::frame::{self, Better, Case, Metric, Row};
use super::namespace;
use super::quantile::quantile;
use super::service::{Feeder, Node, measured};
use crate::process::Step;
use crate::workspace::Workspace;

pub(super) use self::paths::Path;
pub(super) use self::place::Place;

/// The bench's name.
pub(super) const NAME: &str = "program";
const METRICS: &[Metric] = &[Metric {
    name: "ns",
    unit: "ns",
    better: Better::Lower,
}];
/// Runs of one measurement, of which the median is taken.
const RUNS: u16 = 1_000;
/// `TC_ACT_SHOT` of linux/pkt_cls.h.
const SHOT: i32 = 2;

/// Measures every path in a lab of its own.
///
/// # Errors
/// When the lab does not come up, or a program does something else than its path says.
pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let cluster = Cluster::up(workspace, 2)?;
    cluster.apply(PODS)?;
    let place = Place::of(&cluster)?;
    let nodes = [Node::of(&cluster, "node1")?, Node::of(&cluster, "node2")?];
    let services = measured(*place.server.ip());
    namespace::apart(|room| Feeder::of(workspace).feed(room, &nodes, &services))?;
    place.settle()?;
    let mut rows = Vec::new();
    for path in place.paths() {
        if !plan.wants(&path.name) {
            continue;
        }
        let step = Step::start(format!("{NAME}, {}", path.name));
        let case = Case {
            name: path.name.clone(),
            metrics: METRICS,
            ours: Box::new(|| measure(&place, &path)),
            peers: vec![],
        };
        rows.extend(frame::measure(NAME, case, plan.rounds)?);
        step.done();
    }
    Ok(rows)
}

fn measure(place: &Place, path: &Path) -> anyhow::Result<Vec<f64>> {
    Ok(vec![quantile(&times(place, path)?, 0.5)])
}

/// Nanoseconds of a thousand runs of a path's program.
///
/// # Errors
/// When the program does something else than the path says.
pub(super) fn times(place: &Place, path: &Path) -> anyhow::Result<Vec<f64>> {
    for (hook, segment) in &path.before {
        place.node.run(*hook, std::iter::once(segment.frame()))?;
    }
    let frames = (0..RUNS).map(|run| path.segment(run).frame());
    let outcomes = place.node.run(path.hook, frames)?;
    for outcome in &outcomes {
        check(outcome, &path.expected).with_context(|| path.name.clone())?;
    }
    let times = outcomes.iter().map(|one| one.took.as_nanos() as f64);
    Ok(times.collect())
}

/// Makes sure that the packet took the path that is measured.
fn check(outcome: &Outcome, expected: &Expected) -> anyhow::Result<()> {
    let Outcome { verdict, frame, .. } = outcome;
    if let Expected::Dropped = expected {
        ensure!(*verdict == SHOT, "the verdict is {verdict}, and not a drop");
        return Ok(());
    }
    ensure!(*verdict != SHOT, "the packet was dropped");
    let (from, to) = frame_of::ends(frame).context("no packet came out")?;
    let holds = match expected {
        Expected::Dropped => false,
        Expected::Ends(wanted_from, wanted_to) => (from, to) == (*wanted_from, *wanted_to),
        Expected::To(address) => to.ip() == address,
        Expected::Through(source, address) => from.ip() == source && to.ip() == address,
    };
    ensure!(holds, "{from} -> {to} came out, and not {expected:?}");
    Ok(())
}
