//! `flatnet api PATH`: the answer of this node's agent as it comes. It is what the other commands
//! run in an agent's pod to ask from outside of the node.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use http::Method;

use crate::agent;
use crate::error::CliError;
use crate::nodes::Where;

/// Arguments of `flatnet api`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Has the agent do something, rather than tell.
    #[arg(long)]
    post: bool,
    /// A path of the agent's API.
    path: String,
}

/// Prints it.
///
/// # Errors
/// [`CliError`].
pub(crate) async fn run(at: &Where, args: &Args) -> Result<ExitCode, CliError> {
    let method = if args.post { Method::POST } else { Method::GET };
    let body = agent::raw(at.socket(), method, &args.path).await?;
    let mut out = std::io::stdout().lock();
    out.write_all(&body)
        .map_err(CliError::doing("write the answer"))?;
    Ok(ExitCode::SUCCESS)
}
