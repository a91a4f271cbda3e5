//! One packet of our own, from where the path starts, and what it says of the model: what came
//! back, where it was seen, what happened to it, and which drops the nodes counted meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proxy_agent::local::api::{Count, Probe, Status};

use super::follow::sender;
use super::freed::freed;
use super::gather::{self, Agents, escaped};
use super::judge::{judge, too_large};
use super::observed::{Freed, NodeDrop, Observed};
use super::outside::Outside;
use super::path::{End, Tuple};
use super::seen;
use super::taken;
use super::walk::{Ask, Names, Says, Source, Walked};
use super::watches::{Seen, Watches, Which};
use crate::drops;
use crate::error::CliError;
use crate::nodes::Agent;

/// Endpoints of a Service that are watched for; beyond that the packet may go unseen.
const MOST: usize = 64;

/// Who sends it.
enum Prober<'a> {
    /// The agent of the sender's node, from its network namespace.
    Agent(&'a Agent),
    /// A client beyond the nodes.
    Outside(&'a Outside),
}

impl<'a> Prober<'a> {
    /// None if nobody can send from there.
    fn of(agents: &'a Agents, ask: &Ask, outside: &'a Outside) -> Option<Self> {
        match &ask.source {
            Source::Pod(node, _) | Source::Process(node, _) => {
                agents.of_node(node).map(Self::Agent)
            }
            Source::Outside(address) => {
                let own = outside.address(ask.to).ok();
                (own == Some(*address)).then_some(Self::Outside(outside))
            }
        }
    }

    async fn ask(&self, ask: &Ask, says: &Says) -> Result<Probe, CliError> {
        match self {
            Self::Agent(agent) => Ok(agent.post(&path(ask, says)).await?),
            Self::Outside(client) => Ok(client.ask(ask, says).await),
        }
    }
}

/// Sends it, and writes into `walked` how it really ends, and where it went if a program chose.
/// None if nobody can send from there.
pub(super) async fn observe(
    agents: &Agents,
    (ask, names): (&Ask, &Names),
    outside: &Outside,
    walked: &mut Walked,
) -> Result<Option<Observed>, CliError> {
    let Some(prober) = Prober::of(agents, ask, outside) else {
        return Ok(None);
    };
    let first = Tuple {
        from: End::any(ask.source.address()),
        to: ask.to.into(),
    };
    let (watches, mut blind) = watch(agents, walked, (ask, first)).await;
    let before = counters(agents).await;
    let probe = prober.ask(ask, &ask.says).await?;
    let drops = moved(&before, &counters(agents).await);
    let seen = watches.take(agents, false).await;
    // Without a port there was no packet.
    let client = probe
        .from
        .map(|at| SocketAddr::new(first.from.address, at.port()));
    let elsewhere = follow(agents, (ask, names), walked, (&probe, client, &seen)).await?;
    let lost = match elsewhere {
        // It was not on this path: nothing of it says anything about the hops.
        Some(_) => None,
        None => join(walked, (ask, first), (&probe, client, &seen), &mut blind),
    };
    let freed = ends(agents, walked, (first, client), (&seen, names));
    let (mut outcome, difference) = judge(walked, ask, &probe, (&drops, &freed));
    if let (Says::Bytes(1..), "silent") = (&ask.says, probe.answer.as_str()) {
        let small = prober.ask(ask, &Says::Bytes(0)).await?;
        outcome = too_large(walked, ask, &small).unwrap_or(outcome);
    }
    walked.outcome = outcome;
    blind.extend(seen.iter().flat_map(|(node, watched)| {
        let why = watched.blind.iter();
        why.map(move |why| format!("{node}: {why}"))
    }));
    Ok(Some(Observed {
        probe,
        drops,
        freed,
        missed: seen.values().map(|watched| watched.missed).sum(),
        lost: seen.values().map(|watched| watched.lost).sum(),
        blind,
        clocks: watches.clocks(),
        // What was not seen says more than that it was not answered.
        difference: elsewhere.or(lost).or(difference),
    }))
}

fn path(ask: &Ask, says: &Says) -> String {
    let (to, protocol) = (escaped(&ask.to.to_string()), ask.protocol.name());
    let from = ask.source.address();
    let path = format!("/v1/probe?from={from}&to={to}&protocol={protocol}");
    match says {
        Says::Bytes(size) => format!("{path}&size={size}"),
        Says::Name(name) => format!("{path}&dns={name}"),
    }
}

/// Has the nodes of the path watch, also for endpoints that the model does not take, and says which
/// do not.
async fn watch(
    agents: &Agents,
    walked: &Walked,
    (ask, first): (&Ask, Tuple),
) -> (Watches, Vec<String>) {
    let mut plan = seen::plan(&walked.forward, &walked.back, first);
    for at in walked.candidates.iter().take(MOST) {
        plan.addresses.insert(at.ip());
        plan.ports.insert(at.port());
        if let Some(home) = agents.home(at.ip()) {
            plan.nodes
                .entry(home.name.clone())
                .or_default()
                .insert(at.ip());
            // Behind which a client from outside may be on its way there.
            plan.addresses.extend(&home.addresses);
        }
    }
    let which = Which {
        addresses: plan.addresses.into_iter().collect(),
        ports: plan.ports.into_iter().collect(),
        protocol: Some(ask.protocol.name()),
        ..Which::default()
    };
    let nodes = plan.nodes.into_iter();
    let nodes = nodes.map(|(node, pods)| (node, pods.into_iter().collect()));
    Watches::begin(agents, nodes, &which).await
}

type Sent<'a> = (&'a Probe, Option<SocketAddr>, &'a Seen);

/// Walks anew to the endpoint that the packet went to; in words where another was asked for.
async fn follow(
    agents: &Agents,
    (ask, names): (&Ask, &Names),
    walked: &mut Walked,
    (probe, client, seen): Sent<'_>,
) -> Result<Option<String>, CliError> {
    let other = taken::other(agents, (walked, ask), probe, (client, seen)).await;
    let Some(other) = other else {
        return Ok(None);
    };
    if let Some(wanted) = ask.endpoint {
        let words = "the programs choose; a model alone (--explain) is of the one that is named";
        return Ok(Some(format!(
            "it went to {other}, and not to {wanted}: {words}"
        )));
    }
    let taken = Ask {
        endpoint: Some(other.ip()),
        ..ask.clone()
    };
    *walked = gather::walk(agents, &taken, names).await?;
    Ok(None)
}

/// Writes into the hops where the packet was; in words where that is not as the model has it.
fn join(
    walked: &mut Walked,
    (ask, first): (&Ask, Tuple),
    (probe, client, seen): Sent<'_>,
    blind: &mut Vec<String>,
) -> Option<String> {
    let pointed = taken::point(&mut walked.forward, ask, probe);
    let hops = (&mut walked.forward[..], &mut walked.back[..]);
    let lost = seen::join(hops, first, client?, seen);
    let came = ["answered", "refused"].contains(&probe.answer.as_str());
    if came && seen::is_disguised(&mut walked.forward) {
        blind.push(format!(
            ": no node saw a packet from {}: something between here and the nodes rewrites it",
            first.from.address
        ));
        return pointed;
    }
    pointed.or(lost)
}

/// Where packets of the conversation ended.
fn ends(
    agents: &Agents,
    walked: &Walked,
    (first, client): (Tuple, Option<SocketAddr>),
    (seen, names): (&Seen, &Names),
) -> Vec<Freed> {
    let Some(client) = client else {
        return Vec::new();
    };
    let tuples = seen::tuples(&walked.forward, &walked.back, first);
    let mut all = Vec::new();
    for (node, watched) in seen {
        let sender = |interface: &str| sender(agents, node, interface);
        let own = watched.events.iter().filter(|event| {
            let mut tuples = tuples.iter();
            tuples.any(|tuple| seen::is_of(*tuple, (event.from, event.to), client))
        });
        let ends = own.filter_map(|event| {
            let end = freed(node, event, names, sender)?;
            Some((event.nanoseconds, end))
        });
        all.extend(ends);
    }
    all.sort_by_key(|(nanoseconds, _)| *nanoseconds);
    all.into_iter().map(|(_, end)| end).collect()
}

type Counters = BTreeMap<String, Vec<Count>>;

/// What each node that answers has counted so far.
async fn counters(agents: &Agents) -> Counters {
    let mut all = Counters::new();
    for (node, agent) in agents.all() {
        if let Ok(status) = agent.get::<Status>("/v1/status").await {
            all.insert(node.clone(), status.kernel.counters);
        }
    }
    all
}

/// The drops that were counted between the two.
fn moved(before: &Counters, after: &Counters) -> Vec<NodeDrop> {
    let of_node = |(node, after): (&String, &Vec<Count>)| {
        let counted = |name: &str| {
            let before = before.get(node)?.iter().find(|one| one.name == name)?;
            Some(before.value)
        };
        let grown = after.iter().map(|one| Count {
            name: one.name.clone(),
            value: one
                .value
                .saturating_sub(counted(&one.name).unwrap_or(one.value)),
        });
        let grown: Vec<Count> = grown.collect();
        let node = node.clone();
        drops::of(&grown).into_iter().map(move |drop| NodeDrop {
            node: node.clone(),
            reason: drop.reason,
            count: drop.count,
            words: drop.words,
        })
    };
    after.iter().flat_map(of_node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grew_counts() {
        let count = |name: &str, value| Count {
            name: name.to_owned(),
            value,
        };
        let before = Counters::from([(
            "n1".to_owned(),
            vec![count("no-route", 3), count("shortcut", 1)],
        )]);
        let after = Counters::from([
            (
                "n1".to_owned(),
                vec![count("no-route", 5), count("shortcut", 9)],
            ),
            ("n2".to_owned(), vec![count("no-route", 7)]),
        ]);
        let moved = moved(&before, &after);
        assert_eq!(moved.len(), 1, "{moved:?}");
        assert_eq!((&*moved[0].node, moved[0].count), ("n1", 2));
    }
}
