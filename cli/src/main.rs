//! `flatnet` (also `kubectl flatnet`): what the network of a node does, in words and names.
//!
//! Thin: the agent of each node answers over a Unix socket, and while it is down what can be read
//! from the kernel is read here, by the same code. A subcommand is a module with arguments and a
//! `run`, a line in [`Command`] and one in [`run`].

mod agent;
mod error;
mod exec;
mod nodes;
mod print;
mod table;

mod api;
mod drops;
mod endpoints;
mod flows;
mod host;
mod services;
mod status;
mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::CliError;
use crate::nodes::Where;

/// Shows what flatnet does on a node, or on all nodes of a lab.
#[derive(Debug, Parser)]
#[command(name = "flatnet", bin_name = "flatnet", version)]
struct Cli {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How the nodes fare: agent, programs, maps, drops.
    Status(status::Args),
    /// The Services as a node serves them, and why nobody answers where nobody does.
    #[command(visible_alias = "svc")]
    Services(services::Args),
    /// Who may take a Service's traffic, and why or why not.
    #[command(visible_alias = "ep")]
    Endpoints(services::Args),
    /// The conversations that the nodes translate.
    Flows(flows::Args),
    /// What was dropped, why, and where to look.
    Drops(drops::Args),
    /// The path of a packet, hop by hop, with who runs each; and where it dies.
    Trace(Box<trace::Args>),
    /// What keeps this node from working, a line each with its remedy. Ends in 0 if nothing does,
    /// in 1 if it works but not in full, in 2 if it does not.
    Doctor(host::HostArgs),
    /// Removes flatnet from this node, and nothing that is not its own. Pods lose their network.
    Uninstall(host::HostArgs),
    /// Asks this node's agent and prints its answer as it comes.
    #[command(hide = true)]
    Api(api::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { at, command } = Cli::parse();
    match run(&at, command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("flatnet: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(at: &Where, command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Status(args) => status::run(at, &args).await,
        Command::Services(args) => services::run(at, &args).await,
        Command::Endpoints(args) => endpoints::run(at, &args).await,
        Command::Flows(args) => flows::run(at, &args).await,
        Command::Drops(args) => drops::run(at, &args).await,
        Command::Trace(args) => trace::run(at, &args).await,
        Command::Doctor(args) => Err(host::run(at, "doctor", &args)),
        Command::Uninstall(args) => Err(host::run(at, "uninstall", &args)),
        Command::Api(args) => api::run(at, &args).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
