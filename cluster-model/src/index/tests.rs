//! Tables over the index: what becomes dirty, what is found.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::{ClusterIndex, Dirty};
use crate::name::Protocol::Tcp;
use crate::name::{ServiceName, SliceName};
use crate::object::{EndpointSlice, Service};
use crate::testing::{ip, mk_endpoint, mk_index, mk_node, mk_service, mk_slice};

/// Applies `steps` to an index that holds `default/web` with one slice, `default/idle` and a
/// node, and returns the Services (as `namespace/name`) and nodes they made dirty.
fn dirty_after(steps: impl FnOnce(&mut ClusterIndex)) -> (Vec<String>, bool) {
    let mut index = mk_index(
        [web(), mk_service("default", "idle").cluster_ip("10.96.0.2")],
        [mk_slice("default", "web", "web-1")
            .port("", Tcp, 8080)
            .ready("10.244.1.2")],
    );
    index.apply_node(mk_node("n1").address("172.30.0.11"));
    index.take_dirty();
    steps(&mut index);
    let Dirty {
        services, nodes, ..
    } = index.take_dirty();
    assert!(index.take_dirty().is_empty(), "taken is forgotten");
    (services.iter().map(ToString::to_string).collect(), nodes)
}

fn web() -> Service {
    mk_service("default", "web")
        .cluster_ip("10.96.0.1")
        .port("", Tcp, 80)
}

fn web_1(address: &str) -> EndpointSlice {
    mk_slice("default", "web", "web-1")
        .port("", Tcp, 8080)
        .ready(address)
}

fn name(name: &str) -> ServiceName {
    ServiceName::new("default", name)
}

/// One change: what it is called, what it does, the Services and whether the nodes are dirty then.
type Row = (
    &'static str,
    fn(&mut ClusterIndex),
    &'static [&'static str],
    bool,
);

fn check(rows: &[Row]) {
    for (case, step, services, nodes) in rows {
        let wanted = (services.iter().map(ToString::to_string).collect(), *nodes);
        assert_eq!(dirty_after(step), wanted, "{case}");
    }
}

#[test]
fn only_the_changed_service_is_dirty() {
    check(&[
        ("nothing", |_| (), &[], false),
        ("equal", |i| i.apply_service(web()), &[], false),
        (
            "changed",
            |i| i.apply_service(web().port("metrics", Tcp, 9090)),
            &["default/web"],
            false,
        ),
        (
            "new",
            |i| i.apply_service(mk_service("prod", "db")),
            &["prod/db"],
            false,
        ),
        (
            "deleted",
            |i| i.delete_service(&name("idle")),
            &["default/idle"],
            false,
        ),
        (
            "deleted, unknown",
            |i| i.delete_service(&name("ghost")),
            &[],
            false,
        ),
        (
            "re-list of the same",
            |i| i.replace_services(i.services().cloned().collect()),
            &[],
            false,
        ),
        (
            "re-list without one, with another",
            |i| i.replace_services(vec![web(), mk_service("default", "new")]),
            &["default/idle", "default/new"],
            false,
        ),
    ]);
}

#[test]
fn a_slice_makes_its_service_dirty() {
    check(&[
        ("equal", |i| i.apply_slice(web_1("10.244.1.2")), &[], false),
        (
            "changed",
            |i| i.apply_slice(web_1("10.244.1.3")),
            &["default/web"],
            false,
        ),
        (
            "second one",
            |i| i.apply_slice(mk_slice("default", "web", "web-2")),
            &["default/web"],
            false,
        ),
        (
            "before its Service",
            |i| i.apply_slice(mk_slice("default", "early", "early-1")),
            &["default/early"],
            false,
        ),
        (
            "moved by its label: both",
            |i| i.apply_slice(mk_slice("default", "idle", "web-1").ready("10.244.1.2")),
            &["default/idle", "default/web"],
            false,
        ),
        (
            "deleted",
            |i| i.delete_slice(&SliceName::new("default", "web-1")),
            &["default/web"],
            false,
        ),
        (
            "deleted, unknown",
            |i| i.delete_slice(&SliceName::new("prod", "web-1")),
            &[],
            false,
        ),
        (
            "re-list of the same",
            |i| i.replace_slices(vec![web_1("10.244.1.2")]),
            &[],
            false,
        ),
        (
            "re-list of none",
            |i| i.replace_slices(vec![]),
            &["default/web"],
            false,
        ),
    ]);
}

