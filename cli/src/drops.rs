//! `flatnet drops`: what the programs refused or dropped, why, and the object to look at.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use proxy_abi::Counter;
use proxy_agent::local::api::{Count, Status};
use serde::Serialize;

use crate::error::CliError;
use crate::nodes::Where;
use crate::print::Form;
use crate::table::Table;

/// Arguments of `flatnet drops`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    form: Form,
}

/// A reason that has occurred.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Drops {
    /// Its name, as in the metric.
    pub(crate) reason: String,
    /// How often.
    pub(crate) count: u64,
    /// What happened, and where to look.
    pub(crate) words: &'static str,
}

#[derive(Debug, Serialize)]
struct OfNode {
    node: String,
    drops: Vec<Drops>,
}

/// Shows them.
///
/// # Errors
/// [`CliError`].
pub(crate) async fn run(at: &Where, args: &Args) -> Result<ExitCode, CliError> {
    let agents = at.agents().await?;
    loop {
        let mut all = Vec::new();
        for agent in &agents {
            let status: Status = agent.get("/v1/status").await?;
            all.push(OfNode {
                node: status.node,
                drops: of(&status.kernel.counters),
            });
        }
        args.form.print(&all, || text(&all));
        if !args.form.again().await {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn text(all: &[OfNode]) -> String {
    let mut table = Table::new(&["NODE", "COUNT", "REASON", "WHAT HAPPENED"]);
    for OfNode { node, drops } in all {
        for drop in drops {
            let count = drop.count.to_string();
            let words = drop.words.to_owned();
            table.row([node.clone(), count, drop.reason.clone(), words]);
        }
    }
    match table.is_empty() {
        true => "nothing was dropped\n".to_owned(),
        false => table.text(),
    }
}

/// The reasons among these counters that have occurred, the most frequent first.
pub(crate) fn of(counters: &[Count]) -> Vec<Drops> {
    let known = |count: &Count| {
        let counter = Counter::ALL
            .into_iter()
            .find(|one| one.name() == count.name)?;
        Some(Drops {
            reason: count.name.clone(),
            count: count.value,
            words: words(counter)?,
        })
    };
    let occurred = counters.iter().filter(|count| count.value > 0);
    let mut drops: Vec<Drops> = occurred.filter_map(known).collect();
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.count));
    drops
}

/// All on one line.
pub(crate) fn summary(drops: &[Drops]) -> String {
    let total: u64 = drops.iter().map(|drop| drop.count).sum();
    if total == 0 {
        return "none".to_owned();
    }
    let first = drops.iter().take(3);
    let first: Vec<_> = first
        .map(|one| format!("{} {}", one.reason, one.count))
        .collect();
    let more = if drops.len() > 3 { ", ..." } else { "" };
    format!("{total} ({}{more})", first.join(", "))
}

/// What a counter of refused or dropped packets means; none for the others.
pub(crate) const fn words(counter: Counter) -> Option<&'static str> {
    Some(match counter {
        Counter::FlowCreated
        | Counter::FlowMoved
        | Counter::SocketTranslated
        | Counter::AnotherPort
        | Counter::Shortcut
        | Counter::Masqueraded
        | Counter::ErrorTranslated => return None,
        Counter::SocketRefused => "connect() refused: no endpoint (flatnet services)",
        Counter::NoEndpoint => "refused with a reset or ICMP: no endpoint (flatnet services)",
        Counter::Malformed => "headers that cannot be read: the sender",
        Counter::FlowTableFull => "no room for a conversation: --flow-table-size",
        Counter::RewriteFailed => "a header could not be written: a fault of flatnet",
        Counter::NoRoute => "no route to the endpoint: ip route get ENDPOINT",
        Counter::NoEndpointSilent => "no endpoint, and nobody to tell (flatnet services)",
        Counter::EmptySlot => "a list without an endpoint: a fault of the agent",
        Counter::ForgedSource => "a pod sent from an address that is not its own",
        Counter::PortsExhausted => "no port left towards that end: --masquerade-ports",
        Counter::NotMasqueradable => "a protocol without ports cannot leave the cluster",
        Counter::NoLocalEndpoint => "traffic policy Local, no endpoint on this node",
        Counter::NoSource => "this uplink has no address of the family: Node object",
        Counter::SourceRange => "the client is outside loadBalancerSourceRanges",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(counter: Counter, value: u64) -> Count {
        Count {
            name: counter.name().to_owned(),
            value,
        }
    }

    #[test]
    fn drops_come_with_their_meaning_the_most_frequent_first() {
        let counters = [
            count(Counter::Shortcut, 1000),
            count(Counter::ForgedSource, 2),
            count(Counter::NoEndpoint, 5),
            count(Counter::NoRoute, 0),
        ];
        let drops = of(&counters);
        let seen: Vec<_> = drops.iter().map(|one| (&*one.reason, one.count)).collect();
        assert_eq!(seen, [("no-endpoint", 5), ("forged-source", 2)]);
        assert_eq!(summary(&drops), "7 (no-endpoint 5, forged-source 2)");
        assert_eq!(summary(&[]), "none");
        let node = "node1".to_owned();
        let text = text(&[OfNode { node, drops }]);
        assert!(
            text.contains("node1  2      forged-source  a pod sent"),
            "{text}"
        );
    }

    #[test]
    fn every_line_fits_a_terminal() {
        for counter in Counter::ALL {
            let words = words(counter).unwrap_or_default();
            assert!(words.len() <= 60, "{}", counter.name());
        }
    }
}
