//! One packet of our own, from where the path starts, and what it says of the model: what came
//! back, where it was seen, what happened to it, and which drops the nodes counted meanwhile.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use proxy_agent::local::api::{Count, Probe, Status};

use super::follow::sender;
use super::freed::freed;
use super::gather::{Agents, escaped};
use super::judge::{judge, too_large};
use super::observed::{Freed, NodeDrop, Observed};
use super::path::{End, Tuple};
use super::seen;
use super::walk::{Ask, Names, Says, Source, Walked};
use super::watches::{Seen, Watches, Which};
use crate::drops;
use crate::error::CliError;

/// Sends it, and writes into `walked` how it really ends. From outside nobody here can send.
pub(super) async fn observe(
    agents: &Agents,
    ask: &Ask,
    names: &Names,
    walked: &mut Walked,
) -> Result<Option<Observed>, CliError> {
    let (Source::Pod(node, from) | Source::Process(node, from)) = &ask.source else {
        return Ok(None);
    };
    let Some(agent) = agents.of_node(node) else {
        return Ok(None);
    };
    let first = Tuple {
        from: End::any(*from),
        to: ask.to.into(),
    };
    let (watches, mut blind) = watch(agents, walked, (ask, first)).await;
    let before = counters(agents).await;
    let probe: Probe = agent.post(&path(*from, ask, &ask.says)).await?;
    let drops = moved(&before, &counters(agents).await);
    let seen = watches.take(agents, false).await;
    let hops = (&mut walked.forward[..], &mut walked.back[..]);
    // Without a port there was no packet.
    let client = probe.from.map(|at| SocketAddr::new(*from, at.port()));
    let lost = client.and_then(|client| seen::join(hops, first, client, &seen));
    let freed = ends(agents, walked, (first, client), (&seen, names));
    let (mut outcome, difference) = judge(walked, ask, &probe, (&drops, &freed));
    if let (Says::Bytes(1..), "silent") = (&ask.says, probe.answer.as_str()) {
        let small: Probe = agent.post(&path(*from, ask, &Says::Bytes(0))).await?;
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
        difference: lost.or(difference),
    }))
}

fn path(from: IpAddr, ask: &Ask, says: &Says) -> String {
    let (to, protocol) = (escaped(&ask.to.to_string()), ask.protocol.name());
    let path = format!("/v1/probe?from={from}&to={to}&protocol={protocol}");
    match says {
        Says::Bytes(size) => format!("{path}&size={size}"),
        Says::Name(name) => format!("{path}&dns={name}"),
    }
}

/// Has the nodes of the path watch, and says which do not.
async fn watch(
    agents: &Agents,
    walked: &Walked,
    (ask, first): (&Ask, Tuple),
) -> (Watches, Vec<String>) {
    let plan = seen::plan(&walked.forward, &walked.back, first);
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
