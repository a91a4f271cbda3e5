//! The agent's program: command line, log, banner, run.

use std::process::ExitCode;

use clap::Parser as _;
use proxy_agent::args::{Cli, Command};
use proxy_agent::run;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    start_log();
    let result = match command {
        Command::Run(options) => {
            let version = env!("CARGO_PKG_VERSION");
            tracing::info!(version, node = options.node_name, "flatnet-agent");
            run::run(options).await
        }
        Command::Diff(options) => run::diff(options).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flatnet-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// To stderr, at the level of RUST_LOG (info without it).
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
