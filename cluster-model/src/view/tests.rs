//! One row a rule of which endpoints stand behind which frontend.

mod addresses;
mod hints;
mod policies;

use super::*;
use crate::name::Protocol::{Sctp, Tcp, Udp};
use crate::object::{Endpoint, EndpointSlice};
use crate::testing::{mk_endpoint, mk_index, mk_node, mk_service, mk_slice};

/// `default/web` on 10.96.0.1, one unnamed TCP port 80.
fn web() -> Service {
    mk_service("default", "web")
        .cluster_ip("10.96.0.1")
        .port("", Tcp, 80)
}

fn slice(name: &str) -> EndpointSlice {
    mk_slice("default", "web", name).port("", Tcp, 8080)
}

/// Frontends and their endpoints as text, a line a frontend: `10.96.0.1:80/TCP -> 10.244.1.2:8080 …`.
fn view(service: Service, slices: impl IntoIterator<Item = EndpointSlice>) -> Vec<String> {
    let name = service.name.clone();
    let index = mk_index([service, mk_service("default", "other")], slices);
    let ports = ports_of(&index, &name, &Here::new("node-1"));
    let frontends: BTreeMap<_, _> = ports.into_iter().flat_map(|port| port.frontends).collect();
    let line = |(front, answer): (Frontend, Answer)| {
        assert_eq!(answer.inside, answer.outside);
        format!("{}{}", written(&front), side(&answer.inside))
    };
    frontends.into_iter().map(line).collect()
}

fn written(front: &Frontend) -> String {
    let Frontend {
        address,
        port,
        protocol,
    } = front;
    format!("{address}:{port}/{protocol} ->")
}

fn side(behind: &Behind) -> String {
    let ends = behind
        .endpoints
        .iter()
        .map(|e| format!(" {}:{}", e.address, e.port));
    let ends: String = ends.collect();
    match behind.forbidden {
        true => format!("{ends} dropped"),
        false => ends,
    }
}

/// Checks which endpoints `web` has behind it, given the slices of each row.
fn check<const N: usize>(rows: [(&str, Vec<EndpointSlice>, &str); N]) {
    for (case, slices, wanted) in rows {
        assert_eq!(
            view(web(), slices),
            [format!("10.96.0.1:80/TCP ->{wanted}")],
            "{case}"
        );
    }
}

#[test]
fn ready_endpoints_take_the_traffic_or_else_those_that_drain() {
    let unready = || mk_endpoint("10.244.1.3").unready();
    let draining = || mk_endpoint("10.244.1.9").draining();
    let drained = || mk_endpoint("10.244.1.8").draining().unready();
    let serving = || Endpoint {
        terminating: false,
        ..draining()
    };
    let one = || slice("a").ready("10.244.1.2");
    check([
        ("no slice", vec![], ""),
        ("a slice without endpoints", vec![slice("a")], ""),
        ("one ready", vec![one()], " 10.244.1.2:8080"),
        (
            "not ready is out",
            vec![one().endpoint(unready())],
            " 10.244.1.2:8080",
        ),
        (
            "draining is out while another is ready",
            vec![slice("b").endpoint(draining()), one()],
            " 10.244.1.2:8080",
        ),
        (
            "the last one drains",
            vec![
                slice("a")
                    .endpoint(draining())
                    .endpoint(drained())
                    .endpoint(unready()),
            ],
            " 10.244.1.9:8080",
        ),
        (
            "drained and failing is out",
            vec![slice("a").endpoint(drained())],
            "",
        ),
        (
            "serving but not ready is out",
            vec![slice("a").endpoint(serving())],
            "",
        ),
    ]);
}

#[test]
fn slices_are_merged() {
    let draining = mk_endpoint("10.244.1.2").draining();
    let other_port = mk_slice("default", "web", "b")
        .port("", Tcp, 9090)
        .ready("10.244.1.2");
    let one = || slice("a").ready("10.244.1.2");
    check([
        (
            "sorted, whatever the order",
            vec![slice("a").ready("10.244.2.2").ready("10.244.1.2")],
            " 10.244.1.2:8080 10.244.2.2:8080",
        ),
        (
            "two slices",
            vec![one(), slice("b").ready("10.244.2.2")],
            " 10.244.1.2:8080 10.244.2.2:8080",
        ),
        (
            "the same endpoint twice",
            vec![one(), slice("b").ready("10.244.1.2")],
            " 10.244.1.2:8080",
        ),
        (
            "ready in one of two listings",
            vec![one(), slice("b").endpoint(draining)],
            " 10.244.1.2:8080",
        ),
        (
            "two port numbers of one name",
            vec![one(), other_port],
            " 10.244.1.2:8080 10.244.1.2:9090",
        ),
    ]);
}

