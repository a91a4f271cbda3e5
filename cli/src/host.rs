//! What is the agent's program to do on this node, under the name that people know: `doctor` and
//! `uninstall`. They are no questions to a running agent, so they are started in this one's place.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::error::CliError;
use crate::nodes::Where;

/// The agent's program.
const AGENT: &str = "flatnet-agent";

/// What the agent is told besides; `flatnet-agent VERB --help` lists it.
#[derive(Debug, Args)]
pub(crate) struct HostArgs {
    /// Options of flatnet-agent; each has a twin in the environment.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Becomes `flatnet-agent VERB`; returns only if that cannot be started.
pub(crate) fn run(at: &Where, verb: &str, args: &HostArgs) -> CliError {
    let mut command = Command::new(agent());
    command.env("FLATNET_BPFFS", &at.bpffs);
    let source = command.arg(verb).args(&args.options).exec();
    CliError::doing(format!("start {AGENT}"))(source)
}

/// The one beside this program, or whatever PATH has.
fn agent() -> PathBuf {
    let beside = std::env::current_exe().ok();
    let beside = beside.and_then(|exe| Some(exe.parent()?.join(AGENT)));
    beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| AGENT.into())
}
