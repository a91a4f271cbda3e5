//! Bench `path`: what the way from pod to pod costs, on one node and across nodes.
//!
//! Four networks stand at once, on the fabric of one lab ([`stage`]), and are measured in turn:
//! ours (a real agent, plugin and programs), Debian's `ptp` and `bridge` plugins with plain
//! routing between the nodes and no programs, and `bare`: pods with nothing between them but a
//! veth pair, or the fabric. The load ([`load`]) is made by threads of this process in the pods'
//! namespaces, the same threads for all.

mod cpu;
mod load;
mod stage;

use self::load::Load;
use self::stage::{Leg, Stage, Variant};
use super::cluster::Cluster;
use super::frame::{self, Better, Case, Contender, Metric, Row};
use super::{Plan, namespace};
use crate::process::Step;
use crate::workspace::Workspace;

/// The bench's name.
pub(super) const NAME: &str = "path";
const MANIFEST: &str = include_str!("path.yaml");
/// The nodes of our variant's lab; each peer has as many of its own.
const NODES: u8 = 2;

const RATE: Metric = Metric {
    name: "rate",
    unit: "1/s",
    better: Better::Higher,
};
const P99: Metric = Metric {
    name: "p99",
    unit: "us",
    better: Better::Lower,
};
const CPU: Metric = Metric {
    name: "cpu",
    unit: "us",
    better: Better::Lower,
};
/// The metrics of streams.
const STREAMS: &[Metric] = &[
    Metric {
        name: "gbps",
        unit: "Gbit/s",
        better: Better::Higher,
    },
    Metric {
        name: "cpu_per_gib",
        unit: "s/GiB",
        better: Better::Lower,
    },
];

const LOADS: &[(&str, Load, &[Metric])] = &[
    ("rr", Load::Requests, &[RATE, P99, CPU]),
    ("connect", Load::Connections, &[RATE, P99]),
    ("stream1", Load::Streams(1), STREAMS),
    ("stream8", Load::Streams(8), STREAMS),
];

/// Which of a variant's legs.
type Choose = fn(&Variant) -> &Leg;
const LEGS: &[(&str, Choose)] = &[
    ("same-node", |variant| &variant.near),
    ("cross-node", |variant| &variant.far),
];

/// Measures all cases in a lab of its own, with the peers on its fabric.
///
/// # Errors
/// When a variant does not come up or a measurement fails.
pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let cluster = Cluster::up(workspace, NODES)?;
    cluster.apply(MANIFEST)?;
    let (fabric, ours) = (cluster.netns(stage::FABRIC)?, stage::ours(&cluster)?);
    namespace::apart(|room| {
        let step = Step::start("joining the peers' nodes and pods to the lab's fabric");
        let stage = Stage::set(room, &fabric, ours)?;
        step.done();
        let mut rows = Vec::new();
        for (load_name, load, metrics) in LOADS {
            for (leg_name, leg) in LEGS {
                let name = format!("{load_name}/{leg_name}");
                if !plan.wants(&name) {
                    continue;
                }
                let rounds = plan.rounds * load.a_round();
                let step = Step::start(format!("{NAME}, {name}: {} rounds", rounds + 1));
                let case = Case {
                    name,
                    metrics,
                    ours: contender(&stage.ours, *leg, *load).1,
                    peers: stage
                        .peers
                        .iter()
                        .map(|peer| contender(peer, *leg, *load))
                        .collect(),
                };
                rows.extend(frame::measure(NAME, case, rounds)?);
                step.done();
            }
        }
        Ok(rows)
    })
}

fn contender(variant: &Variant, leg: Choose, load: Load) -> Contender<'_> {
    let measure = move || {
        cpu::work_for(&variant.name)?;
        load.run(&variant.server, leg(variant))
    };
    (variant.name.clone(), Box::new(measure))
}
