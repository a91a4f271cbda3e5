//! What a model and a packet together say.

use super::*;
use crate::trace::path::Hop;
use crate::trace::walk::Source;

fn walked(outcome: Outcome) -> Walked {
    let hop = Hop {
        node: Some("n1".to_owned()),
        kind: Kind::Listener,
        place: "pod a".to_owned(),
        owner: "the pod".to_owned(),
        does: String::new(),
        change: None,
        shown_by: None,
        seen_after_nanoseconds: None,
        since_before_nanoseconds: None,
        not_seen: false,
        ran: None,
        pointed: None,
    };
    Walked {
        forward: vec![hop],
        back: vec![],
        outcome,
        candidates: vec![],
    }
}

fn ask(protocol: Protocol) -> Ask {
    Ask {
        source: Source::Pod("n1".to_owned(), [10, 0, 0, 1].into()),
        to: ([10, 0, 0, 2], 80).into(),
        protocol,
        endpoint: None,
        through: None,
        says: Says::Bytes(0),
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
        let (outcome, difference) =
            judge(&walked(model), &ask(Protocol::Tcp), &probe, (&drops, &[]));
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
        &ask(Protocol::Tcp),
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
        &ask(Protocol::Udp),
        &silent,
        (&[], &[]),
    )
    .0;
    assert!(matches!(udp, Outcome::NotKnown { .. }));
}

/// Seen at n1 and not at n2.
fn parted() -> Walked {
    let mut walked = walked(Outcome::Reached);
    walked.forward[0].seen_after_nanoseconds = Some(0);
    let mut next = walked.forward[0].clone();
    next.node = Some("n2".to_owned());
    next.seen_after_nanoseconds = None;
    next.not_seen = true;
    walked.forward.push(next);
    walked
}

fn answered(answer: &str, lookup: Option<(&str, &[&str])>) -> Probe {
    let address = |text: &&str| text.parse().expect("an address");
    Probe {
        answer: answer.to_owned(),
        lookup: lookup.map(|(code, addresses)| Lookup {
            code: code.to_owned(),
            addresses: addresses.iter().map(address).collect(),
        }),
        ..Probe::default()
    }
}

fn reason(outcome: &Outcome) -> (&str, &str) {
    match outcome {
        Outcome::NotReached { reason, object, .. } => (reason, object),
        Outcome::Reached => ("reached", ""),
        Outcome::NotKnown { .. } => ("unknown", ""),
    }
}

#[test]
fn what_left_one_node_and_did_not_come_to_the_next_is_lost_between() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let (outcome, _) = judge(
            &parted(),
            &ask(protocol),
            &answered("silent", None),
            (&[], &[]),
        );
        let (word, object) = reason(&outcome);
        assert_eq!(word, "lost-between-nodes");
        assert!(object.starts_with("node n2"), "{object}");
    }
}

#[test]
fn a_large_datagram_is_lost_for_its_size_if_a_small_one_is_not() {
    let mut large = ask(Protocol::Udp);
    large.says = Says::Bytes(1_200);
    let of = |answer| too_large(&parted(), &large, &answered(answer, None));
    let outcome = of("answered").expect("its size");
    assert_eq!(
        reason(&outcome),
        ("mtu", "the MTU between pod a of n1 and pod a of n2")
    );
    assert_eq!(of("silent"), None);
}

#[test]
fn a_name_is_found_or_it_is_told_what_the_server_said() {
    let mut question = ask(Protocol::Udp);
    question.says = Says::Name("web.default".to_owned());
    for (lookup, expected) in [
        (("No Error", &["10.0.0.1"][..]), "reached"),
        (("No Error", &[][..]), "no-address"),
        (("Non-Existent Domain", &[][..]), "no-name"),
    ] {
        let walked = walked(Outcome::Reached);
        let probe = answered("answered", Some(lookup));
        let (outcome, _) = judge(&walked, &question, &probe, (&[], &[]));
        assert_eq!(reason(&outcome).0, expected, "{lookup:?}");
    }
    let (outcome, _) = judge(
        &walked(Outcome::Reached),
        &question,
        &answered("silent", None),
        (&[], &[]),
    );
    assert_eq!(reason(&outcome).0, "silent", "a server answers questions");
}

#[test]
fn a_stopped_process_is_not_reached_though_its_kernel_answers() {
    let stopped = Outcome::NotReached {
        reason: STOPPED.to_owned(),
        words: String::new(),
        object: "pod a".to_owned(),
    };
    let probe = answered("answered", None);
    let (outcome, difference) = judge(
        &walked(stopped.clone()),
        &ask(Protocol::Tcp),
        &probe,
        (&[], &[]),
    );
    assert_eq!((outcome, difference), (stopped, None));
}
