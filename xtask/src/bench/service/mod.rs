//! Bench `service`: what a Service costs, whatever number of others there is.
//!
//! A pod asks a cluster IP whose endpoint is on another node, and a client outside asks the node
//! port of a node that has no endpoint, so that everybody has to masquerade. Peers are the same
//! client and the endpoint's own address (`direct`), and two networks with plain routing and
//! kube-proxy's rules for the same Services ([`iptables`], [`nftables`]) on both nodes. All stand
//! at once, on the fabric of one lab ([`stage`]), and are measured in turn.

mod feeder;
mod iptables;
mod layout;
mod nftables;
mod stage;

pub(super) use self::feeder::{Feeder, Node};
use std::thread;
use std::time::Duration;

use self::layout::Protocol;
pub(super) use self::layout::{PORT, Service, measured};
use self::stage::{From, Ours, Side, Stage};
use super::Plan;
use super::cgroup::Visit;
use super::cluster::{Cluster, PODS};
use super::frame::{self, Case, Measure, Row};
use super::load::{Leg, Load};
use super::namespace;
use crate::process::Step;
use crate::workspace::Workspace;

/// The bench's name.
pub(super) const NAME: &str = "service";
/// Numbers of Services.
const SIZES: [usize; 4] = [10, 1_000, 10_000, 30_000];
const LOADS: &[(&str, Load, Protocol)] = &[
    ("connect", Load::Connections, Protocol::Tcp),
    ("request", Load::Requests, Protocol::Tcp),
    ("first", Load::First, Protocol::Udp),
];
const FRONTENDS: &[(&str, From)] = &[("clusterip", From::Pod), ("nodeport", From::Outside)];

/// From the last change of rules to the first measurement.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures all cases in a lab of its own, with the peers on its fabric.
///
/// # Errors
/// When a side does not come up, does not serve, or a measurement fails.
pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let cluster = Cluster::up(workspace, 2)?;
    cluster.apply(PODS)?;
    let ours = Ours::of(&cluster, Feeder::of(workspace))?;
    namespace::apart(|room| {
        let step = Step::start("joining the peers' nodes and pods to the lab's fabric");
        let stage = Stage::set(room, ours)?;
        step.done();
        let mut rows = Vec::new();
        for count in SIZES {
            let cases = cases(count);
            let cases: Vec<_> = cases.iter().filter(|case| plan.wants(&case.0)).collect();
            if cases.is_empty() {
                continue;
            }
            let step = Step::start(format!("{NAME}: {count} Services, and rules for as many"));
            stage.populate(count)?;
            // The kernel frees the rules that were replaced in its own time.
            thread::sleep(SETTLE);
            step.done();
            for (name, load, from, protocol) in cases {
                let step = Step::start(format!("{NAME}, {name}: {} rounds", plan.rounds + 1));
                let case = case(&stage, name, *load, (*from, *protocol));
                rows.extend(frame::measure(NAME, case, plan.rounds)?);
                step.done();
            }
        }
        Ok(rows)
    })
}

/// The cases of one size: name, load, from where, and over what.
fn cases(count: usize) -> Vec<(String, Load, From, Protocol)> {
    let mut cases = Vec::new();
    for (load_name, load, protocol) in LOADS {
        for (frontend, from) in FRONTENDS {
            let name = format!("{load_name}/{frontend}/{count}");
            cases.push((name, *load, *from, *protocol));
        }
    }
    cases
}

fn case<'a>(
    stage: &'a Stage,
    name: &str,
    load: Load,
    (from, protocol): (From, Protocol),
) -> Case<'a> {
    let run = |name: &'static str, side: &'a Side, leg: Leg| -> Measure<'a> {
        Box::new(move || {
            let _visit = stage.cgroup(side, from).map(Visit::to).transpose()?;
            load.run(name, &side.server, &leg)
        })
    };
    let to = |side: &'a Side| run(side.name, side, stage.to_service(side, from, protocol));
    let direct = run("direct", &stage.ours, stage.direct(from));
    let mut peers = vec![("direct".to_owned(), direct)];
    peers.extend(
        stage
            .peers
            .iter()
            .map(|peer| (peer.name.to_owned(), to(peer))),
    );
    Case {
        name: name.to_owned(),
        metrics: load.metrics(),
        ours: to(&stage.ours),
        peers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_are_named_by_load_frontend_and_size() {
        let names: Vec<_> = cases(10).into_iter().map(|case| case.0).collect();
        assert_eq!(
            names,
            [
                "connect/clusterip/10",
                "connect/nodeport/10",
                "request/clusterip/10",
                "request/nodeport/10",
                "first/clusterip/10",
                "first/nodeport/10",
            ]
        );
    }
}