#[test]
fn nodes_are_dirty_together() {
    check(&[
        (
            "equal",
            |i| i.apply_node(mk_node("n1").address("172.30.0.11")),
            &[],
            false,
        ),
        (
            "changed",
            |i| i.apply_node(mk_node("n1").address("172.30.0.12")),
            &[],
            true,
        ),
        ("new", |i| i.apply_node(mk_node("n2")), &[], true),
        ("deleted", |i| i.delete_node("n1"), &[], true),
        ("deleted, unknown", |i| i.delete_node("n9"), &[], false),
        (
            "re-list of the same",
            |i| i.replace_nodes(i.nodes().cloned().collect()),
            &[],
            false,
        ),
        ("re-list of none", |i| i.replace_nodes(vec![]), &[], true),
    ]);
}

#[test]
fn dirty_accumulates_until_taken() {
    let mut index = mk_index([web()], []);
    index.apply_node(mk_node("n1"));
    index.delete_service(&name("web"));
    let mut dirty = index.take_dirty();
    assert_eq!((dirty.services.len(), dirty.nodes), (1, true));

    dirty.merge(Dirty {
        services: BTreeSet::from([name("api")]),
        nodes: false,
        ..Dirty::default()
    });
    assert_eq!((dirty.services.len(), dirty.nodes), (2, true));
}

#[test]
fn a_slice_is_listed_under_the_service_it_names_now() {
    let mut index = mk_index([], [mk_slice("default", "web", "s").ready("10.244.1.2")]);
    index.apply_slice(mk_slice("default", "api", "s").ready("10.244.1.3"));
    assert!(index.slices(&name("web")).is_empty());
    assert_eq!(index.slices(&name("api")).len(), 1);

    index.delete_slice(&SliceName::new("default", "s"));
    assert!(index.slices(&name("api")).is_empty());
    assert!(
        index.entries.is_empty() && index.slice_owners.is_empty(),
        "nothing is left behind"
    );
}

#[test]
fn a_replaced_slice_keeps_the_others_in_place() {
    let slice = |n: &str, address: &str| mk_slice("default", "web", n).ready(address);
    let mut index = mk_index([], [slice("c", "10.0.0.3"), slice("a", "10.0.0.1")]);
    index.apply_slice(slice("b", "10.0.0.2"));
    index.apply_slice(slice("a", "10.0.0.9"));
    let slices = index.slices(&name("web"));
    let held: Vec<_> = slices
        .iter()
        .map(|s| (&*s.name, s.endpoints[0].address))
        .collect();
    assert_eq!(
        held,
        [
            ("a", ip("10.0.0.9")),
            ("b", ip("10.0.0.2")),
            ("c", ip("10.0.0.3"))
        ]
    );
}

