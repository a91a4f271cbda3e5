//! `flatnet flows [ADDRESS]`: the conversations that the nodes translate.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use proxy_agent::local::api::Flows;

use crate::error::CliError;
use crate::nodes::Where;
use crate::print::Form;
use crate::table::Table;

/// Arguments of `flatnet flows`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Those of one address, in any place.
    address: Option<IpAddr>,
    /// So many of a node at most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    form: Form,
}

/// Shows them.
///
/// # Errors
/// [`CliError`].
pub(crate) async fn run(at: &Where, args: &Args) -> Result<ExitCode, CliError> {
    let agents = at.agents().await?;
    let mut path = format!("/v1/flows?limit={}", args.limit);
    if let Some(address) = args.address {
        path += &format!("&address={address}");
    }
    loop {
        let mut all = Vec::new();
        for agent in &agents {
            all.push(agent.get::<Flows>(&path).await?);
        }
        args.form.print(&all, || text(&all));
        if !args.form.again().await {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn text(all: &[Flows]) -> String {
    let head = [
        "NODE", "PROTOCOL", "CLIENT", "ASKED", "ENDPOINT", "SEEN AS", "STATE", "IDLE",
    ];
    let mut table = Table::new(&head);
    let mut more = 0;
    for Flows { node, found, flows } in all {
        more += found - flows.len().min(*found as usize) as u64;
        for flow in flows {
            let seen_as = match flow.seen_as == flow.client {
                true => "-".to_owned(),
                false => flow.seen_as.to_string(),
            };
            table.row([
                node.clone(),
                flow.protocol.clone(),
                flow.client.to_string(),
                flow.asked.to_string(),
                flow.endpoint.to_string(),
                seen_as,
                flow.state.clone(),
                format!("{} s", flow.idle_seconds),
            ]);
        }
    }
    let text = match table.is_empty() {
        true => "no conversation is translated\n".to_owned(),
        false => table.text(),
    };
    match more {
        0 => text,
        more => format!("{text}and {more} more: --limit\n"),
    }
}

#[cfg(test)]
mod tests {
    use proxy_agent::local::api::Flow;

    use super::*;

    #[test]
    fn a_line_a_conversation_and_what_is_left_out_is_said() {
        let at = |text: &str| text.parse().expect("an address");
        let flow = Flow {
            protocol: "udp".to_owned(),
            kind: "service".to_owned(),
            client: at("10.244.1.2:4000"),
            asked: at("10.96.0.1:80"),
            seen_as: at("10.244.1.2:4000"),
            endpoint: at("10.244.2.2:8080"),
            state: "opening".to_owned(),
            idle_seconds: 3,
        };
        let all = [Flows {
            node: "n1".to_owned(),
            found: 5,
            flows: vec![flow],
        }];
        let text = text(&all);
        let line = "n1    udp       10.244.1.2:4000  10.96.0.1:80  10.244.2.2:8080  -        \
                    opening  3 s";
        assert!(text.contains(line), "{text}");
        assert!(text.ends_with("and 4 more: --limit\n"), "{text}");
        assert_eq!(super::text(&[]), "no conversation is translated\n");
    }
}
