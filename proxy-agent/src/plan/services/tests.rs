//! Tables for the endpoint-list diff: which operations, in which order.

mod audits;
mod contests;
mod sides;

use cluster_model::{FrontendKind, Protocol};
use proxy_abi::{Ip, Port, protocol};

use super::*;
use crate::plan::desired::PortId;
use crate::plan::slots::REST;

fn key(last: u8) -> FrontendKey {
    FrontendKey::new(Ip::v4([10, 96, 0, last]), Port::new(80), protocol::TCP)
}

fn at(last: u8) -> Endpoint {
    Endpoint::new(Ip::v4([10, 244, 1, last]), Port::new(8080))
}

fn service(name: &str) -> ServiceName {
    ServiceName::new("default", name)
}

fn list(lasts: &[u8]) -> Arc<[Endpoint]> {
    lasts.iter().map(|last| at(*last)).collect()
}

fn http() -> PortId {
    PortId {
        name: "".into(),
        protocol: Protocol::Tcp,
    }
}

/// A Service whose frontends each have one list for all.
fn wants<const N: usize>(
    name: &str,
    lists: [(FrontendKey, &[u8]); N],
) -> (ServiceName, Vec<PortWish>) {
    let frontends = lists.map(|(key, lasts)| (key, front(lasts, lasts)));
    let ports = match N {
        0 => Vec::new(),
        _ => vec![port_of(frontends)],
    };
    (service(name), ports)
}

fn front(inside: &[u8], outside: &[u8]) -> FrontendWish {
    FrontendWish {
        kind: FrontendKind::ClusterIp,
        inside: list(inside),
        outside: list(outside),
        treatment: Treatment::default(),
    }
}

fn port_of<const N: usize>(frontends: [(FrontendKey, FrontendWish); N]) -> PortWish {
    PortWish {
        port: http(),
        affinity_seconds: 0,
        source_ranges: Vec::new(),
        frontends: frontends.into(),
    }
}

/// The number of Service `name`'s port.
fn number(name: &str) -> u32 {
    Numbers::default().of(&service(name), &http())
}

fn offer(name: &str, first_slot: u32, count: u32) -> Offer {
    Offer {
        service: number(name),
        ..Offer::to_all(List { first_slot, count })
    }
}

fn point(name: &str, key: FrontendKey, at: (u32, u32), generation: u32) -> Operation {
    let (first_slot, count) = at;
    Operation::PointFrontend {
        key,
        frontend: Frontend::new(&key, offer(name, first_slot, count), generation),
    }
}

fn write(first_slot: u32, lasts: &[u8]) -> Operation {
    Operation::WriteList {
        first_slot,
        endpoints: list(lasts),
    }
}

/// The generation of the nth new frontend of a table with seed 0.
fn new(number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b9)
}

/// The operations of a plan in which everything had its place.
fn all(planned: Planned) -> Vec<Operation> {
    assert_eq!(planned.unplaced, []);
    planned.operations
}

fn observed<const N: usize>(frontends: [(FrontendKey, Held); N]) -> Observed {
    Observed {
        frontends: frontends.into(),
        ranges: Vec::new(),
    }
}

/// What the kernel holds for a frontend with one list for all.
fn holds(frontend: Frontend, lasts: &[u8]) -> Held {
    Held {
        frontend,
        inside: list(lasts),
        outside: list(lasts),
    }
}

/// A table that holds Service `a` at frontend 1 with endpoints 1 and 2.
fn table(now: Instant) -> Table {
    let mut table = Table::new(Observed::default(), 100, 0);
    let operations = all(table.plan_all(BTreeMap::from([wants("a", [(key(1), &[1, 2])])]), now));
    assert_eq!(
        operations,
        [write(0, &[1, 2]), point("a", key(1), (0, 2), new(1))]
    );
    table
}

#[test]
fn the_same_wish_again_changes_nothing() {
    let now = Instant::now();
    let mut table = table(now);
    let wish = || BTreeMap::from([wants("a", [(key(1), &[1, 2])])]);
    assert_eq!(all(table.plan_all(wish(), now)), []);
    assert_eq!(all(table.plan_changed(wish(), now)), []);
}

