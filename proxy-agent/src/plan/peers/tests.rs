//! The ways to the peers, by table.

use cluster_model::testing::{ip, mk_node};
use proxy_abi::ownership::{TUNNEL_PORT, TUNNEL_V4, TUNNEL_V6};

use super::*;
use crate::plan::interfaces::mk_interface;

/// A node on eth0 with 172.30.0.11 and fd00::11, pods of both families.
fn node1() -> Node {
    mk_node("node-1")
        .address("172.30.0.11")
        .address("fd00::11")
        .pod_cidr("10.244.1.0/24")
        .pod_cidr("fd00:244:1::/64")
}

fn near() -> Node {
    mk_node("near")
        .address("172.30.0.12")
        .address("fd00::12")
        .pod_cidr("10.244.2.0/24")
        .pod_cidr("fd00:244:2::/64")
}

fn far() -> Node {
    mk_node("far")
        .address("172.31.0.13")
        .address("fd01::13")
        .pod_cidr("10.244.3.0/24")
        .pod_cidr("fd00:244:3::/64")
}

struct Asked<'a> {
    routing: Routing,
    mtu: u32,
    own: Node,
    peers: &'a [Node],
}

fn asked(routing: Routing, peers: &[Node]) -> Asked<'_> {
    Asked {
        routing,
        mtu: 1500,
        own: node1(),
        peers,
    }
}

fn found(asked: Asked<'_>) -> (Ways, Vec<String>) {
    let mut eth0 = mk_interface("eth0", 2, &["172.30.0.11/24", "fd00::11/64"]);
    eth0.mtu = asked.mtu;
    let uplinks = [eth0.clone()];
    let nodes: Vec<Node> = [asked.own.clone()]
        .into_iter()
        .chain(asked.peers.iter().cloned())
        .collect();
    let (ways, unreachable) = ways(&Facts {
        nodes: &nodes,
        own: &nodes[0],
        interfaces: &Interfaces::from([("eth0".to_owned(), eth0)]),
        uplinks: &uplinks,
        routing: asked.routing,
        port: TUNNEL_PORT,
    });
    let unreachable = unreachable.iter().map(ToString::to_string).collect();
    (ways, unreachable)
}

fn lines(ways: &Ways) -> Vec<String> {
    let line = |(to, via): (&Destination, &Via)| {
        let hop = Mac::of_node("far").link_local().to_string();
        let gateway = via.gateway.to_string().replace(&hop, "far's");
        let source = via.source.map(|source| format!(" from {source}"));
        format!(
            "{to} {gateway} {}{}",
            via.interface,
            source.unwrap_or_default()
        )
    };
    ways.routes.iter().map(line).collect()
}

#[test]
fn each_peer_has_its_own_way() {
    let (ways, unreachable) = found(asked(Routing::Auto, &[near(), far()]));
    assert_eq!(unreachable, [""; 0]);
    assert_eq!(
        lines(&ways),
        [
            "10.244.2.0/24 172.30.0.12 eth0",
            "10.244.3.0/24 10.244.3.0 flatnet-vxlan4 from 172.30.0.11",
            "fd00:244:2::/64 fd00::12 eth0",
            "fd00:244:3::/64 far's flatnet-vxlan4 from fd00::11",
            "172.31.0.13/32 for pods 10.244.3.0 flatnet-vxlan4",
            "fd01::13/128 for pods far's flatnet-vxlan4",
        ]
    );
    let rules: Vec<String> = ways.rules.iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["10.244.1.0/24", "fd00:244:1::/64"]);
    let tunnel = &ways.tunnels[TUNNEL_V4];
    let far = Mac::of_node("far");
    assert_eq!(tunnel.outer, [(far, ip("172.31.0.13"))].into());
    let hops = [(ip("10.244.3.0"), far), (far.link_local().into(), far)];
    assert_eq!(tunnel.neighbours, hops.into());
    assert_eq!(tunnel.device.local, Some(ip("172.30.0.11")));
    assert_eq!(tunnel.device.mac, Mac::of_node("node-1"));
    assert_eq!(ways.tunnels.len(), 1);
}

