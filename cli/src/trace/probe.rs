//! One packet of our own, from where the path starts, and what it says of the model: what came
//! back, and which drops the nodes counted meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use proxy_agent::local::api::{Count, Probe, Status, Watch, Watched};

use super::gather::{Agents, escaped};
use super::path::{End, Kind, NodeDrop, Observed, Outcome, Protocol, Tuple};
use super::seen::{self, Sightings};
use super::walk::{Ask, Source, Walked};
use crate::drops;
use crate::error::CliError;

/// Sends it, and writes into `walked` how it really ends. From outside nobody here can send.
pub(super) async fn observe(
    agents: &Agents,
    ask: &Ask,
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
    let watches = watch(agents, walked, first, ask.protocol).await;
    let before = counters(agents).await;
    let to = escaped(&ask.to.to_string());
    let path = format!(
        "/v1/probe?from={from}&to={to}&protocol={}",
        ask.protocol.name()
    );
    let probe: Probe = agent.post(&path).await?;
    let drops = moved(&before, &counters(agents).await);
    let (sightings, missed) = watched(agents, watches).await;
    let hops = (&mut walked.forward[..], &mut walked.back[..]);
    // Without a port there was no packet.
    let client = probe.from.map(|at| SocketAddr::new(*from, at.port()));
    let lost = client.and_then(|client| seen::join(hops, first, client, &sightings));
    let (outcome, difference) = judge(walked, ask.protocol, &probe, &drops);
    walked.outcome = outcome;
    // What was not seen says more than that it was not answered.
    let difference = lost.or(difference);
    Ok(Some(Observed {
        probe,
        drops,
        missed,
        difference,
    }))
}

/// Has the nodes of the path watch their interfaces; one that cannot is left out.
async fn watch(
    agents: &Agents,
    walked: &Walked,
    first: Tuple,
    protocol: Protocol,
) -> Vec<(String, Watch)> {
    let plan = seen::plan(&walked.forward, &walked.back, first);
    let addresses = listed(&plan.addresses);
    let mut watches = Vec::new();
    for (node, pods) in &plan.nodes {
        let (protocol, pods) = (protocol.name(), listed(pods));
        let path = format!("/v1/watch?addresses={addresses}&protocol={protocol}&pods={pods}");
        let Some(agent) = agents.of_node(node) else {
            continue;
        };
        if let Ok(watch) = agent.post(&path).await {
            watches.push((node.clone(), watch));
        }
    }
    watches
}

fn listed(addresses: &BTreeSet<IpAddr>) -> String {
    let words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    words.join(",")
}

