//! One row a case of the two traffic policies: where they hold, what happens when they leave
//! nothing, and who is exempt.

use super::*;

const HERE: &str = " 10.244.1.2:8080";
const BOTH: &str = " 10.244.1.2:8080 10.244.2.2:8080";
const THERE: &str = " 10.244.2.2:8080";

/// `web` as a load balancer's Service with every kind of address.
fn exposed() -> Service {
    web()
        .node_port(30080)
        .load_balancer_ip("192.0.2.7")
        .external_ip("192.0.2.9")
}

fn here() -> Endpoint {
    mk_endpoint("10.244.1.2").on("node-1")
}

fn there() -> Endpoint {
    mk_endpoint("10.244.2.2").on("node-2")
}

fn ends<const N: usize>(endpoints: [Endpoint; N]) -> EndpointSlice {
    endpoints
        .into_iter()
        .fold(slice("a"), EndpointSlice::endpoint)
}

/// Inside and outside of the cluster IP, then of the other frontends, which are all alike.
fn sides(service: Service, slice: EndpointSlice) -> [String; 4] {
    let name = service.name.clone();
    let mut index = mk_index([service], [slice]);
    index.apply_node(mk_node("node-1").address("172.30.0.11"));
    let ports = ports_of(&index, &name, &Here::new("node-1"));
    let [port] = &ports[..] else {
        panic!("one port")
    };
    let (own, others): (Vec<_>, Vec<_>) = port
        .frontends
        .values()
        .partition(|answer| answer.kind == FrontendKind::ClusterIp);
    assert_eq!((own.len(), others.len()), (1, 3));
    for other in &others {
        assert_eq!(
            (&other.inside, &other.outside),
            (&others[0].inside, &others[0].outside)
        );
    }
    [
        &own[0].inside,
        &own[0].outside,
        &others[0].inside,
        &others[0].outside,
    ]
    .map(side)
}

fn check(rows: &[(&str, Service, EndpointSlice, [&str; 4])]) {
    for (case, service, slice, wanted) in rows {
        assert_eq!(sides(service.clone(), slice.clone()), *wanted, "{case}");
    }
}

#[test]
fn a_policy_holds_for_its_own_traffic() {
    let both = || ends([here(), there()]);
    check(&[
        ("Cluster and Cluster", exposed(), both(), [BOTH; 4]),
        (
            "internal Local: the cluster IP",
            exposed().internal_local(),
            both(),
            [HERE, HERE, BOTH, BOTH],
        ),
        (
            "external Local: the others, for clients from outside",
            exposed().external_local(),
            both(),
            [BOTH, BOTH, BOTH, HERE],
        ),
        (
            "both",
            exposed().internal_local().external_local(),
            both(),
            [HERE, HERE, BOTH, HERE],
        ),
    ]);
}

#[test]
fn what_a_policy_forbids_is_dropped_and_what_nobody_serves_refused() {
    const DROP: &str = " dropped";
    let away = || ends([there()]);
    check(&[
        (
            "internal Local, none here",
            exposed().internal_local(),
            away(),
            [DROP, DROP, THERE, THERE],
        ),
        (
            "external Local, none here: from inside as Cluster",
            exposed().external_local(),
            away(),
            [THERE, THERE, THERE, DROP],
        ),
        (
            "both Local, none here",
            exposed().internal_local().external_local(),
            away(),
            [DROP, DROP, THERE, DROP],
        ),
        ("none at all", exposed(), slice("a"), [""; 4]),
        (
            "none at all, both Local",
            exposed().internal_local().external_local(),
            slice("a"),
            [""; 4],
        ),
        (
            "none that serves",
            exposed().external_local(),
            ends([here().unready(), there().unready()]),
            [""; 4],
        ),
        (
            "an endpoint outside the cluster is on no node",
            exposed().external_local(),
            ends([mk_endpoint("10.244.2.2")]),
            [THERE, THERE, THERE, DROP],
        ),
    ]);
}

#[test]
fn each_scope_falls_back_to_its_own_draining_endpoints() {
    let local = || exposed().internal_local().external_local();
    check(&[
        (
            "the last one here drains while another node's is ready",
            local(),
            ends([here().draining(), there()]),
            [HERE, HERE, THERE, HERE],
        ),
        (
            "all drain",
            local(),
            ends([here().draining(), there().draining()]),
            [HERE, HERE, BOTH, HERE],
        ),
        (
            "one here is ready, one drains",
            local(),
            ends([here(), mk_endpoint("10.244.1.3").on("node-1").draining()]),
            [HERE; 4],
        ),
        (
            "only another node's drains",
            local(),
            ends([there().draining()]),
            [" dropped", " dropped", THERE, " dropped"],
        ),
        (
            "drained and failing is out of both scopes",
            local(),
            ends([here().draining().unready(), there().draining().unready()]),
            [""; 4],
        ),
    ]);
}

#[test]
fn who_is_masqueraded() {
    let masqueraded = |service: Service| {
        let name = service.name.clone();
        let mut index = mk_index([service], [ends([here()])]);
        index.apply_node(mk_node("node-1").address("172.30.0.11"));
        let ports = ports_of(&index, &name, &Here::new("node-1"));
        let answers = ports
            .into_iter()
            .flat_map(|port| port.frontends.into_values());
        let flag = |answer: Answer| (answer.kind, answer.masquerade);
        answers.map(flag).collect::<BTreeMap<_, _>>()
    };
    use FrontendKind::{ClusterIp, ExternalIp, LoadBalancer, NodePort};
    let all = |own, other| {
        let kinds = [LoadBalancer, NodePort, ExternalIp].map(|kind| (kind, other));
        BTreeMap::from_iter([(ClusterIp, own)].into_iter().chain(kinds))
    };
    assert_eq!(masqueraded(exposed()), all(true, true));
    assert_eq!(masqueraded(exposed().external_local()), all(true, false));
    assert_eq!(masqueraded(exposed().internal_local()), all(false, true));
}

#[test]
fn local_ready_endpoints_are_counted_for_load_balancers() {
    let count = |slices: Vec<EndpointSlice>| {
        let index = mk_index([exposed()], slices);
        local_ready(&index, &ServiceName::new("default", "web"), "node-1")
    };
    let v6 = slice("v6")
        .v6()
        .endpoint(mk_endpoint("fd00::2").on("node-1"));
    let rows = [
        ("none", vec![], 0),
        ("one of two is here", vec![ends([here(), there()])], 1),
        (
            "draining does not count",
            vec![ends([here().draining()])],
            0,
        ),
        (
            "in two slices",
            vec![ends([here()]), slice("b").endpoint(here())],
            1,
        ),
        ("of both families", vec![ends([here()]), v6], 1),
    ];
    for (case, slices, wanted) in rows {
        assert_eq!(count(slices), wanted, "{case}");
    }
}
