//! Bench `path`: what the way from pod to pod costs, on one node and across nodes.
//!
//! Four networks stand at once, on the fabric of one lab ([`network`]), and are measured in turn:
//! ours (a real agent, plugin and programs), Debian's `ptp` and `bridge` plugins with plain
//! routing between the nodes and no programs, and `bare`: pods with nothing between them but a
//! veth pair, or the fabric. The load ([`super::load`]) is made by threads of
//! this process in the pods' namespaces, the same threads for all.

mod bare;

use std::path::Path;

use serde_json::json;

use super::Plan;
use super::cluster::{Cluster, PODS};
use super::frame::{self, Case, Contender, Row};
use super::load::{Leg, Load};
use super::namespace::{self, Room};
use super::network::{self, FABRIC, Peer, Variant, routed};
use crate::process::Step;
use crate::workspace::Workspace;

/// The bench's name.
pub(super) const NAME: &str = "path";
/// The nodes of our variant's lab; each peer has as many of its own.
const NODES: u8 = 2;

const LOADS: &[(&str, Load)] = &[
    ("rr", Load::Requests),
    ("connect", Load::Connections),
    ("stream1", Load::Streams(1)),
    ("stream8", Load::Streams(8)),
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
    cluster.apply(PODS)?;
    let (fabric, ours) = (cluster.netns(FABRIC)?, network::ours(&cluster)?);
    namespace::apart(|room| {
        let step = Step::start("joining the peers' nodes and pods to the lab's fabric");
        let peers = peers(room, &fabric)?;
        step.done();
        let mut rows = Vec::new();
        for (load_name, load) in LOADS {
            for (leg_name, leg) in LEGS {
                let name = format!("{load_name}/{leg_name}");
                if !plan.wants(&name) {
                    continue;
                }
                let rounds = plan.rounds * load.a_round();
                let step = Step::start(format!("{NAME}, {name}: {} rounds", rounds + 1));
                let case = Case {
                    name,
                    metrics: load.metrics(),
                    ours: contender(&ours, *leg, *load).1,
                    peers: peers
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

fn peers(room: &Room, fabric: &Path) -> anyhow::Result<Vec<Variant>> {
    network::prepare(fabric)?;
    let bridged = json!({ "bridge": "cni0", "isGateway": true });
    let (ptp, bridge) = (
        Peer::new("ptp", "ptp", 151, 245),
        Peer::new("bridge", "bridge", 161, 246),
    );
    Ok(vec![
        routed(room, fabric, &ptp, &json!({}))?,
        routed(room, fabric, &bridge, &bridged)?,
        bare::bare(room, fabric)?,
    ])
}

fn contender(variant: &Variant, leg: Choose, load: Load) -> Contender<'_> {
    let measure = move || load.run(&variant.name, &variant.server, leg(variant));
    (variant.name.clone(), Box::new(measure))
}
