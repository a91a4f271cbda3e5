//! One row a kind of frontend: where a port answers, and what it is there.

use super::*;
use crate::testing::ip;

/// The frontends as `kind address:port/protocol`, from a node with two IPv4 addresses and one of
/// IPv6.
fn frontends(service: Service, here: &Here) -> Vec<String> {
    let name = service.name.clone();
    let mut index = mk_index([service], []);
    index.apply_node(
        mk_node("node-1")
            .address("172.30.0.11")
            .address("10.0.0.11")
            .address("fd30::11"),
    );
    let line = |(front, answer): (Frontend, Answer)| {
        let limited = if answer.limited { " limited" } else { "" };
        format!(
            "{:?} {}{limited}",
            answer.kind,
            written(&front).trim_end_matches(" ->")
        )
    };
    let ports = ports_of(&index, &name, here);
    let mut lines: Vec<_> = ports
        .into_iter()
        .flat_map(|port| port.frontends)
        .map(line)
        .collect();
    lines.sort();
    lines
}

fn primary() -> Here {
    Here::new("node-1")
}

fn these(list: &[&str]) -> Here {
    Here {
        node_ports: NodePortAddresses::These(list.iter().map(|text| ip(text)).collect()),
        ..primary()
    }
}

fn no_external() -> Here {
    Here {
        external_ips: false,
        ..primary()
    }
}

#[test]
fn each_kind_of_address_is_a_frontend() {
    let rows: [(&str, Service, Here, &[&str]); 9] = [
        (
            "cluster IPs of both families",
            web().cluster_ip("fd00::1"),
            primary(),
            &["ClusterIp 10.96.0.1:80/TCP", "ClusterIp fd00::1:80/TCP"],
        ),
        (
            "a node port at the primary address of each family",
            web().node_port(30080),
            primary(),
            &[
                "ClusterIp 10.96.0.1:80/TCP",
                "NodePort 172.30.0.11:30080/TCP",
                "NodePort fd30::11:30080/TCP",
            ],
        ),
        (
            "a node port at the addresses given",
            web().node_port(30080),
            these(&["10.0.0.11"]),
            &["ClusterIp 10.96.0.1:80/TCP", "NodePort 10.0.0.11:30080/TCP"],
        ),
        (
            "a node port on a node with none of the addresses",
            web().node_port(30080),
            these(&[]),
            &["ClusterIp 10.96.0.1:80/TCP"],
        ),
        (
            "one number on two protocols",
            web().node_port(30053).port("u", Udp, 80).node_port(30053),
            these(&["10.0.0.11"]),
            &[
                "ClusterIp 10.96.0.1:80/TCP",
                "ClusterIp 10.96.0.1:80/UDP",
                "NodePort 10.0.0.11:30053/TCP",
                "NodePort 10.0.0.11:30053/UDP",
            ],
        ),
        (
            "load balancer",
            web().load_balancer_ip("192.0.2.7"),
            primary(),
            &[
                "ClusterIp 10.96.0.1:80/TCP",
                "LoadBalancer 192.0.2.7:80/TCP",
            ],
        ),
        (
            "external IP",
            web().external_ip("192.0.2.9"),
            primary(),
            &["ClusterIp 10.96.0.1:80/TCP", "ExternalIp 192.0.2.9:80/TCP"],
        ),
        (
            "external IPs switched off",
            web().external_ip("192.0.2.9"),
            no_external(),
            &["ClusterIp 10.96.0.1:80/TCP"],
        ),
        (
            "an address that is both is the load balancer's",
            web().external_ip("192.0.2.7").load_balancer_ip("192.0.2.7"),
            primary(),
            &[
                "ClusterIp 10.96.0.1:80/TCP",
                "LoadBalancer 192.0.2.7:80/TCP",
            ],
        ),
    ];
    for (case, service, here, wanted) in rows {
        assert_eq!(frontends(service, &here), wanted, "{case}");
    }
}

#[test]
fn source_ranges_close_the_load_balancer_of_their_family_alone() {
    let service = web()
        .node_port(30080)
        .load_balancer_ip("192.0.2.7")
        .load_balancer_ip("2001:db8::7")
        .external_ip("192.0.2.9")
        .source_range("203.0.113.0/24");
    assert_eq!(
        frontends(service, &primary()),
        [
            "ClusterIp 10.96.0.1:80/TCP",
            "ExternalIp 192.0.2.9:80/TCP",
            "LoadBalancer 192.0.2.7:80/TCP limited",
            "LoadBalancer 2001:db8::7:80/TCP",
            "NodePort 172.30.0.11:30080/TCP",
            "NodePort fd30::11:30080/TCP",
        ]
    );
}

#[test]
fn who_is_in_the_source_ranges() {
    let ranges = |service: Service| {
        let name = service.name.clone();
        let mut index = mk_index([service], []);
        index.apply_node(mk_node("node-1").address("172.30.0.11"));
        let ports = ports_of(&index, &name, &primary());
        let text: Vec<_> = ports[0]
            .source_ranges
            .iter()
            .map(ToString::to_string)
            .collect();
        text.join(" ")
    };
    let balanced = || web().load_balancer_ip("192.0.2.7");
    let rows = [
        ("no ranges", balanced(), ""),
        ("no load balancer", web().source_range("10.0.0.0/8"), ""),
        (
            "this node is not in them",
            balanced()
                .source_range("203.0.113.0/24")
                .source_range("2001:db8::/32"),
            "203.0.113.0/24 2001:db8::/32",
        ),
        (
            "this node is, and so is the address from which it reaches itself",
            balanced().source_range("172.30.0.0/16"),
            "172.30.0.0/16 192.0.2.7/32",
        ),
    ];
    for (case, service, wanted) in rows {
        assert_eq!(ranges(service), wanted, "{case}");
    }
}

#[test]
fn a_port_keeps_its_affinity() {
    let seconds = |service: Service| {
        let index = mk_index([service], []);
        ports_of(&index, &web().name, &primary())[0].affinity_seconds
    };
    assert_eq!(seconds(web()), 0);
    assert_eq!(seconds(web().affinity(60)), 60);
}

#[test]
fn addresses_of_others_are_told_that_are_on_a_link_of_the_node() {
    let here = Here {
        on_link: vec!["172.30.0.0/24".parse().expect("a prefix")],
        ..primary()
    };
    let service = web()
        .node_port(30080)
        .external_ip("172.30.0.77")
        .external_ip("192.0.2.9")
        .load_balancer_ip("172.30.0.78");
    let name = service.name.clone();
    let mut index = mk_index([service], []);
    index.apply_node(mk_node("node-1").address("172.30.0.11"));
    let ports = ports_of(&index, &name, &here);
    let told = ports[0]
        .frontends
        .iter()
        .filter(|(_, answer)| answer.on_link);
    let told: Vec<_> = told.map(|(frontend, _)| frontend.address).collect();
    assert_eq!(told, [ip("172.30.0.77"), ip("172.30.0.78")]);
}
