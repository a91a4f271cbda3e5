//! Tables for the endpoint-list diff: which operations, in which order.

use proxy_abi::{Ip, Port, protocol};

use super::*;
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

fn wants<const N: usize>(name: &str, lists: [(FrontendKey, &[u8]); N]) -> (ServiceName, Lists) {
    let lists = lists
        .into_iter()
        .map(|(key, lasts)| (key, lasts.iter().map(|l| at(*l)).collect()));
    (service(name), lists.collect())
}

fn point(key: FrontendKey, first_slot: u32, count: u32, generation: u32) -> Operation {
    Operation::PointFrontend {
        key,
        frontend: Frontend {
            first_slot,
            count,
            generation,
        },
    }
}

fn write(first_slot: u32, lasts: &[u8]) -> Operation {
    Operation::WriteList {
        first_slot,
        endpoints: lasts.iter().map(|last| at(*last)).collect(),
    }
}

/// A table that holds Service `a` at frontend 1 with endpoints 1 and 2.
fn table(now: Instant) -> Table {
    let mut table = Table::new(BTreeMap::new(), 100);
    let operations = table
        .plan_all(BTreeMap::from([wants("a", [(key(1), &[1, 2])])]), now)
        .unwrap();
    assert_eq!(operations, [write(0, &[1, 2]), point(key(1), 0, 2, 0)]);
    table
}

#[test]
fn the_same_wish_again_changes_nothing() {
    let now = Instant::now();
    let mut table = table(now);
    let wish = || BTreeMap::from([wants("a", [(key(1), &[1, 2])])]);
    assert_eq!(table.plan_all(wish(), now), Ok(vec![]));
    assert_eq!(table.plan_changed(wish(), now), Ok(vec![]));
}

#[test]
fn a_changed_list_goes_to_fresh_slots_before_the_switch() {
    let now = Instant::now();
    let mut table = table(now);
    let operations = table
        .plan_changed(BTreeMap::from([wants("a", [(key(1), &[1, 2, 3])])]), now)
        .unwrap();
    assert_eq!(operations, [write(2, &[1, 2, 3]), point(key(1), 2, 3, 1)]);
}

#[test]
fn an_empty_list_takes_no_slot_and_refuses() {
    let now = Instant::now();
    let mut table = table(now);
    let operations = table
        .plan_changed(BTreeMap::from([wants("a", [(key(1), &[])])]), now)
        .unwrap();
    assert_eq!(operations, [point(key(1), 0, 0, 1)]);
}

#[test]
fn old_slots_are_used_again_only_after_their_rest() {
    let now = Instant::now();
    let mut table = table(now);
    let two = |a: &'static [u8]| BTreeMap::from([wants("a", [(key(1), a)])]);
    table.plan_changed(two(&[3, 4]), now).unwrap();
    let soon = table.plan_changed(two(&[5, 6]), now + REST / 2).unwrap();
    assert_eq!(soon[0], write(4, &[5, 6]));
    let later = table.plan_changed(two(&[7, 8]), now + REST).unwrap();
    assert_eq!(later[0], write(0, &[7, 8]));
}

#[test]
fn a_removed_service_takes_its_frontends_along() {
    let now = Instant::now();
    let mut table = table(now);
    let operations = table
        .plan_changed(BTreeMap::from([wants("a", [])]), now)
        .unwrap();
    assert_eq!(operations, [Operation::RemoveFrontend { key: key(1) }]);
    assert_eq!(
        table.plan_changed(BTreeMap::from([wants("a", [])]), now),
        Ok(vec![])
    );
}

#[test]
fn a_changed_port_moves_the_frontend() {
    let now = Instant::now();
    let mut table = table(now);
    let operations = table
        .plan_changed(BTreeMap::from([wants("a", [(key(2), &[1, 2])])]), now)
        .unwrap();
    assert_eq!(
        operations,
        [
            Operation::RemoveFrontend { key: key(1) },
            write(2, &[1, 2]),
            point(key(2), 2, 2, 0)
        ]
    );
}

#[test]
fn an_address_that_changes_hands_in_one_batch_stays() {
    let now = Instant::now();
    let mut table = table(now);
    let batch = BTreeMap::from([wants("a", []), wants("b", [(key(1), &[9])])]);
    let operations = table.plan_changed(batch, now).unwrap();
    assert_eq!(operations, [write(2, &[9]), point(key(1), 2, 1, 1)]);
}

#[test]
fn a_changed_service_leaves_the_others_alone() {
    let now = Instant::now();
    let mut table = table(now);
    let operations = table
        .plan_changed(BTreeMap::from([wants("b", [(key(2), &[5])])]), now)
        .unwrap();
    assert_eq!(operations, [write(2, &[5]), point(key(2), 2, 1, 0)]);
}

#[test]
fn after_a_restart_the_kernel_is_believed() {
    let now = Instant::now();
    let held = |first_slot, lasts: &[u8]| Held {
        frontend: Frontend {
            first_slot,
            count: lasts.len() as u32,
            generation: 7,
        },
        endpoints: lasts.iter().map(|last| at(*last)).collect(),
    };
    // Frontend 1 is as wanted, 2 has changed, 3 is gone.
    let observed = BTreeMap::from([
        (key(1), held(0, &[1, 2])),
        (key(2), held(2, &[3])),
        (key(3), held(3, &[4])),
    ]);
    let mut table = Table::new(observed, 100);
    let wish = BTreeMap::from([
        wants("a", [(key(1), &[1, 2])]),
        wants("b", [(key(2), &[5])]),
    ]);
    let operations = table.plan_all(wish, now).unwrap();
    assert_eq!(
        operations,
        [
            Operation::RemoveFrontend { key: key(3) },
            write(4, &[5]),
            point(key(2), 4, 1, 8)
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
        point(key(1), 4, 1, 2).to_string(),
        "point frontend 10.96.0.1:80/tcp at 1 endpoints from slot 4, generation 2"
    );
    let remove = Operation::RemoveFrontend { key: key(1) };
    assert_eq!(remove.to_string(), "remove frontend 10.96.0.1:80/tcp");
}