/// What they saw, and how much they could not look at.
async fn watched(agents: &Agents, watches: Vec<(String, Watch)>) -> (Sightings, u64) {
    let (mut sightings, mut missed) = (Sightings::new(), 0);
    for (node, watch) in watches {
        let Some(agent) = agents.of_node(&node) else {
            continue;
        };
        let path = format!("/v1/watched?id={}", watch.id);
        if let Ok(watched) = agent.post::<Watched>(&path).await {
            missed += watched.missed;
            sightings.insert(node, watched.sightings);
        }
    }
    (sightings, missed)
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

/// How it really ends, and where that is not what the model says.
fn judge(
    walked: &Walked,
    protocol: Protocol,
    probe: &Probe,
    drops: &[NodeDrop],
) -> (Outcome, Option<String>) {
    let model = &walked.outcome;
    match (probe.answer.as_str(), model) {
        ("answered", Outcome::NotReached { reason, .. }) => {
            let last = walked
                .forward
                .last()
                .map_or("its start", |hop| hop.kind.name());
            let words = format!("the model ends at {last} ({reason}), and the packet was answered");
            (Outcome::Reached, Some(words))
        }
        ("answered", _) => (Outcome::Reached, None),
        ("failed", _) => {
            let words = format!(
                "no packet could be sent: {}",
                probe.words.as_deref().unwrap_or("no reason is told")
            );
            (model.clone(), Some(words))
        }
        (_, Outcome::NotReached { .. }) => (model.clone(), None),
        ("silent", _) if protocol == Protocol::Udp && drops.is_empty() => {
            let words = "a datagram was sent and nobody answered it; not every server answers \
                         words that it does not know";
            let words = words.to_owned();
            (Outcome::NotKnown { words }, None)
        }
        (answer, _) => lost(walked, answer, drops),
    }
}

/// The model arrives and the packet did not.
fn lost(walked: &Walked, answer: &str, drops: &[NodeDrop]) -> (Outcome, Option<String>) {
    let passes = |node: &str| {
        let mut hops = walked.forward.iter().chain(&walked.back);
        hops.any(|hop| hop.node.as_deref() == Some(node))
    };
    let (words, object) = match drops.iter().find(|drop| passes(&drop.node)) {
        Some(drop) => (
            format!("{} counted {}: {}", drop.node, drop.reason, drop.words),
            format!("flatnet drops on {}", drop.node),
        ),
        None => {
            let listener = walked.forward.iter().find(|hop| hop.kind == Kind::Listener);
            let end = listener.map_or("the far end".to_owned(), |hop| hop.place.clone());
            let words = "no drop of flatnet's was counted on the way: the process, a firewall \
                         of the pod or node, or the network between the nodes";
            (words.to_owned(), end)
        }
    };
    let difference = format!("the model arrives, and the packet was {answer}");
    let outcome = Outcome::NotReached {
        reason: answer.to_owned(),
        words,
        object,
    };
    (outcome, Some(difference))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(outcome: Outcome) -> Walked {
        let hop = super::super::path::Hop {
            node: Some("n1".to_owned()),
            kind: Kind::Listener,
            place: "pod a".to_owned(),
            owner: "the pod".to_owned(),
            does: String::new(),
            change: None,
            shown_by: None,
            seen_after_nanoseconds: None,
            not_seen: false,
        };
        Walked {
            forward: vec![hop],
            back: vec![],
            outcome,
        }
    }

    fn drop_on(node: &str) -> NodeDrop {
        NodeDrop {
            node: node.to_owned(),
            reason: "no-route".to_owned(),
            count: 1,
            words: "no way",
        }
    }

    #[test]
    fn the_packet_decides_and_what_differs_is_told() {
        let dead = || Outcome::NotReached {
            reason: "none-ready".to_owned(),
            words: String::new(),
            object: String::new(),
        };
        let unknown = || Outcome::NotKnown {
            words: String::new(),
        };
        let rows = [
            (Outcome::Reached, "answered", vec![], "reached", false),
            (unknown(), "answered", vec![], "reached", false),
            (dead(), "answered", vec![], "reached", true),
            (dead(), "refused", vec![], "none-ready", false),
            (Outcome::Reached, "refused", vec![], "refused", true),
            (
                Outcome::Reached,
                "silent",
                vec![drop_on("n1")],
                "silent",
                true,
            ),
            (Outcome::Reached, "failed", vec![], "reached", true),
        ];
        for (model, answer, drops, expected, differs) in rows {
            let probe = Probe {
                answer: answer.to_owned(),
                ..Probe::default()
            };
            let (outcome, difference) = judge(&walked(model), Protocol::Tcp, &probe, &drops);
            let seen = match &outcome {
                Outcome::Reached => "reached",
                Outcome::NotReached { reason, .. } => reason,
                Outcome::NotKnown { .. } => "unknown",
            };
            assert_eq!(
                (seen, difference.is_some()),
                (expected, differs),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_drop_on_the_way_is_the_reason_and_one_elsewhere_is_not() {
        let silent = Probe {
            answer: "silent".to_owned(),
            ..Probe::default()
        };
        let object = |drops: &[NodeDrop]| match judge(
            &walked(Outcome::Reached),
            Protocol::Tcp,
            &silent,
            drops,
        )
        .0
        {
            Outcome::NotReached { object, .. } => object,
            other => panic!("{other:?}"),
        };
        assert_eq!(object(&[drop_on("n1")]), "flatnet drops on n1");
        assert_eq!(object(&[drop_on("n9")]), "pod a");
        let udp = judge(&walked(Outcome::Reached), Protocol::Udp, &silent, &[]).0;
        assert!(matches!(udp, Outcome::NotKnown { .. }));
    }

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