#[test]
fn services_are_found_by_name_and_by_address() {
    let mut index = mk_index([web(), mk_service("prod", "web").cluster_ip("fd00::1")], []);
    assert_eq!(
        index
            .service_named("prod", "web")
            .map(|s| &*s.name.namespace),
        Some("prod")
    );
    assert!(index.service_named("prod", "api").is_none());
    let at = |index: &ClusterIndex, address| {
        index
            .services_at(ip(address))
            .map(|s| s.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(at(&index, "fd00::1"), ["prod/web"]);
    assert_eq!(at(&index, "10.96.0.1"), ["default/web"]);
    assert!(at(&index, "10.96.0.0").is_empty());

    index.apply_service(mk_service("default", "web").cluster_ip("10.96.0.9"));
    assert!(at(&index, "10.96.0.1").is_empty());
    assert_eq!(at(&index, "10.96.0.9"), ["default/web"]);
    index.delete_service(&name("web"));
    assert!(at(&index, "10.96.0.9").is_empty());
}

#[test]
fn two_services_may_claim_an_address_for_a_moment() {
    let mut index = mk_index(
        [web(), mk_service("default", "web2").cluster_ip("10.96.0.1")],
        [],
    );
    assert_eq!(index.services_at(ip("10.96.0.1")).count(), 2);
    index.delete_service(&name("web"));
    assert_eq!(index.services_at(ip("10.96.0.1")).count(), 1);
}

#[test]
fn a_namespace_exists_while_a_service_lives_in_it() {
    let mut index = mk_index([web()], [mk_slice("orphans", "gone", "gone-1")]);
    assert!(index.namespace_exists("default"));
    assert!(
        !index.namespace_exists("orphans"),
        "slices alone do not make one"
    );
    index.delete_service(&name("web"));
    assert!(!index.namespace_exists("default"));
}

#[test]
fn endpoints_with_a_hostname_are_found_by_address() {
    let named = |slice: &str| {
        let endpoint = mk_endpoint("10.244.1.2").hostname("web-0");
        mk_slice("default", "web", slice)
            .endpoint(endpoint)
            .ready("10.244.1.3")
    };
    let mut index = mk_index([web().headless()], [named("a"), named("b")]);
    let found = |index: &ClusterIndex, a| index.services_with_hostname_at(ip(a)).count();
    assert_eq!(found(&index, "10.244.1.2"), 1);
    assert_eq!(found(&index, "10.244.1.3"), 0, "no hostname");

    index.delete_slice(&SliceName::new("default", "a"));
    assert_eq!(
        found(&index, "10.244.1.2"),
        1,
        "the other slice still lists it"
    );
    index.apply_slice(mk_slice("default", "web", "b").ready("10.244.1.2"));
    assert_eq!(found(&index, "10.244.1.2"), 0, "the hostname went");
}

#[test]
fn nodes_are_found_by_name() {
    let mut index = ClusterIndex::default();
    index.replace_nodes(vec![mk_node("n2").pod_cidr("10.244.2.0/24"), mk_node("n1")]);
    assert_eq!(
        index.nodes().map(|n| &*n.name).collect::<Vec<_>>(),
        ["n1", "n2"]
    );
    assert!(index.node("n2").is_some_and(|n| n.pod_cidrs.len() == 1));
    assert!(index.node("n3").is_none());
}

#[test]
fn endpoints_share_the_name_of_their_node() {
    let on = |slice: &str| {
        let endpoint = mk_endpoint("10.244.1.2").on("n1").in_zone("a");
        mk_slice("default", "web", slice).endpoint(endpoint)
    };
    let mut index = mk_index([], [on("a"), on("b")]);
    let node = |index: &ClusterIndex, at: usize| {
        index.slices(&name("web"))[at].endpoints[0]
            .node
            .clone()
            .expect("a node")
    };
    assert!(std::sync::Arc::ptr_eq(&node(&index, 0), &node(&index, 1)));

    index.replace_slices(vec![]);
    assert!(index.shared.is_empty(), "names nobody uses are forgotten");
}

#[test]
fn changes_are_counted_and_timed() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let mut index = mk_index([web()], [web_1("10.244.1.2").triggered(at(5))]);
    index.take_dirty();
    index.apply_slice(web_1("10.244.1.2").triggered(at(5)));
    index.apply_slice(web_1("10.244.1.3").triggered(at(9)));
    // The same news again, with another change.
    index.apply_slice(web_1("10.244.1.4").triggered(at(9)));
    index.apply_slice(web_1("10.244.1.4"));
    index.apply_service(web().affinity(10));
    let changes = index.take_dirty().changes;
    assert_eq!((changes.services, changes.slices), (1, 3));
    assert_eq!(changes.triggered, [at(9)]);
}

#[test]
fn hints_are_kept_once() {
    let hinted = |name: &str| {
        mk_slice("default", "web", name).endpoint(mk_endpoint("10.244.1.2").for_zone("a"))
    };
    let index = mk_index([], [hinted("web-1"), hinted("web-2")]);
    let slices = index.slices(&name("web"));
    let [first, second] = [0, 1].map(|at| slices[at].endpoints[0].hints.as_ref().expect("hints"));
    assert!(Arc::ptr_eq(first, second));
}
