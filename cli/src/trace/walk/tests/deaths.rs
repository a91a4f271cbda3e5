//! Where paths end.

use super::*;

#[test]
fn where_it_dies_is_told() {
    let world = World::default();
    let nobody = |drops| World {
        endpoints: vec![],
        nobody: Some("none-ready"),
        drops,
        ..World::default()
    };
    let deaf = World {
        listens: false,
        ..World::default()
    };
    let rows = [
        (
            &nobody(false),
            pod(),
            "10.96.0.1:80",
            "none-ready",
            Kind::Connect,
        ),
        (
            &nobody(true),
            pod(),
            "10.96.0.1:80",
            "none-ready",
            Kind::FromPod,
        ),
        (
            &nobody(false),
            outside(),
            "172.30.0.12:30080",
            "none-ready",
            Kind::FromNetwork,
        ),
        (
            &deaf,
            pod(),
            "10.96.0.1:80",
            "nobody-listens",
            Kind::Listener,
        ),
        (&world, pod(), "10.96.0.1:81", "no-such-port", Kind::FromPod),
        (&world, pod(), "10.96.9.9:80", "no-service", Kind::ToNetwork),
        (&world, pod(), "203.0.113.9:1", "no-route", Kind::Stack),
        (
            &world,
            Source::Pod("n1".to_owned(), ip("10.244.1.99")),
            "10.96.0.1:80",
            "no-pod",
            Kind::Application,
        ),
    ];
    for (world, source, to, expected, last) in rows {
        let walked = world.walk(source, to, Protocol::Tcp);
        let Outcome::NotReached { reason, .. } = &walked.outcome else {
            panic!("{to}: {:?}", walked.outcome);
        };
        assert_eq!(reason, expected, "{to}");
        assert!(walked.back.is_empty());
        let kind = walked.forward.last().map(|hop| hop.kind);
        assert_eq!(kind.unwrap_or(Kind::Application), last, "{to}");
    }
}

#[test]
fn a_silent_agent_leaves_the_rest_unknown() {
    let mut facts = Facts::default();
    let need = |node: &str| Need {
        node: node.to_owned(),
        question: Question::Node,
    };
    let world = World::default();
    facts.add(need("n1"), world.answer(&need("n1")));
    facts.add(need("n2"), Fact::Silent("n2 is away".to_owned()));
    let ask = Ask {
        source: pod(),
        to: at("10.244.2.2:80"),
        protocol: Protocol::Udp,
        endpoint: None,
        through: None,
        says: Says::Bytes(0),
    };
    let walked = loop {
        match super::walk(&ask, &facts, &Names::new()) {
            Ok(walked) => break walked,
            Err(need) => {
                let fact = world.answer(&need);
                facts.add(need, fact);
            }
        }
    };
    let Outcome::NotKnown { words } = &walked.outcome else {
        panic!("{:?}", walked.outcome);
    };
    assert_eq!(words, "n2 is away");
    assert_eq!(
        walked.forward.last().map(|hop| hop.kind),
        Some(Kind::Fabric)
    );
}
