//! Bench `connect`: what a new connection costs through a cluster IP.
//!
//! A pod opens a connection, exchanges one byte and closes it, again and again: through the
//! Service's cluster IP (ours), and to the endpoint's own address (peer `direct`), which is the
//! floor that no service proxy can go below. Once with client and server on one node, once
//! across nodes.

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::Plan;
use super::cluster::Cluster;
use super::frame::{self, Better, Case, Measure, Metric, Row};
use crate::process::Step;
use crate::workspace::Workspace;

/// The bench's name.
pub(super) const NAME: &str = "connect";
/// Two pods of each kind and a Service; the same demo application as in the demonstration.
const MANIFEST: &str = include_str!("connect.yaml");
/// The port of the Service and of its endpoint, so that both paths differ in the address only.
const PORT: u16 = 9090;
/// Connections of one measurement. A tenth of a second: many short turns even out what else the
/// machine does better than few long ones.
const CONNECTIONS: &str = "1000";

const METRICS: &[Metric] = &[
    Metric {
        name: "rate",
        unit: "1/s",
        better: Better::Higher,
    },
    Metric {
        name: "p50",
        unit: "us",
        better: Better::Lower,
    },
    Metric {
        name: "p99",
        unit: "us",
        better: Better::Lower,
    },
];

/// The cases: a name, and the client pod (the server is always the pod `server`).
const CASES: &[(&str, &str)] = &[("same-node", "client-near"), ("cross-node", "client-far")];

/// Measures both cases in a lab of its own.
///
/// # Errors
/// When the lab does not come up or a measurement fails.
pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let cluster = Cluster::up(workspace, 2)?;
    cluster.apply(MANIFEST)?;
    let service = format!(
        "{}:{PORT}",
        cluster.field("service/server", ".spec.clusterIP")?
    );
    let endpoint = format!("{}:{PORT}", cluster.field("pod/server", ".status.podIP")?);
    let mut rows = Vec::new();
    let rounds = plan.rounds;
    for (case, client) in CASES.iter().filter(|(case, _)| plan.wants(case)) {
        let step = Step::start(format!("{NAME}, {case}: {} measurements", 2 * (rounds + 1)));
        let case = Case {
            name: (*case).to_owned(),
            metrics: METRICS,
            ours: connect(&cluster, client, &service),
            peers: vec![("direct".to_owned(), connect(&cluster, client, &endpoint))],
        };
        rows.extend(frame::measure(NAME, case, rounds)?);
        step.done();
    }
    Ok(rows)
}

fn connect<'a>(cluster: &'a Cluster, client: &'a str, address: &'a str) -> Measure<'a> {
    Box::new(move || {
        let words = [
            "flatnet-demo",
            "connect",
            address,
            "--count",
            CONNECTIONS,
            "--json",
        ];
        read(&cluster.exec(client, &words)?)
    })
}

/// What `flatnet-demo connect --json` prints, as far as it is used here.
#[derive(Deserialize)]
struct Report {
    /// Connections that failed.
    failed: u64,
    /// Connections a second, one after another.
    per_second: f64,
    /// Microseconds from connect() to the answered byte and the end.
    p50_us: f64,
    p99_us: f64,
}

/// The values of [`METRICS`], in their order.
fn read(json: &str) -> anyhow::Result<Vec<f64>> {
    let Report {
        failed,
        per_second,
        p50_us,
        p99_us,
    } = serde_json::from_str(json.trim())
        .with_context(|| format!("not the report of flatnet-demo connect: {json:?}"))?;
    ensure!(failed == 0, "{failed} connections failed");
    Ok(vec![per_second, p50_us, p99_us])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_in_the_order_of_the_metrics() {
        let report = |failed: u64| {
            format!(
                r#"{{"address":"10.96.7.1:9090","count":9,"failed":{failed},"p50_us":2.0,"p90_us":2.5,"p99_us":3.0,"max_us":9.0,"per_second":1.0}}"#
            )
        };
        assert_eq!(read(&report(0)).expect("a report"), [1.0, 2.0, 3.0]);
        assert!(
            read(&report(1)).is_err(),
            "a failed connection spoils the measurement"
        );
        assert!(read("refused").is_err());
        assert_eq!(
            METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>(),
            ["rate", "p50", "p99"]
        );
    }
}
