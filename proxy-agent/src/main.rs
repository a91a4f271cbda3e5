//! The agent's program: command line, log, banner, run.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use proxy_agent::args::{Cli, Command};
use proxy_agent::{doctor, prepare, run, uninstall};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    start_log();
    let done: anyhow::Result<()> = match command {
        Command::Run(options) => {
            let version = env!("CARGO_PKG_VERSION");
            tracing::info!(version, node = options.node_name, "flatnet-agent");
            run::run(options).await.map_err(Into::into)
        }
        Command::Diff(options) => run::diff(options).await.map_err(Into::into),
        Command::Doctor(options) => return doctor::doctor(&options).await,
        Command::Uninstall(options) => uninstall::tell(&options).await,
        Command::Prepare(options) => prepare::prepare(&options).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flatnet-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// To stderr, as RUST_LOG says. Without it info, but nothing of kube's client, which reports each
/// failed request as an error of its own; the watches say what matters of it.
fn start_log() {
    let default = || EnvFilter::new("info,kube_client=off,kube_runtime=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
