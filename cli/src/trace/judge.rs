//! How a path really ends, where that is not what the model says, and which object to look at. Pure.

use proxy_agent::local::api::Probe;

use super::freed::cause;
use super::observed::{Freed, NodeDrop};
use super::path::{Kind, Outcome, Protocol};
use super::walk::Walked;

/// How it really ends, and where that is not what the model says.
pub(super) fn judge(
    walked: &Walked,
    protocol: Protocol,
    probe: &Probe,
    (drops, freed): (&[NodeDrop], &[Freed]),
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
        ("silent", _)
            if protocol == Protocol::Udp && drops.is_empty() && cause(freed).is_none() =>
        {
            let words = "a datagram was sent and nobody answered it; not every server answers \
                         words that it does not know";
            let words = words.to_owned();
            (Outcome::NotKnown { words }, None)
        }
        (answer, _) => lost(walked, answer, (drops, freed)),
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
    let (reason, words, object) = match (cause(freed), counted) {
        (Some(end), _) => (
            end.reason.clone(),
            format!("dropped at {} of {}: {}", end.place, end.node, end.words),
            end.object.clone(),
        ),
        (None, Some(drop)) => (
            answer.to_owned(),
            format!("{} counted {}: {}", drop.node, drop.reason, drop.words),
            format!("flatnet drops on {}", drop.node),
        ),
        (None, None) => {
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
            ran: None,
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
            let (outcome, difference) = judge(&walked(model), Protocol::Tcp, &probe, (&drops, &[]));
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
            (drops, &[]),
        )
        .0
        {
            Outcome::NotReached { object, .. } => object,
            other => panic!("{other:?}"),
        };
        assert_eq!(object(&[drop_on("n1")]), "flatnet drops on n1");
        assert_eq!(object(&[drop_on("n9")]), "pod a");
        let udp = judge(
            &walked(Outcome::Reached),
            Protocol::Udp,
            &silent,
            (&[], &[]),
        )
        .0;
        assert!(matches!(udp, Outcome::NotKnown { .. }));
    }
}