#[test]
fn a_changed_list_goes_to_fresh_slots_before_the_switch() {
    let now = Instant::now();
    let mut table = table(now);
    let operations =
        all(table.plan_changed(BTreeMap::from([wants("a", [(key(1), &[1, 2, 3])])]), now));
    assert_eq!(
        operations,
        [write(2, &[1, 2, 3]), point("a", key(1), (2, 3), new(1) + 1)]
    );
}

#[test]
fn an_empty_list_takes_no_slot_and_refuses() {
    let now = Instant::now();
    let mut table = table(now);
    let operations = all(table.plan_changed(BTreeMap::from([wants("a", [(key(1), &[])])]), now));
    assert_eq!(operations, [point("a", key(1), (0, 0), new(1) + 1)]);
}

#[test]
fn old_slots_are_used_again_only_after_their_rest() {
    let now = Instant::now();
    let mut table = table(now);
    let two = |a: &'static [u8]| BTreeMap::from([wants("a", [(key(1), a)])]);
    all(table.plan_changed(two(&[3, 4]), now));
    let soon = all(table.plan_changed(two(&[5, 6]), now + REST / 2));
    assert_eq!(soon[0], write(4, &[5, 6]));
    let later = all(table.plan_changed(two(&[7, 8]), now + REST));
    assert_eq!(later[0], write(0, &[7, 8]));
}

#[test]
fn a_removed_service_takes_its_frontends_along() {
    let now = Instant::now();
    let mut table = table(now);
    let operations = all(table.plan_changed(BTreeMap::from([wants("a", [])]), now));
    assert_eq!(operations, [Operation::RemoveFrontend { key: key(1) }]);
    assert_eq!(
        all(table.plan_changed(BTreeMap::from([wants("a", [])]), now)),
        []
    );
}

#[test]
fn a_changed_port_moves_the_frontend() {
    let now = Instant::now();
    let mut table = table(now);
    let operations =
        all(table.plan_changed(BTreeMap::from([wants("a", [(key(2), &[1, 2])])]), now));
    assert_eq!(
        operations,
        [
            Operation::RemoveFrontend { key: key(1) },
            write(2, &[1, 2]),
            point("a", key(2), (2, 2), new(2))
        ]
    );
}

#[test]
fn an_address_that_changes_hands_in_one_batch_stays() {
    let now = Instant::now();
    let mut table = table(now);
    let batch = BTreeMap::from([wants("a", []), wants("b", [(key(1), &[9])])]);
    let operations = all(table.plan_changed(batch, now));
    assert_eq!(
        operations,
        [write(2, &[9]), point("b", key(1), (2, 1), new(1) + 1)]
    );
}

#[test]
fn a_changed_service_leaves_the_others_alone() {
    let now = Instant::now();
    let mut table = table(now);
    let operations = all(table.plan_changed(BTreeMap::from([wants("b", [(key(2), &[5])])]), now));
    assert_eq!(
        operations,
        [write(2, &[5]), point("b", key(2), (2, 1), new(2))]
    );
}

#[test]
fn after_a_restart_the_kernel_is_believed() {
    let now = Instant::now();
    let held = |name, key: FrontendKey, first_slot, lasts: &[u8]| {
        let offer = offer(name, first_slot, lasts.len() as u32);
        (key, holds(Frontend::new(&key, offer, 7), lasts))
    };
    // Frontend 1 is as wanted, 2 has changed, 3 is gone.
    let observed = observed([
        held("a", key(1), 0, &[1, 2]),
        held("b", key(2), 2, &[3]),
        held("c", key(3), 3, &[4]),
    ]);
    let mut table = Table::new(observed, 100, 0);
    let wish = BTreeMap::from([
        wants("a", [(key(1), &[1, 2])]),
        wants("b", [(key(2), &[5])]),
    ]);
    let operations = all(table.plan_all(wish, now));
    assert_eq!(
        operations,
        [
            Operation::RemoveFrontend { key: key(3) },
            write(4, &[5]),
            point("b", key(2), (4, 1), 8)
        ]
    );
}

