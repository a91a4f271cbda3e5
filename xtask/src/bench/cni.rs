//! Bench `cni`: what a pod's network costs the container runtime.
//!
//! A plugin's process is started, as a runtime does, and its wall time taken until it has ended:
//! ADD, then DEL, for fresh network namespaces, one at a time and 10 and 100 at once. Ours is the
//! release binary, static; its programs and maps are those that an agent pinned. The peers are
//! Debian's `ptp` and `bridge`, with `host-local`. All three keep their leases in memory, and
//! work in one network namespace that stands for the node.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::Plan;
use super::cluster::Cluster;
use super::frame::{self, Better, Contender, Row};
use super::namespace::{self, Room};
use super::plugin::{Plugin, Pod};
use super::quantile::quantile;
use crate::build;
use crate::process::Step;
use crate::setup::STATIC_TARGET;
use crate::workspace::Workspace;

/// The bench's name.
pub(super) const NAME: &str = "cni";
const PACKAGE: &str = "cni-plugin";
const BINARY: &str = "flatnet-cni";
/// The lab's one node, whose agent pins what our plugin attaches.
const NODE: &str = "node1";

const QUANTILES: &[(&str, f64)] = &[("p50", 0.50), ("p99", 0.99)];

/// How many calls run at once.
struct Load {
    width: usize,
    /// Pods of one measurement.
    pods: usize,
    /// By how much fewer rounds are measured: a hundred processes at once take their time.
    fewer: usize,
}

impl Load {
    fn case(&self, verb: &str) -> String {
        format!("{verb}/{}", self.width)
    }
}

const LOADS: &[Load] = &[
    Load {
        width: 1,
        pods: 20,
        fewer: 1,
    },
    Load {
        width: 10,
        pods: 20,
        fewer: 1,
    },
    Load {
        width: 100,
        pods: 100,
        fewer: 3,
    },
];

/// What one measurement yields: milliseconds of each call.
struct Calls {
    add: Vec<f64>,
    del: Vec<f64>,
}

/// The calls of one verb.
type Times = fn(&Calls) -> &[f64];

const VERBS: [(&str, Times); 2] = [("add", |calls| &calls.add), ("del", |calls| &calls.del)];

/// Measures all cases beside a lab of one node.
///
/// # Errors
/// When the lab does not come up or a plugin fails.
pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let binary = static_binary(workspace)?;
    println!(
        "{BINARY}: {} bytes, static ({STATIC_TARGET})",
        binary.metadata()?.len()
    );
    let cluster = Cluster::up(workspace, 1)?;
    let bpffs = cluster.bpffs(NODE)?;
    namespace::apart(|room| {
        let plugins = plugins(room, &binary, &bpffs)?;
        let mut rows = Vec::new();
        let wanted = |load: &&Load| VERBS.iter().any(|(verb, _)| plan.wants(&load.case(verb)));
        for load in LOADS.iter().filter(wanted) {
            rows.extend(measure(room, &plugins, load, plan.rounds)?);
        }
        // ADD and DEL are measured together.
        rows.retain(|row| plan.wants(&row.case));
        Ok(rows)
    })
}

/// Builds our plugin as it is shipped.
fn static_binary(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    Ok(build::statically(workspace, &[PACKAGE], true)?.join(BINARY))
}

/// Ours first.
fn plugins(room: &Room, binary: &Path, bpffs: &Path) -> anyhow::Result<Vec<(String, Plugin)>> {
    let bridge = json!({ "bridge": "bench0", "isGateway": true });
    Ok(vec![
        (
            "ours".to_owned(),
            Plugin::flatnet(room, (binary, bpffs), "10.9.0.0/16")?,
        ),
        (
            "ptp".to_owned(),
            Plugin::peer(room, "ptp", "ptp", ("10.10.0.0/16", json!({})))?,
        ),
        (
            "bridge".to_owned(),
            Plugin::peer(room, "bridge", "bridge", ("10.11.0.0/16", bridge))?,
        ),
    ])
}

fn measure(
    room: &Room,
    plugins: &[(String, Plugin)],
    load: &Load,
    rounds: usize,
) -> anyhow::Result<Vec<Row>> {
    let rounds = rounds.div_ceil(load.fewer);
    let case = format!("{} at once", load.width);
    let step = Step::start(format!(
        "{NAME}, {case}: ADD and DEL of {} pods",
        plugins.len() * (rounds + 1) * load.pods
    ));
    let contenders = plugins
        .iter()
        .map(|(name, plugin)| -> Contender<'_, Calls> {
            (name.clone(), Box::new(|| calls(room, plugin, load)))
        });
    let measured = frame::alternate(&case, contenders.collect(), rounds)?;
    step.done();
    rows(load, rounds, &measured)
}

/// Makes the pods' namespaces, has the plugin add and delete all of them, and lets them go.
fn calls(room: &Room, plugin: &Plugin, load: &Load) -> anyhow::Result<Calls> {
    let pods = (0..load.pods).map(|number| {
        let container = format!("pod{number}");
        let netns = room.create_netns(&container)?;
        Ok(Pod { container, netns })
    });
    let pods: Vec<_> = pods.collect::<anyhow::Result<_>>()?;
    let calls = Calls {
        add: plugin.times("ADD", &pods, load.width)?,
        del: plugin.times("DEL", &pods, load.width)?,
    };
    for pod in &pods {
        room.remove_netns(&pod.netns)?;
    }
    Ok(calls)
}

/// The quantiles over the calls of all rounds: a single round has too few for a p99.
fn rows(load: &Load, rounds: usize, measured: &[(String, Vec<Calls>)]) -> anyhow::Result<Vec<Row>> {
    let (ours, peers) = measured.split_first().context("nobody was measured")?;
    let mut rows = Vec::new();
    for (verb, times) in VERBS {
        for (metric, q) in QUANTILES {
            let value = |(name, calls): &(String, Vec<Calls>)| {
                let all: Vec<f64> = calls.iter().flat_map(times).copied().collect();
                (name.clone(), quantile(&all, *q))
            };
            rows.push(Row {
                bench: NAME.to_owned(),
                case: load.case(verb),
                metric: (*metric).to_owned(),
                unit: "ms".to_owned(),
                better: Better::Lower,
                ours: value(ours).1,
                peers: peers.iter().map(value).collect(),
                runs: rounds,
            });
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_quantiles_over_all_rounds() {
        let round = |from: u32| Calls {
            add: (from..from + 50).map(f64::from).collect(),
            del: vec![1.0; 50],
        };
        let measured = [
            ("ours".to_owned(), vec![round(1), round(51)]),
            ("ptp".to_owned(), vec![round(101), round(151)]),
        ];
        let rows = rows(&LOADS[1], 2, &measured).expect("somebody was measured");
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                let Row { case, metric, .. } = row;
                format!("{case} {metric} {} {}", row.ours, row.peers["ptp"])
            })
            .collect();
        assert_eq!(
            shown,
            [
                "add/10 p50 50 150",
                "add/10 p99 99 199",
                "del/10 p50 1 1",
                "del/10 p99 1 1",
            ]
        );
        assert!(super::rows(&LOADS[1], 2, &[]).is_err());
    }
}
