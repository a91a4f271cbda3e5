//! `flatnet endpoints [NAME]`: who may take a Service's traffic on a node, and why or why not.

use std::process::ExitCode;

use proxy_agent::local::api::Services;

use crate::error::CliError;
use crate::nodes::Where;
use crate::services::{Args, port_name};
use crate::table::Table;

/// Shows them.
///
/// # Errors
/// [`CliError`].
pub(crate) async fn run(at: &Where, args: &Args) -> Result<ExitCode, CliError> {
    let path = args.path();
    let agents = at.agents().await?;
    loop {
        let mut all = Vec::new();
        for agent in &agents {
            all.push(agent.get::<Services>(&path).await?);
        }
        args.form.print(&all, || text(&all));
        if !args.form.again().await {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn text(all: &[Services]) -> String {
    let mut table = Table::new(&["SEEN FROM", "SERVICE", "PORT", "ENDPOINT", "ON", "STATE"]);
    for Services { node, services } in all {
        for service in services {
            for port in &service.ports {
                for one in &port.endpoints {
                    table.row([
                        node.clone(),
                        format!("{}/{}", service.namespace, service.name),
                        port_name(port),
                        one.at.to_string(),
                        one.node.clone().unwrap_or_else(|| "-".to_owned()),
                        one.why.clone(),
                    ]);
                }
            }
        }
    }
    match table.is_empty() {
        true => "no endpoint\n".to_owned(),
        false => table.text(),
    }
}