#[test]
fn routing_allows_one_kind_or_both() {
    let (ways, unreachable) = found(asked(Routing::Direct, &[near(), far()]));
    assert_eq!(ways.routes.len(), 2, "near's");
    assert!(ways.tunnels.is_empty() && ways.rules.is_empty());
    assert_eq!(unreachable.len(), 2, "{unreachable:?}");
    let (ways, unreachable) = found(asked(Routing::Vxlan, &[near(), far()]));
    assert!(ways.routes.values().all(|via| via.interface == TUNNEL_V4));
    assert_eq!(unreachable, [""; 0]);
    let (ways, _) = found(asked(Routing::Auto, &[near()]));
    assert!(ways.tunnels.is_empty() && ways.rules.is_empty());
}

#[test]
fn the_outer_family_is_one_that_both_have() {
    let six = mk_node("six")
        .address("fd01::14")
        .pod_cidr("10.244.4.0/24")
        .pod_cidr("fd00:244:4::/64");
    let (ways, unreachable) = found(asked(Routing::Auto, &[far(), six]));
    assert_eq!(unreachable, [""; 0]);
    assert_eq!(ways.tunnels[TUNNEL_V4].outer.len(), 1);
    assert_eq!(ways.tunnels[TUNNEL_V6].outer.len(), 1);
    assert_eq!(ways.tunnels[TUNNEL_V6].device.local, Some(ip("fd00::11")));
    let nowhere = mk_node("nowhere").pod_cidr("10.244.5.0/24");
    let (ways, unreachable) = found(asked(Routing::Auto, &[nowhere, far()]));
    assert_eq!(ways.routes.len(), 4, "far's");
    assert!(unreachable[0].contains("node nowhere and this node"));
}

#[test]
fn who_has_a_pod_cidr_keeps_it() {
    let thief = mk_node("thief")
        .address("172.30.0.66")
        .pod_cidr("10.244.1.0/24")
        .pod_cidr("fd00:244:2::/64");
    let (ways, unreachable) = found(asked(Routing::Auto, &[near(), thief]));
    assert_eq!(ways.routes.len(), 2, "near's");
    assert_eq!(unreachable.len(), 2, "{unreachable:?}");
}

#[test]
fn a_peer_without_a_pod_cidr_yet_wants_nothing() {
    let new = mk_node("new").address("172.31.0.14");
    let (ways, unreachable) = found(asked(Routing::Auto, &[new]));
    assert_eq!(ways, Ways::default());
    assert_eq!(unreachable, [""; 0]);
}

#[test]
fn a_tunnel_takes_its_overhead_from_the_mtu() {
    let v4_only = mk_node("node-1")
        .address("172.30.0.11")
        .pod_cidr("10.244.1.0/24");
    let v6_only = mk_node("node-1")
        .address("fd00::11")
        .pod_cidr("fd00:244:1::/64");
    let rows = [
        (node1(), 1500, 1450, false),
        (node1(), 9000, 8950, false),
        // IPv6 needs links of 1280 bytes; the outer packets are cut where they must be.
        (node1(), 1280, 1280, true),
        (v4_only, 1280, 1230, false),
        (v6_only, 1500, 1430, false),
    ];
    for (own, mtu, expected, fragments) in rows {
        let peers = [far()];
        let (ways, _) = found(Asked {
            mtu,
            own,
            ..asked(Routing::Auto, &peers)
        });
        let tunnel = ways.tunnels.values().next().expect("a tunnel");
        assert_eq!((tunnel.mtu, tunnel.device.fragments), (expected, fragments));
        let mut eth0 = mk_interface("eth0", 2, &[]);
        eth0.mtu = mtu;
        assert_eq!(ways.mtu(&[eth0]), expected);
    }
}
