//! How a path really ends, where that is not what the model says, and which object to look at. Pure.

#[cfg(test)]
mod tests;

use proxy_agent::local::api::{Lookup, Probe};

use super::freed::cause;
use super::observed::{Freed, NodeDrop};
use super::path::{Hop, Kind, Outcome, Protocol};
use super::walk::{Ask, STOPPED, Says, Walked};

/// How it really ends, and where that is not what the model says.
pub(super) fn judge(
    walked: &Walked,
    ask: &Ask,
    probe: &Probe,
    (drops, freed): (&[NodeDrop], &[Freed]),
) -> (Outcome, Option<String>) {
    let model = &walked.outcome;
    match (probe.answer.as_str(), model) {
        // Its kernel takes the connection, nobody reads from it.
        (_, Outcome::NotReached { reason, .. }) if reason == STOPPED => (model.clone(), None),
        ("answered", Outcome::NotReached { reason, .. }) => {
            let last = walked
                .forward
                .last()
                .map_or("its start", |hop| hop.kind.name());
            let words = format!("the model ends at {last} ({reason}), and the packet was answered");
            (Outcome::Reached, Some(words))
        }
        ("answered", _) => (looked_up(ask, probe).unwrap_or(Outcome::Reached), None),
        ("failed", _) => {
            let words = format!(
                "no packet could be sent: {}",
                probe.words.as_deref().unwrap_or("no reason is told")
            );
            (model.clone(), Some(words))
        }
        (_, Outcome::NotReached { .. }) => (model.clone(), None),
        ("silent", _)
            if may_be_silent(ask, walked) && drops.is_empty() && cause(freed).is_none() =>
        {
            let words = "a datagram was sent and nobody answered it; not every server answers \
                         words that it does not know";
            let words = words.to_owned();
            (Outcome::NotKnown { words }, None)
        }
        (answer, _) => lost(walked, answer, (drops, freed)),
    }
}

/// Whether silence says nothing: a datagram that came to its end, or of which that is not known.
fn may_be_silent(ask: &Ask, walked: &Walked) -> bool {
    let is_question = matches!(ask.says, Says::Name(_));
    ask.protocol == Protocol::Udp && !is_question && !walked.forward.iter().any(|hop| hop.not_seen)
}

/// A name that was asked for and that the server does not have.
fn looked_up(ask: &Ask, probe: &Probe) -> Option<Outcome> {
    let (Says::Name(name), Some(Lookup { code, addresses })) = (&ask.says, &probe.lookup) else {
        return None;
    };
    let (reason, words) = match (code.as_str(), addresses.is_empty()) {
        ("No Error", false) => return None,
        ("No Error", true) => (
            "no-address",
            "that it has no address of this family".to_owned(),
        ),
        (code, _) => ("no-name", format!("{code:?}")),
    };
    Some(Outcome::NotReached {
        reason: reason.to_owned(),
        words: format!("the DNS server was asked for {name} and answers {words}"),
        object: format!("the name {name}"),
    })
}

/// What it means that a datagram was lost, where a small one is answered or not.
pub(super) fn too_large(walked: &Walked, ask: &Ask, small: &Probe) -> Option<Outcome> {
    let Says::Bytes(size) = ask.says else {
        return None;
    };
    let (last, missing) = gap(walked)?;
    (small.answer == "answered").then(|| Outcome::NotReached {
        reason: "mtu".to_owned(),
        words: format!(
            "a datagram of {size} bytes is lost between {} and {}, and a small one is answered: \
             something between them carries less than the interfaces say, and tells nobody",
            named(last),
            named(missing),
        ),
        object: format!("the MTU between {} and {}", named(last), named(missing)),
    })
}

/// The last hop where the packet was seen and the first where it was not.
fn gap(walked: &Walked) -> Option<(&Hop, &Hop)> {
    let hops: Vec<&Hop> = walked.forward.iter().chain(&walked.back).collect();
    let missing = hops.iter().position(|hop| hop.not_seen)?;
    let seen = hops.get(..missing)?.iter();
    let mut seen = seen
        .rev()
        .filter(|hop| hop.seen_after_nanoseconds.is_some());
    Some((seen.next()?, hops.get(missing)?))
}

/// The first hop of a packet from outside, if it was not even seen there.
fn never_came(walked: &Walked) -> Option<&Hop> {
    let outside = walked.forward.first()?.kind == Kind::Outside;
    let mut hops = walked.forward.iter();
    let first = hops.find(|hop| hop.not_seen || hop.seen_after_nanoseconds.is_some())?;
    (outside && first.not_seen).then_some(first)
}

fn named(hop: &Hop) -> String {
    match &hop.node {
        Some(node) => format!("{} of {node}", hop.place),
        None => hop.place.clone(),
    }
}

/// The model arrives and the packet did not. What kernels did with it says why, else what was
/// counted meanwhile, else the place where it should have arrived.
fn lost(
    walked: &Walked,
    answer: &str,
    (drops, freed): (&[NodeDrop], &[Freed]),
) -> (Outcome, Option<String>) {
    let passes = |node: &str| {
        let mut hops = walked.forward.iter().chain(&walked.back);
        hops.any(|hop| hop.node.as_deref() == Some(node))
    };
    let counted = drops.iter().find(|drop| passes(&drop.node));
    let between = gap(walked).filter(|(last, missing)| last.node != missing.node);
    let outside = never_came(walked);
    let (reason, words, object) = match (cause(freed), counted, between) {
        (None, None, _) if let Some(first) = outside => (
            "lost-before-node".to_owned(),
            format!("it did not come to {}", named(first)),
            format!(
                "what is between the client and node {}: a firewall, a route, another holder of the \
                 address",
                first.node.as_deref().unwrap_or_default()
            ),
        ),
        (Some(end), ..) => (
            end.reason.clone(),
            format!("dropped at {} of {}: {}", end.place, end.node, end.words),
            end.object.clone(),
        ),
        (None, Some(drop), _) => (
            answer.to_owned(),
            format!("{} counted {}: {}", drop.node, drop.reason, drop.words),
            format!("flatnet drops on {}", drop.node),
        ),
        (None, None, Some((last, missing))) => (
            "lost-between-nodes".to_owned(),
            format!(
                "it left by {} and did not come to {}",
                named(last),
                named(missing)
            ),
            format!(
                "node {} (is it up?) and the network between the nodes",
                missing.node.as_deref().unwrap_or_default()
            ),
        ),
        (None, None, None) => {
            let listener = walked.forward.iter().find(|hop| hop.kind == Kind::Listener);
            let end = listener.map_or("the far end".to_owned(), |hop| hop.place.clone());
            let words = "no drop was seen on the way: the process, a firewall of the pod or node, \
                         or the network between the nodes";
            (answer.to_owned(), words.to_owned(), end)
        }
    };
    let difference = format!("the model arrives, and the packet was {answer}");
    let outcome = Outcome::NotReached {
        reason,
        words,
        object,
    };
    (outcome, Some(difference))
}