#[test]
fn ready_and_terminating_is_ready() {
    // What `publishNotReadyAddresses` makes of a pod that drains.
    let published = Endpoint {
        terminating: true,
        ..mk_endpoint("10.244.1.2")
    };
    let slices = [slice("a").endpoint(published).ready("10.244.1.3")];
    assert_eq!(
        view(web(), slices),
        ["10.96.0.1:80/TCP -> 10.244.1.2:8080 10.244.1.3:8080"]
    );
}

#[test]
fn ports_match_by_name_and_protocol() {
    let service = mk_service("default", "web")
        .cluster_ip("10.96.0.1")
        .port("http", Tcp, 80)
        .port("dns", Udp, 53)
        .port("dns-tcp", Tcp, 53)
        .port("diameter", Sctp, 3868)
        .port("absent", Tcp, 81);
    let slice = mk_slice("default", "web", "a")
        .port("http", Tcp, 8080)
        .port("http", Udp, 9999)
        .port("dns", Udp, 5353)
        .port("dns-tcp", Tcp, 5354)
        .port("diameter", Sctp, 3868)
        .port("", Tcp, 81)
        .ready("10.244.1.2");
    let wanted = [
        "10.96.0.1:53/TCP -> 10.244.1.2:5354",
        "10.96.0.1:53/UDP -> 10.244.1.2:5353",
        "10.96.0.1:80/TCP -> 10.244.1.2:8080",
        "10.96.0.1:81/TCP ->",
        "10.96.0.1:3868/SCTP -> 10.244.1.2:3868",
    ];
    assert_eq!(view(service, [slice]), wanted);
}

#[test]
fn families_do_not_mix() {
    let service = web().cluster_ip("fd00::1");
    let v6 = slice("v6").v6().ready("fd00:1::2");
    let rows = [
        (
            vec![slice("v4").ready("10.244.1.2")],
            [" 10.244.1.2:8080", ""],
        ),
        (vec![v6.clone()], ["", " fd00:1::2:8080"]),
        (
            vec![
                slice("v4").endpoint(mk_endpoint("10.244.1.2").draining()),
                v6,
            ],
            [" 10.244.1.2:8080", " fd00:1::2:8080"],
        ),
    ];
    for (slices, [v4, v6]) in rows {
        let wanted = [
            format!("10.96.0.1:80/TCP ->{v4}"),
            format!("fd00::1:80/TCP ->{v6}"),
        ];
        assert_eq!(view(service.clone(), slices), wanted);
    }
}

#[test]
fn services_of_others_have_no_frontends() {
    let rows = [
        (
            "headless",
            mk_service("default", "web").port("", Tcp, 80).headless(),
        ),
        (
            "ExternalName",
            mk_service("default", "web").external_name("example.com"),
        ),
        ("another proxy's", web().other_proxy()),
        (
            "no address yet",
            mk_service("default", "web").port("", Tcp, 80),
        ),
        (
            "no port",
            mk_service("default", "web").cluster_ip("10.96.0.1"),
        ),
    ];
    for (case, service) in rows {
        let slices = [slice("a").ready("10.244.1.2")];
        assert_eq!(view(service, slices), [""; 0], "{case}");
    }
    let index = mk_index([], [slice("a").ready("10.244.1.2")]);
    let unknown = ServiceName::new("default", "web");
    assert!(
        ports_of(&index, &unknown, &Here::new("node-1")).is_empty(),
        "a slice without its Service"
    );
}

#[test]
fn a_slice_of_another_service_does_not_leak_in() {
    let stranger = mk_slice("default", "other", "x")
        .port("", Tcp, 8080)
        .ready("10.244.9.9");
    let twin = mk_slice("prod", "web", "y")
        .port("", Tcp, 8080)
        .ready("10.244.9.8");
    assert_eq!(view(web(), [stranger, twin]), ["10.96.0.1:80/TCP ->"]);
}