#[test]
fn operations_read_like_sentences() {
    assert_eq!(
        write(4, &[1]).to_string(),
        "write endpoints from slot 4: 10.244.1.1:8080"
    );
    assert_eq!(
        point("a", key(1), (4, 1), 2).to_string(),
        "point frontend 10.96.0.1:80/tcp at 1 endpoints from slot 4, generation 2"
    );
    let remove = Operation::RemoveFrontend { key: key(1) };
    assert_eq!(remove.to_string(), "remove frontend 10.96.0.1:80/tcp");
}

#[test]
fn a_frontend_that_comes_again_has_another_generation() {
    let now = Instant::now();
    let mut table = table(now);
    all(table.plan_changed(BTreeMap::from([wants("a", [])]), now));
    let operations = all(table.plan_changed(BTreeMap::from([wants("a", [(key(1), &[9])])]), now));
    assert_eq!(
        operations,
        [write(2, &[9]), point("a", key(1), (2, 1), new(2))]
    );
}

#[test]
fn a_full_map_keeps_what_it_has_and_takes_more_when_some_goes() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 100, 0).with_room_for(2);
    let a = || wants("a", [(key(1), &[1][..])]);
    let b = || wants("b", [(key(2), &[2][..]), (key(3), &[2][..])]);
    let planned = table.plan_all(BTreeMap::from([a(), b()]), now);
    let reason = NoRoom::Frontends { room: 2 };
    assert_eq!(
        planned.unplaced,
        [Unplaced {
            key: key(3),
            reason
        }]
    );
    assert_eq!((table.fill().0, table.unplaced()), (2, 1));
    let changed = table.plan_changed(BTreeMap::from([wants("a", [(key(1), &[3][..])])]), now);
    assert_eq!(
        (changed.unplaced, table.unplaced()),
        (vec![], 1),
        "what is there changes"
    );
    let gone = (ServiceName::new("default", "a"), vec![]);
    table.plan_changed(BTreeMap::from([gone.clone()]), now);
    let planned = table.plan_all(BTreeMap::from([gone, b()]), now);
    assert_eq!((planned.unplaced, table.unplaced()), (vec![], 0));
    assert_eq!(table.fill().0, 2);
}

#[test]
fn what_has_no_place_keeps_nothing_else_from_its_own() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 4, 0);
    let wish = BTreeMap::from([
        wants("a", [(key(1), &[1, 2, 3])]),
        wants("b", [(key(2), &[1, 2, 3])]),
        wants("c", [(key(3), &[1])]),
    ]);
    let planned = table.plan_all(wish, now);
    assert_eq!(
        planned.operations,
        [
            write(0, &[1, 2, 3]),
            point("a", key(1), (0, 3), new(1)),
            write(3, &[1]),
            point("c", key(3), (3, 1), new(2)),
        ]
    );
    let text: Vec<String> = planned.unplaced.iter().map(ToString::to_string).collect();
    assert!(
        text[0].starts_with("frontend 10.96.0.2:80/tcp: the map `endpoints` has no 3"),
        "{text:?}"
    );
}

#[test]
fn an_entry_that_is_not_whole_is_written_again() {
    let now = Instant::now();
    let other = Frontend::new(&key(9), offer("a", 0, 1), 7);
    let observed = observed([(key(1), holds(other, &[1]))]);
    let mut table = Table::new(observed, 100, 0);
    let operations = all(table.plan_all(BTreeMap::from([wants("a", [(key(1), &[1])])]), now));
    assert_eq!(operations, [point("a", key(1), (0, 1), 8)]);
}

#[test]
fn a_list_that_points_beyond_the_slots_is_written_anew() {
    let now = Instant::now();
    let beyond = Frontend::new(&key(1), offer("a", 99, 2), 7);
    let observed = observed([(key(1), holds(beyond, &[1]))]);
    let mut table = Table::new(observed, 100, 0);
    let operations = all(table.plan_all(BTreeMap::from([wants("a", [(key(1), &[1])])]), now));
    assert_eq!(operations, [write(0, &[1]), point("a", key(1), (0, 1), 8)]);
}
