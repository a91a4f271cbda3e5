//! `flatnet trace --watch`: real traffic as it passes the nodes, an event a line, until interrupted.

mod filter;
mod line;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use proxy_agent::local::api::{Event, What};
use tokio::time::{Instant, sleep};

use super::freed::{self, freed};
use super::gather::Agents;
use super::resolve::Known;
use super::walk::Names;
use super::watches::{Seen, Watches};
use super::{Args, Output};
use crate::error::CliError;

pub(super) use filter::Filter;

/// Between two questions to the agents.
const PAUSE: Duration = Duration::from_millis(400);

/// Watches until interrupted, or for as long as was asked. Ends in 0.
///
/// # Errors
/// [`CliError`] if a filter names what is not there, or no node can watch.
pub(super) async fn run(agents: &Agents, args: &Args) -> Result<ExitCode, CliError> {
    let known = Known::of(args, agents).await;
    let which = filter::which(args, &known).await?;
    let nodes = agents.nodes.keys().map(|node| (node.clone(), Vec::new()));
    let (watches, failed) = Watches::begin(agents, nodes, &which).await;
    if failed.len() == agents.nodes.len() {
        return Err(CliError::NotFound(failed.join("; ")));
    }
    for why in failed {
        eprintln!("seen in part: {why}");
    }
    let mut said = BTreeSet::new();
    let end = args
        .filter
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut goes_on = true;
    while goes_on {
        goes_on = tokio::select! {
            () = sleep(PAUSE) => end.is_none_or(|end| Instant::now() < end),
            _ = tokio::signal::ctrl_c() => false,
        };
        let seen = watches.take(agents, goes_on).await;
        complain(&seen, &mut said);
        // Whoever reads has gone: no failure of ours.
        if print(&seen, args, agents, &known).is_err() {
            _ = watches.take(agents, false).await;
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is not seen, each reason once, and what was lost, each time.
fn complain(seen: &Seen, said: &mut BTreeSet<String>) {
    for (node, watched) in seen {
        for why in &watched.blind {
            let line = format!("seen in part: {node}: {why}");
            if said.insert(line.clone()) {
                eprintln!("{line}");
            }
        }
        for (count, what) in [
            (watched.lost, "events had no room"),
            (watched.missed, "packets went by too fast to be looked at"),
        ] {
            if count > 0 {
                eprintln!("{node}: {count} {what}");
            }
        }
    }
}

fn print(seen: &Seen, args: &Args, agents: &Agents, known: &Known) -> io::Result<()> {
    let names = known.names();
    let mut out = io::stdout().lock();
    for (node, event) in merged(seen) {
        if args.filter.drops && is_usual(node, &event, &names) {
            continue;
        }
        let sender = |interface: &str| sender(agents, node, interface);
        match args.output {
            Output::Json => {
                let told = line::Told {
                    node,
                    event: &event,
                };
                writeln!(out, "{}", serde_json::to_string(&told)?)?;
            }
            _ => writeln!(out, "{}", line::text(node, &event, &names, sender))?,
        }
    }
    out.flush()
}

fn is_usual(node: &str, event: &Event, names: &Names) -> bool {
    freed(node, event, names, |_| None).is_some_and(|end| freed::is_usual(&end))
}

/// The pod at the other end of an interface of a node.
pub(super) fn sender(agents: &Agents, node: &str, interface: &str) -> Option<IpAddr> {
    let pods = agents.nodes.get(node)?.pods.iter();
    let mut pods = pods.filter(|pod| !interface.is_empty() && pod.interface == interface);
    pods.next().map(|pod| pod.address)
}

/// All nodes' events, in the order of their times; of a node without events its packets.
fn merged(seen: &Seen) -> Vec<(&str, Event)> {
    let mut all = Vec::new();
    for (node, watched) in seen {
        let node = node.as_str();
        all.extend(watched.events.iter().map(|event| (node, event.clone())));
        let sightings = watched.sightings.iter().map(|one| Event {
            nanoseconds: one.nanoseconds,
            what: if one.outgoing {
                What::Sent
            } else {
                What::Received
            },
            pod: one.pod,
            interface: one.interface.clone(),
            protocol: 0,
            from: one.from,
            to: one.to,
            length: 0,
            tcp: String::new(),
        });
        all.extend(sightings.map(|event| (node, event)));
    }
    all.sort_by_key(|(_, event)| event.nanoseconds);
    all
}

#[cfg(test)]
mod tests {
    use proxy_agent::local::api::{Sighting, Watched};

    use super::*;

    #[test]
    fn events_of_all_nodes_come_in_the_order_of_their_times() {
        let at = |text: &str| text.parse().expect("an address");
        let event = |nanoseconds| Event {
            nanoseconds,
            what: What::Sent,
            pod: None,
            interface: "eth0".to_owned(),
            protocol: 6,
            from: at("10.0.0.1:1"),
            to: at("10.0.0.2:2"),
            length: 60,
            tcp: String::new(),
        };
        let sighting = Sighting {
            nanoseconds: 15,
            pod: None,
            interface: "eth0".to_owned(),
            outgoing: false,
            from: at("10.0.0.1:1"),
            to: at("10.0.0.2:2"),
        };
        let n1 = Watched {
            events: vec![event(10), event(30)],
            ..Watched::default()
        };
        let n2 = Watched {
            sightings: vec![sighting],
            events: vec![event(20)],
            ..Watched::default()
        };
        let seen = Seen::from([("n1".to_owned(), n1), ("n2".to_owned(), n2)]);
        let all = merged(&seen);
        let order: Vec<_> = all
            .iter()
            .map(|(node, one)| (*node, one.nanoseconds))
            .collect();
        assert_eq!(order, [("n1", 10), ("n2", 15), ("n2", 20), ("n1", 30)]);
        assert_eq!(all[1].1.what, What::Received);
    }
}
