//! Frontends that two Services want.

use super::*;

/// Service `name` wants frontend 1, which is such an address to it, with one endpoint.
fn claims(name: &str, kind: FrontendKind, last: u8) -> (ServiceName, Vec<PortWish>) {
    let wish = FrontendWish {
        kind,
        ..front(&[last], &[last])
    };
    (service(name), vec![port_of([(key(1), wish)])])
}

fn external(name: &str, last: u8) -> (ServiceName, Vec<PortWish>) {
    claims(name, FrontendKind::ExternalIp, last)
}

/// The endpoint and owner of frontend 1 after these operations.
fn shown(operations: &[Operation]) -> Option<u32> {
    let point = |operation: &Operation| match operation {
        Operation::PointFrontend { frontend, .. } => Some(frontend.offer.service),
        _ => None,
    };
    operations.iter().rev().find_map(point)
}

fn loses(planned: &Planned) -> Vec<String> {
    let contests = planned.contested.iter();
    contests
        .map(|contest| contest.loser.name.to_string())
        .collect()
}

#[test]
fn the_first_by_name_has_it_whoever_comes_first() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 100, 0);
    let planned = table.plan_all(BTreeMap::from([external("b", 2)]), now);
    assert_eq!(shown(&planned.operations), Some(number("b")));
    assert_eq!(planned.contested, []);

    let planned = table.plan_changed(BTreeMap::from([external("a", 1)]), now);
    assert_eq!(shown(&planned.operations), Some(number("a")));
    assert_eq!(loses(&planned), ["b"]);
    let text = planned.contested[0].to_string();
    assert_eq!(
        text,
        "frontend 10.96.0.1:80/tcp is wanted by Services default/a and default/b; default/a has it"
    );

    let planned = table.plan_changed(BTreeMap::from([external("c", 3)]), now);
    assert_eq!((planned.operations.len(), loses(&planned).len()), (0, 2));
    let all_three = BTreeMap::from([external("a", 1), external("b", 2), external("c", 3)]);
    assert_eq!(table.plan_all(all_three, now).operations, []);
}

#[test]
fn a_cluster_ip_is_nobodys_external_ip() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 100, 0);
    let owner = claims("owner", FrontendKind::ClusterIp, 2);
    let planned = table.plan_all(BTreeMap::from([external("a-thief", 1), owner]), now);
    assert_eq!(shown(&planned.operations), Some(number("owner")));
    assert_eq!(loses(&planned), ["a-thief"]);
}

#[test]
fn the_loser_returns_when_the_winner_goes() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 100, 0);
    table.plan_all(BTreeMap::from([external("a", 1), external("b", 2)]), now);
    let gone = service("a");
    let rivals: Vec<_> = table.rivals([&gone].into_iter()).cloned().collect();
    assert_eq!(rivals, [service("b")]);
    assert_eq!(table.rivals([&service("b")].into_iter()).count(), 0);

    let planned = table.plan_changed(BTreeMap::from([wants("a", []), external("b", 2)]), now);
    assert_eq!(shown(&planned.operations), Some(number("b")));
    assert!(
        !planned
            .operations
            .contains(&Operation::RemoveFrontend { key: key(1) })
    );
    assert_eq!(planned.contested, []);
}

#[test]
fn a_loser_that_goes_is_forgotten() {
    let now = Instant::now();
    let mut table = Table::new(Observed::default(), 100, 0);
    table.plan_all(BTreeMap::from([external("a", 1), external("b", 2)]), now);
    let planned = table.plan_changed(BTreeMap::from([wants("b", [])]), now);
    assert_eq!((planned.operations, planned.contested), (vec![], vec![]));
    assert_eq!(table.rivals([&service("a")].into_iter()).count(), 0);
}
