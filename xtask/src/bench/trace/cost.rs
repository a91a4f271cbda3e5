//! Nanoseconds of the packet programs before anybody has traced, after a trace has come and gone
//! (ours), and while one goes on.
//!
//! Each round has a lab of its own: only there was never a trace. The three are measured in it on
//! the same loaded programs, whose instructions are proved to be the same by their tags.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use aya::programs::{ProgramInfo, loaded_programs};
use serde_json::{Value, json};

use super::NAME;
use crate::bench::Plan;
use crate::bench::cluster::{Cluster, PODS};
use crate::bench::frame::{Better, Row};
use crate::bench::program::{self, Path, Place};
use crate::bench::quantile::quantile;
use crate::bench::service::{PORT, Service, measured};
use crate::process::Step;
use crate::workspace::Workspace;

/// What the cases are named after.
const CASE: &str = "off";
/// The paths that are measured: those of packets under way, and one of every hook.
const PATHS: [&str; 5] = [
    "from_pod/remembered-way",
    "from_pod/known-flow",
    "from_network/known-flow",
    "to_network/pass",
    "to_pod/pass",
];
/// How often a path is measured in each state, and which share of that is faster than what is taken:
/// what else the machine does slows all runs of a while, and never makes one faster.
const TIMES: usize = 60;
const BEST: f64 = 0.1;
/// A program of the trace's, by which it is seen whether somebody traces.
const TRACES: &str = "kfree_skb";
const PATIENCE: Duration = Duration::from_secs(10);

/// Of each path: before, after, during.
type Measured = BTreeMap<String, [f64; 3]>;

pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let wanted = |path: &str| plan.wants(&format!("{CASE}/{path}"));
    if !PATHS.iter().any(|path| wanted(path)) {
        return Ok(Vec::new());
    }
    let mut rounds = Vec::new();
    for number in 1..=plan.rounds {
        let step = Step::start(format!("{NAME}, {CASE}: round {number} of {}", plan.rounds));
        rounds.push(round(workspace, &wanted)?);
        step.done();
    }
    Ok(rows(&rounds))
}

