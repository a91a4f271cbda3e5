//! One row a reason.

use super::*;
use crate::name::Protocol::{Tcp, Udp};
use crate::testing::{mk_endpoint, mk_index, mk_node, mk_service, mk_slice};
use crate::view::ports_of;

fn web() -> Service {
    mk_service("shop", "web")
        .cluster_ip("10.96.0.1")
        .port("http", Tcp, 80)
}

fn slice(name: &str) -> EndpointSlice {
    mk_slice("shop", "web", name).port("http", Tcp, 8080)
}

fn here() -> Here {
    Here::new("node-1")
}

/// The index with node-1 in zone `a`.
fn index(service: Service, slices: Vec<EndpointSlice>) -> ClusterIndex {
    let mut index = mk_index([service], slices);
    index.apply_node(mk_node("node-1").in_zone("a"));
    index
}

#[test]
fn each_endpoint_has_its_reason() {
    let ready = |address: &str| mk_endpoint(address).on("node-1");
    let rows = [
        (vec![ready("10.244.1.1")], "Takes"),
        (vec![ready("10.244.1.1").unready()], "NotReady"),
        (
            vec![ready("10.244.1.1"), ready("10.244.1.2").draining()],
            "Takes Terminating",
        ),
        (vec![ready("10.244.1.1").draining()], "Drains"),
        (
            vec![
                ready("10.244.1.1").for_zone("a"),
                ready("10.244.1.2").for_zone("b"),
            ],
            "Takes Hinted",
        ),
    ];
    for (endpoints, expected) in rows {
        let slice = endpoints
            .into_iter()
            .fold(slice("s"), EndpointSlice::endpoint);
        let index = index(web(), vec![slice]);
        let found = candidates(&index, &web(), &web().ports[0], Family::V4, &here());
        let seen: Vec<_> = found
            .iter()
            .map(|one| format!("{:?}", one.cluster))
            .collect();
        assert_eq!(seen.join(" "), expected);
        let takes = found.iter().filter(|one| one.cluster.takes());
        let takes: Vec<_> = takes.map(|one| one.at).collect();
        let ports = ports_of(&index, &web().name, &here());
        let answer = ports[0].frontends.values().next().expect("a frontend");
        assert_eq!(takes, answer.inside.endpoints[..], "as the view has it");
        assert!(found.iter().all(|one| one.slice == "s"));
    }
}

#[test]
fn under_the_policy_local_those_of_other_nodes_do_not_count() {
    let slice = slice("s")
        .endpoint(mk_endpoint("10.244.1.1").on("node-1"))
        .endpoint(mk_endpoint("10.244.2.1").on("node-2"));
    let index = index(web(), vec![slice]);
    let found = candidates(&index, &web(), &web().ports[0], Family::V4, &here());
    let local: Vec<_> = found.iter().map(|one| one.local).collect();
    assert_eq!(local, [Fate::Takes, Fate::Elsewhere]);
}

#[test]
fn nobody_has_a_reason() {
    let local = (Family::V4, TrafficPolicy::Local);
    let cluster = (Family::V4, TrafficPolicy::Cluster);
    let other = mk_slice("shop", "web", "s").port("http", Udp, 53);
    let rows = [
        (web(), vec![slice("s").ready("10.244.1.1")], cluster, None),
        (web(), vec![], cluster, Some("no-endpoint")),
        (web(), vec![slice("s")], cluster, Some("no-endpoint")),
        (
            web(),
            vec![slice("s").ready("10.244.1.1")],
            (Family::V6, TrafficPolicy::Cluster),
            Some("no-endpoint"),
        ),
        (
            web(),
            vec![other.ready("10.244.1.1")],
            cluster,
            Some("no-port"),
        ),
        (
            web(),
            vec![slice("s").endpoint(mk_endpoint("10.244.1.1").unready())],
            cluster,
            Some("none-ready"),
        ),
        (
            web(),
            vec![slice("s").endpoint(mk_endpoint("10.244.2.1").on("node-2"))],
            local,
            Some("none-here"),
        ),
        (web().other_proxy(), vec![], cluster, Some("other-proxy")),
        (web().headless(), vec![], cluster, Some("headless")),
        (
            web().external_name("example.com"),
            vec![],
            cluster,
            Some("external-name"),
        ),
    ];
    for (service, slices, side, expected) in rows {
        let port = service.ports[0].clone();
        let name = service.name.clone();
        let index = index(service, slices);
        let found = nobody(&index, &name, &port, side, &here());
        assert_eq!(found.as_ref().map(Nobody::code), expected, "{found:?}");
    }
    let gone = ServiceName::new("shop", "gone");
    let found = nobody(
        &index(web(), vec![]),
        &gone,
        &web().ports[0],
        cluster,
        &here(),
    );
    assert_eq!(found, Some(Nobody::Unknown));
}

#[test]
fn a_missing_port_is_named_with_those_that_there_are() {
    let slice = mk_slice("shop", "web", "s")
        .port("metrics", Tcp, 9090)
        .port("", Udp, 53)
        .ready("10.244.1.1");
    let index = index(web(), vec![slice]);
    let side = (Family::V4, TrafficPolicy::Cluster);
    let found = nobody(&index, &web().name, &web().ports[0], side, &here());
    let words = found.expect("nobody").to_string();
    assert_eq!(
        words,
        "no endpoint has the port http/TCP; the slices offer (unnamed)/UDP, metrics/TCP"
    );
}
