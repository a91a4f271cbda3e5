//! `sessionAffinity`: every row, on the path of packets and on that of sockets, in both families.

mod stage;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use stage::PATIENCE;
use stage::askers::From;
use stage::cast::{CLIENTS, Cast, End, Row, affinity, all_three};
use stage::talk::Connection;

const ROWS: [Row; 3] = [
    ("affinity counts from its last use", affinity_from_last_use),
    ("affinity is switched on and off", affinity_switched),
    ("a vanished endpoint is replaced", vanished_endpoint),
];

#[test]
fn every_row_about_affinity() {
    if let Some(cast) = Cast::new("rows-affinity") {
        cast.show(&ROWS);
    }
}

/// Six clients, each with a connection that lasts longer than the time-out: by chance they would
/// all be where they were before once in 729 times.
fn affinity_from_last_use(cast: &Cast) {
    cast.service("sticky", affinity(4));
    cast.ends("sticky", &all_three());
    let frontends = cast.frontends("sticky");
    frontends
        .iter()
        .for_each(|at| cast.until_over(&["udp"], From::Node("node1"), *at, &first_of(cast, *at)));
    let places = CLIENTS.map(|from| cast.place(from));
    let each = || {
        places
            .iter()
            .flat_map(|place| frontends.iter().map(move |at| (place, *at)))
    };
    let open = || -> Vec<_> {
        let opened = each().map(|(place, at)| Connection::open(place, at).expect("connected"));
        opened.collect()
    };
    let ask = |connections: &mut Vec<Connection>| -> Vec<_> {
        let asked = connections
            .iter_mut()
            .map(|it| it.ask().expect("an answer"));
        asked.collect()
    };
    let mut held = open();
    let first = ask(&mut held);
    for _ in 0..16 {
        sleep(Duration::from_millis(500));
        assert_eq!(ask(&mut held), first);
    }
    assert_eq!(ask(&mut open()), first, "while they were in use");
    drop(held);
    let mut others = BTreeSet::new();
    for _ in 0..3 {
        sleep(Duration::from_secs(6));
        others.insert(ask(&mut open()));
    }
    others.insert(first);
    assert!(
        others.len() > 1,
        "some went elsewhere after the time-out: {others:?}"
    );
}

/// Waits for somebody's first answer there, and returns who it is.
fn first_of(cast: &Cast, at: SocketAddr) -> Vec<usize> {
    let asked = || Ok(cast.who("udp", From::Node("node1"), at).ok());
    let who = cast
        .lab
        .wait("an answer", PATIENCE, asked)
        .expect("it is served");
    who.iter()
        .map(|name| name[1..].parse().expect("a number"))
        .collect()
}

fn affinity_switched(cast: &Cast) {
    cast.service_at("switched", Some(30_130), json!({"type": "NodePort"}));
    cast.ends("switched", &all_three());
    let ats: Vec<_> = cast
        .frontends("switched")
        .into_iter()
        .chain(cast.at("node2", 30_130))
        .collect();
    // The node's own process at the node's own address is a matter of sockets.
    let [one, two, three] = CLIENTS;
    let askers = [one, two, three, From::Node("node1"), From::Node("node2")];
    let spread = || {
        for at in &ats {
            askers
                .into_iter()
                .for_each(|from| cast.until(from, *at, &[1, 2, 3]));
        }
    };
    spread();
    for _ in 0..2 {
        cast.change("switched", json!({"spec": affinity(10_800)}));
        for from in askers {
            for at in &ats {
                let alone = |verb: &str| cast.who(verb, from, *at).is_ok_and(|who| who.len() == 1);
                let kept = || Ok((alone("get") && alone("udp")).then_some(()));
                let waited = cast.lab.wait("one endpoint", PATIENCE, kept);
                assert!(
                    waited.is_ok(),
                    "{from:?} {at}: {:?}",
                    cast.who("udp", from, *at)
                );
            }
        }
        cast.change(
            "switched",
            json!({"spec": {"sessionAffinity": "None", "sessionAffinityConfig": null}}),
        );
        spread();
    }
}

fn vanished_endpoint(cast: &Cast) {
    cast.service("vanished", affinity(10_800));
    cast.ends("vanished", &all_three());
    for at in cast.frontends("vanished") {
        let who = |from| {
            let one = || Ok(cast.who("get", from, at).ok().filter(|who| who.len() == 1));
            let who = cast
                .lab
                .wait("one endpoint", PATIENCE, one)
                .expect("affinity");
            who.into_iter().next().expect("one")
        };
        for from in CLIENTS {
            cast.ends("vanished", &all_three());
            let first = who(from);
            let number: usize = first[1..].parse().expect("a number");
            let rest: Vec<_> = [1, 2, 3].into_iter().filter(|it| *it != number).collect();
            cast.ends(
                "vanished",
                &rest.iter().copied().map(End::ready).collect::<Vec<_>>(),
            );
            let moved = || {
                Ok(cast
                    .who("get", from, at)
                    .ok()
                    .filter(|who| !who.contains(&first)))
            };
            let next = cast.lab.wait("another", PATIENCE, moved).expect("it moves");
            assert_eq!(next.len(), 1, "and stays there: {next:?}");
            cast.ends("vanished", &all_three());
            sleep(Duration::from_millis(300));
            assert_eq!(
                cast.who("get", from, at),
                Ok(next),
                "also when the first is back"
            );
        }
    }
}
