//! One path in each form.

use std::net::SocketAddr;

use super::text::{Paint, written};
use super::*;
use crate::trace::path::{Change, Kind, Protocol, Tuple};

fn hop(node: Option<&str>, kind: Kind, place: &str) -> Hop {
    Hop {
        node: node.map(str::to_owned),
        kind,
        place: place.to_owned(),
        owner: "flatnet".to_owned(),
        does: "does <what> it does".to_owned(),
        change: None,
        shown_by: Some("ip link".to_owned()),
        seen_after_nanoseconds: None,
        since_before_nanoseconds: None,
        not_seen: false,
        ran: None,
        pointed: None,
    }
}

fn tuple(from: &str, to: &str) -> Tuple {
    let end = |text: &str| text.parse::<SocketAddr>().expect("an address").into();
    Tuple {
        from: end(from),
        to: end(to),
    }
}

fn trace() -> Trace {
    let mut program = hop(Some("node1"), Kind::FromPod, "fn0 ingress");
    program.change = Some(Change {
        before: tuple("[fd00:10:244:1::2]:40000", "[fd00:10:96::1]:80"),
        after: tuple("[fd00:10:244:1::2]:40000", "[fd00:10:244:2::2]:8080"),
    });
    Trace {
        from: "pod/a".to_owned(),
        to: "svc/\"b\"".to_owned(),
        protocol: Protocol::Tcp,
        forward: vec![
            hop(Some("node1"), Kind::Application, "pod a"),
            program,
            hop(None, Kind::Fabric, "between the nodes"),
        ],
        back: vec![hop(Some("node2"), Kind::Application, "pod b & others")],
        outcome: Outcome::NotReached {
            reason: "nobody-listens".to_owned(),
            words: "nobody listens ".repeat(12).trim().to_owned(),
            object: "pod b".to_owned(),
        },
        observed: None,
    }
}

#[test]
fn the_text_fits_the_terminal_and_is_plain_without_one() {
    let text = written(&trace(), Paint(false));
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert!(
            !line.contains('\u{1b}') && line.trim_end() == line,
            "{line:?}"
        );
    }
    for words in [
        "pod/a -> svc/\"b\", tcp",
        " 2 node1   fn0 ingress",
        "           [fd00:10:244:1::2]:40000 > [fd00:10:96::1]:80",
        "        => [fd00:10:244:1::2]:40000 > [fd00:10:244:2::2]:8080",
        "           $ ip link",
        " 3 -       between the nodes",
        "   the answer:",
        "look at pod b",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    assert!(written(&trace(), Paint(true)).contains("\u{1b}[31mnot reached"));
}

#[test]
fn the_short_form_has_a_word_a_hop() {
    let text = short(&trace());
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("node1:application node1:from-pod[to] fabric")
    );
    assert_eq!(lines.next(), Some("node2:application"));
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with("not reached (nobody-listens)"))
    );
}

#[test]
fn a_diagram_has_a_box_a_hop_and_no_stray_character() {
    let text = mermaid(&trace());
    assert!(text.starts_with("flowchart TD\n"), "{text}");
    for words in [
        "subgraph fn0[\"node1\"]",
        "f0 --> f1",
        "f2 -. answer .-> b0",
        "does &lt;what&gt; it does",
        "b0 --> end_",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
}

#[test]
fn a_picture_says_where_our_packet_was_seen() {
    let mut trace = trace();
    trace.forward[0].seen_after_nanoseconds = Some(42_900);
    trace.forward[1].not_seen = true;
    let text = svg(&trace);
    assert!(text.contains(">seen after 42 us</text>"), "{text}");
    assert!(text.contains(">not seen here</text>"), "{text}");
}

#[test]
fn every_form_says_where_a_connection_was_pointed() {
    let mut trace = trace();
    trace.forward[1].pointed = Some(Pointed {
        towards: "10.0.0.2:8080".parse().expect("an address"),
        peer: "10.96.0.1:80".parse().expect("an address"),
    });
    let words = "the connection goes to 10.0.0.2:8080, and getpeername() says 10.96.0.1:80";
    for text in [written(&trace, Paint(false)), mermaid(&trace), svg(&trace)] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_picture_is_well_formed() {
    let text = svg(&trace());
    assert!(
        text.starts_with("<svg ") && text.ends_with("</svg>\n"),
        "{text}"
    );
    assert!(text.contains("pod b &amp; others"), "{text}");
    assert!(!text.contains("<what>"), "{text}");
    assert_eq!(
        text.matches("<text").count(),
        text.matches("</text>").count()
    );
    assert_eq!(text.matches("width=\"560\"").count(), 4, "a box a hop");
}

#[test]
fn json_names_the_state_and_the_changes() {
    let json: serde_json::Value = serde_json::to_value(trace()).expect("JSON");
    assert_eq!(json["outcome"]["state"], "not-reached");
    assert_eq!(json["forward"][1]["kind"], "from-pod");
    assert_eq!(
        json["forward"][1]["change"]["after"]["to"],
        "[fd00:10:244:2::2]:8080"
    );
}