/// A lab, and its programs in the three states.
fn round(workspace: &Workspace, wanted: &dyn Fn(&str) -> bool) -> anyhow::Result<Measured> {
    let cluster = Cluster::up(workspace, 2)?;
    let place = set(&cluster)?;
    let mut paths = place.paths();
    paths.retain(|path| PATHS.contains(&path.name.as_str()) && wanted(&path.name));
    let tags = tags(&place, &paths)?;
    learnt(&place, &paths)?;
    let before = measure(&place, &paths)?;
    let to = place.server.to_string();
    // Nobody listens there: the answer is a refusal, and the way the same.
    let traced = cluster.flatnet()?.args(["trace", "pod/far", &to]).output();
    let traced = traced.context("cannot start flatnet")?;
    let told = [traced.stdout, traced.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    ensure!(told.contains("a packet of our own was"), "no trace: {told}");
    settled(false)?;
    let after = measure(&place, &paths)?;
    let mut watch = cluster.flatnet()?;
    watch.args([
        "trace",
        "--watch",
        "--address",
        &place.server.ip().to_string(),
    ]);
    let mut watch = watch.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let during = settled(true).and_then(|()| measure(&place, &paths));
    watch.kill()?;
    watch.wait()?;
    let during = during?;
    ensure!(
        tags == self::tags(&place, &paths)?,
        "the programs are others"
    );
    let values = before.into_iter().zip(after).zip(during);
    let values = values.map(|((before, after), during)| [before, after, during]);
    Ok(paths
        .into_iter()
        .map(|path| path.name)
        .zip(values)
        .collect())
}

/// The pods, and the Service that the paths lead to. (Not by the feeder of bench `service`: it stops
/// the agents, and they are to trace.)
fn set(cluster: &Cluster) -> anyhow::Result<Place> {
    cluster.apply(PODS)?;
    let place = Place::of(cluster)?;
    for manifest in manifests(&measured(*place.server.ip())[0]) {
        cluster.apply(&manifest)?;
    }
    place.settle()?;
    Ok(place)
}

fn manifests(service: &Service) -> [String; 2] {
    let Service {
        name,
        cluster_ip,
        node_port,
        endpoints,
        ..
    } = service;
    let (address, port) = endpoints[0];
    let object = |version: &str, kind: &str, labels: Value, rest: Value| {
        let mut object = json!({"apiVersion": version, "kind": kind,
                                "metadata": {"name": name, "labels": labels}});
        if let (Some(object), Value::Object(rest)) = (object.as_object_mut(), rest) {
            object.extend(rest);
        }
        object.to_string()
    };
    let spec = json!({"type": "NodePort", "clusterIP": cluster_ip, "clusterIPs": [cluster_ip],
                      "ports": [{"port": PORT, "targetPort": port, "nodePort": node_port}]});
    let slice = json!({"addressType": "IPv4", "ports": [{"name": "", "port": port}],
                       "endpoints": [{"addresses": [address], "conditions": {"ready": true}}]});
    let owner = json!({"kubernetes.io/service-name": name});
    [
        object("v1", "Service", json!({}), json!({"spec": spec})),
        object("discovery.k8s.io/v1", "EndpointSlice", owner, slice),
    ]
}

/// Measures once, for the caches, when the agent has heard of the Service.
fn learnt(place: &Place, paths: &[Path]) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        match measure(place, paths) {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// Each path's nanoseconds. (The paths in turn, so that none has a moment of its own.)
fn measure(place: &Place, paths: &[Path]) -> anyhow::Result<Vec<f64>> {
    let mut values = vec![Vec::new(); paths.len()];
    for _ in 0..TIMES {
        for (path, values) in paths.iter().zip(&mut values) {
            values.push(typical(program::times(place, path)?));
        }
    }
    Ok(values.iter().map(|values| quantile(values, BEST)).collect())
}

/// The mean of the faster half: the kernel's clock has steps of some nanoseconds, so that a median
/// cannot show a hundredth; and what interrupts a run is in the slower half.
fn typical(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.truncate(times.len().div_ceil(2));
    times.iter().sum::<f64>() / times.len() as f64
}

/// What the kernel says of the programs' instructions.
fn tags(place: &Place, paths: &[Path]) -> anyhow::Result<Vec<u64>> {
    let tag = |path: &Path| {
        let pin = place.node.programs.join(path.hook.program);
        let info = ProgramInfo::from_pin(&pin).with_context(|| pin.display().to_string())?;
        Ok(info.tag())
    };
    paths.iter().map(tag).collect()
}

/// Waits until somebody traces on this machine, or nobody does.
fn settled(traces: bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while loaded_programs()
        .flatten()
        .any(|one| one.name() == TRACES.as_bytes())
        != traces
    {
        if begun.elapsed() > PATIENCE {
            bail!(
                "trace programs are loaded: {}, and should not be so",
                !traces
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn rows(rounds: &[Measured]) -> Vec<Row> {
    let paths = rounds.first().into_iter().flat_map(BTreeMap::keys);
    let row = |path: &String| {
        let median = |state: usize| {
            let values = rounds.iter().filter_map(|round| round.get(path));
            let values: Vec<f64> = values.map(|states| states[state]).collect();
            quantile(&values, 0.5)
        };
        let peers = [("never traced", 0), ("while traced", 2)];
        Row {
            bench: NAME.to_owned(),
            case: format!("{CASE}/{path}"),
            metric: "ns".to_owned(),
            unit: "ns".to_owned(),
            better: Better::Lower,
            ours: median(1),
            peers: peers
                .map(|(peer, state)| (peer.to_owned(), median(state)))
                .into(),
            runs: rounds.len(),
        }
    };
    paths.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_interrupts_is_no_part_of_what_is_typical() {
        let times = vec![10.0, 900.0, 12.0, 5000.0];
        assert_eq!(typical(times).to_bits(), 11.0_f64.to_bits());
    }

    #[test]
    fn a_row_compares_after_with_before_and_during() {
        let round = |states| Measured::from([("to_pod/pass".to_owned(), states)]);
        let rounds = [
            round([100.0, 101.0, 140.0]),
            round([90.0, 95.0, 130.0]),
            round([110.0, 105.0, 160.0]),
        ];
        let rows = rows(&rounds);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].case, "off/to_pod/pass");
        assert_eq!(rows[0].ours.to_bits(), 101.0_f64.to_bits());
        assert_eq!(rows[0].peers["never traced"].to_bits(), 100.0_f64.to_bits());
        assert_eq!(rows[0].peers["while traced"].to_bits(), 140.0_f64.to_bits());
    }
}
