//! `cargo xtask bench NAME`: flatnet against its peers, each in turn within one run.
//!
//! [`frame`] alternates and takes medians, [`table`] shows them; a bench itself is only a list of
//! cases (see [`connect`]).

mod frame;
mod quantile;
mod namespace;
mod cgroup;
mod usage;
mod metrics;
mod plugin;
mod population;
mod api;
mod load;
mod network;
mod cluster;
mod connect;
mod cni;
mod dns;
mod path;
mod service;
mod program;
mod sync;
mod trace;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;

use self::frame::Row;
use crate::lab;
use crate::setup::{self, Scope};
use crate::workspace::Workspace;

/// Arguments of `cargo xtask bench`.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Which bench.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Also write the rows to this file, as a JSON array.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often each contender is measured (once more to warm up).
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Measure only the cases that have this in their names.
    #[arg(long, value_name = "WORD", default_value = "")]
    case: String,
    /// Print the name of every bench and run none.
    #[arg(long)]
    list: bool,
}

/// A bench: its name, what it measures, and how.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &Plan) -> anyhow::Result<Vec<Row>>,
}

/// How much of a bench is to be done.
struct Plan {
    rounds: usize,
    /// What a case has in its name to be measured; every name has the empty word.
    case: String,
}

impl Plan {
    fn wants(&self, case: &str) -> bool {
        case.contains(&self.case)
    }
}

const BENCHES: &[Bench] = &[
    Bench {
        name: connect::NAME,
        about: "connect, one byte, close: through the cluster IP against the endpoint's address",
        run: connect::run,
    },
    Bench {
        name: cni::NAME,
        about: "wall time of ADD and DEL, 1, 10 and 100 at once, against ptp and bridge",
        run: cni::run,
    },
    Bench {
        name: path::NAME,
        about: "pod to pod, on one node and across: requests, connections, streams, against ptp, \
                bridge and the bare veth pair",
        run: path::run,
    },
    Bench {
        name: dns::NAME,
        about: "the DNS server with 10 000 Services: cluster names, search-path misses, cached \
                names, against unbound",
        run: dns::run,
    },
    Bench {
        name: service::NAME,
        about: "a Service among 10 to 30 000, from a pod and from outside, against the endpoint's \
                address and kube-proxy's rules",
        run: service::run,
    },
    Bench {
        name: program::NAME,
        about: "nanoseconds of one run of each packet program, on each of its paths",
        run: program::run,
    },
    Bench {
        name: trace::NAME,
        about: "what a trace costs while there is none, and one flow traced in a flood of others",
        run: trace::run,
    },
    Bench {
        name: sync::NAME,
        about: "the agent with 10 to 30 000 Services of 10 endpoints: first sync, one change, \
                memory",
        run: sync::run,
    },
];

/// Runs one bench; the table goes to stdout.
///
/// # Errors
/// When there is no bench of that name, or it cannot be run to its end.
pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let BenchArgs {
        name,
        json,
        rounds,
        case,
        list,
    } = args;
    if *list {
        for Bench { name, about, .. } in BENCHES {
            println!("{name}: {about}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let name = name.as_deref().unwrap_or_default();
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        let names: Vec<_> = BENCHES.iter().map(|bench| bench.name).collect();
        bail!("there is no bench {name:?}; there is {}", names.join(", "));
    };
    setup::ensure(Scope::Bench)?;
    // These have no lab, and build what they measure.
    if ![dns::NAME, sync::NAME].contains(&bench.name) {
        lab::prepare(workspace)?;
    }
    let plan = Plan {
        rounds: usize::from(*rounds),
        case: case.clone(),
    };
    let rows = (bench.run)(workspace, &plan)?;
    ensure!(!rows.is_empty(), "bench {name} has no case like {case:?}");
    print!("{}", table::render(&rows));
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&rows).context("rows are no JSON")?;
        std::fs::write(file, text + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
