//! A path of two nodes, and what they saw of it.

use super::*;
use crate::trace::path::Change;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn tuple(from: End, to: &str) -> Tuple {
    Tuple {
        from,
        to: at(to).into(),
    }
}

fn hop(node: Option<&str>, kind: Kind, place: &str) -> Hop {
    Hop {
        node: node.map(str::to_owned),
        kind,
        place: place.to_owned(),
        owner: String::new(),
        does: String::new(),
        change: None,
        shown_by: None,
        seen_after_nanoseconds: None,
        since_before_nanoseconds: None,
        not_seen: false,
        ran: None,
        pointed: None,
    }
}

fn first() -> Tuple {
    tuple(End::any(ip("10.244.1.2")), "10.96.0.1:80")
}

/// A pod on n1 asks a Service whose endpoint is on n2.
fn forward() -> Vec<Hop> {
    let mut program = hop(Some("n1"), Kind::FromPod, "fn1 ingress");
    program.change = Some(Change {
        before: first(),
        after: tuple(End::any(ip("10.244.1.2")), "10.244.2.2:8080"),
    });
    vec![
        hop(Some("n1"), Kind::Application, "a"),
        hop(Some("n1"), Kind::PodInterface, "a"),
        program,
        hop(Some("n1"), Kind::Stack, "routes"),
        hop(Some("n1"), Kind::ToNetwork, "eth0 egress"),
        hop(None, Kind::Fabric, "between"),
        hop(Some("n2"), Kind::FromNetwork, "eth0 ingress"),
        hop(Some("n2"), Kind::PodInterface, "b"),
        hop(Some("n2"), Kind::Listener, "b"),
    ]
}

fn seen(pod: Option<&str>, interface: &str, outgoing: bool, to: &str, at_: u64) -> Sighting {
    Sighting {
        nanoseconds: at_,
        pod: pod.map(ip),
        interface: interface.to_owned(),
        outgoing,
        from: at("10.244.1.2:40000"),
        to: at(to),
    }
}

fn watched(sightings: Vec<Sighting>) -> Watched {
    Watched {
        sightings,
        ..Watched::default()
    }
}

fn all() -> Seen {
    let n1 = vec![
        seen(Some("10.244.1.2"), "eth0", true, "10.96.0.1:80", 1_000),
        seen(None, "fn1", false, "10.96.0.1:80", 1_100),
        seen(None, "eth0", true, "10.244.2.2:8080", 1_400),
    ];
    let n2 = vec![
        seen(None, "eth0", false, "10.244.2.2:8080", 2_000),
        seen(Some("10.244.2.2"), "eth0", false, "10.244.2.2:8080", 2_500),
    ];
    Seen::from([
        ("n1".to_owned(), watched(n1)),
        ("n2".to_owned(), watched(n2)),
    ])
}

fn joined(seen: &Seen, client: &str) -> (Vec<Hop>, Option<String>) {
    let mut hops = forward();
    let client = at(client);
    let difference = join((&mut hops, &mut []), first(), client, seen);
    (hops, difference)
}

#[test]
fn each_wire_on_the_way_says_when_the_packet_passed() {
    let (hops, difference) = joined(&all(), "10.244.1.2:40000");
    assert_eq!(difference, None);
    let times: Vec<_> = hops
        .iter()
        .filter_map(|hop| hop.seen_after_nanoseconds)
        .collect();
    assert_eq!(times, [0, 100, 400, 1_000, 1_500]);
}

#[test]
fn the_first_place_where_it_is_missing_is_marked() {
    let mut lost = all();
    lost.insert("n2".to_owned(), Watched::default());
    let (hops, difference) = joined(&lost, "10.244.1.2:40000");
    let words = "seen last at eth0 egress of n1, and not at eth0 ingress of n2";
    assert_eq!(difference.as_deref(), Some(words));
    let marked: Vec<_> = hops.iter().map(|hop| hop.not_seen).collect();
    assert_eq!(marked.iter().position(|mark| *mark), Some(6));
    assert_eq!(marked.iter().filter(|mark| **mark).count(), 1);
}

#[test]
fn a_packet_from_another_port_is_another_packet() {
    let (_, difference) = joined(&all(), "10.244.1.2:40001");
    assert_eq!(
        difference.as_deref(),
        Some("seen last at nowhere, and not at a of n1")
    );
}

#[test]
fn a_node_that_was_not_watched_is_no_difference() {
    let mut half = all();
    half.remove("n2");
    let (_, difference) = joined(&half, "10.244.1.2:40000");
    assert_eq!(difference, None);
}

#[test]
fn pods_and_addresses_of_the_path_are_watched() {
    let plan = plan(&forward(), &[], first());
    let of = |node: &str| plan.nodes[node].iter().copied().collect::<Vec<_>>();
    assert_eq!(of("n1"), [ip("10.244.1.2")]);
    assert_eq!(of("n2"), [ip("10.244.2.2")]);
    assert_eq!(plan.ports, BTreeSet::from([80, 8080]));
    let addresses = ["10.96.0.1", "10.244.1.2", "10.244.2.2"].map(ip);
    assert_eq!(plan.addresses, BTreeSet::from(addresses));
}

/// A packet of the way at n1's pod, as an event.
fn event(what: What) -> Event {
    Event {
        nanoseconds: 1_050,
        what,
        pod: None,
        interface: "fn1".to_owned(),
        protocol: 6,
        from: at("10.244.1.2:40000"),
        to: at("10.96.0.1:80"),
        length: 60,
        tcp: "SYN".to_owned(),
    }
}

fn program(after: &str) -> What {
    What::Program {
        name: "from_pod".to_owned(),
        verdict: "passed".to_owned(),
        nanoseconds: 700,
        after_from: at("10.244.1.2:40000"),
        after_to: at(after),
        counters: vec!["flow-created".to_owned()],
    }
}

#[test]
fn an_event_is_as_good_as_a_sighting_and_the_earlier_counts() {
    let mut seen = all();
    let n1 = seen.get_mut("n1").expect("watched");
    n1.events.push(event(What::Received));
    let (hops, difference) = joined(&seen, "10.244.1.2:40000");
    assert_eq!(difference, None);
    assert_eq!(hops[2].seen_after_nanoseconds, Some(50));
    let n1 = seen.get_mut("n1").expect("watched");
    n1.sightings.retain(|one| one.interface != "fn1");
    let (hops, difference) = joined(&seen, "10.244.1.2:40000");
    assert_eq!(
        (hops[2].seen_after_nanoseconds, difference),
        (Some(50), None)
    );
}

#[test]
fn a_programs_run_is_told_and_what_it_writes_otherwise_is_marked() {
    let mut seen = all();
    let n1 = seen.get_mut("n1").expect("watched");
    n1.events.push(event(program("10.244.2.2:8080")));
    let (hops, difference) = joined(&seen, "10.244.1.2:40000");
    assert_eq!(difference, None);
    let ran = hops[2].ran.as_ref().expect("a run");
    assert_eq!((ran.nanoseconds, &*ran.verdict), (700, "passed"));
    let n1 = seen.get_mut("n1").expect("watched");
    n1.events = vec![event(program("10.244.2.9:8080"))];
    let (_, difference) = joined(&seen, "10.244.1.2:40000");
    let difference = difference.expect("they differ");
    assert!(
        difference.contains("the program wrote 10.244.1.2:40000 > 10.244.2.9:8080"),
        "{difference}"
    );
}
