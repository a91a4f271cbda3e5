//! The three maps by table: who is the node, what is inside, with what address one goes out.

use cluster_model::Here;
use cluster_model::testing::mk_node;

use super::*;
use crate::plan::interfaces::mk_interface;

fn nodes() -> [Node; 2] {
    [
        mk_node("node-1")
            .address("172.30.0.11")
            .address("fd00::11")
            .address("172.30.0.111")
            .pod_cidr("10.244.1.0/24"),
        mk_node("node-2")
            .address("172.30.0.12")
            .pod_cidr("10.244.2.0/24")
            .pod_cidr("fd00:10:244:2::/64"),
    ]
}

fn interfaces() -> Interfaces {
    let all = [
        mk_interface("lo", 1, &["127.0.0.1/8", "::1/128"]),
        mk_interface(
            "eth0",
            2,
            &[
                "10.0.0.5/24",
                "172.30.0.11/24",
                "fe80::2/64",
                "2001:db8::5/64",
                "fd00::11/64",
            ],
        ),
        mk_interface("eth1", 3, &["192.168.0.2/24"]),
        mk_interface("fn0123456789ab", 4, &["169.254.1.1/32"]),
    ];
    all.map(|one| (one.name.clone(), one)).into()
}

fn maps(masquerade: &Masquerade) -> NodeMaps {
    let (nodes, interfaces) = (nodes(), interfaces());
    let uplinks = ["eth0", "eth1"].map(|name| interfaces[name].clone());
    wanted(&Facts {
        interfaces: &interfaces,
        uplinks: &uplinks,
        nodes: &nodes,
        own: &nodes[0],
        service_cidrs: &[
            "10.96.0.0/16".parse().unwrap(),
            "fd00:10:96::/112".parse().unwrap(),
        ],
        node_ports: &Here::new("node-1").node_port_addresses(Some(&nodes[0])),
        masquerade,
        this: ThisNode::new(4, true),
    })
}

fn masquerade() -> Masquerade {
    let ports = Ports {
        first: 61_000,
        last: 65_535,
    };
    Masquerade {
        ports: Some(ports),
        exclude: vec!["192.168.7.9/16".parse().unwrap()],
    }
}

fn lines(operations: &[Operation]) -> Vec<String> {
    operations.iter().map(ToString::to_string).collect()
}

#[test]
fn a_fresh_node_enters_everything() {
    let all = lines(&diff(&NodeMaps::default(), &maps(&masquerade())));
    let mut expected = vec![
        "enter 10.0.0.5 as an address of this node",
        "enter 127.0.0.1 as an address of this node",
        "enter 172.30.0.11 as an address of this node, with NodePorts",
        "enter 192.168.0.2 as an address of this node",
        "enter ::1 as an address of this node",
        "enter 2001:db8::5 as an address of this node",
        "enter fd00::11 as an address of this node, with NodePorts",
        "fe80::/10 is inside the cluster",
        "ff00::/8 is inside the cluster",
        "10.244.1.0/24 is inside the cluster",
        "10.96.0.0/16 is of cluster IPs",
        "fd00:10:96::/112 is of cluster IPs",
        "10.244.2.0/24 is inside the cluster",
        "169.254.0.0/16 is inside the cluster",
        "172.30.0.11/32 is inside the cluster",
        "172.30.0.111/32 is inside the cluster",
        "172.30.0.12/32 is inside the cluster",
        "192.168.0.0/16 is inside the cluster",
        "224.0.0.0/4 is inside the cluster",
        "fd00::11/128 is inside the cluster",
        "fd00:10:244:2::/64 is inside the cluster",
        "this node's network namespace is 4, the socket path on",
        "uplink 2 masquerades with 172.30.0.11 and fd00::11, ports 61000 to 65535",
        "uplink 3 masquerades with 192.168.0.2, ports 61000 to 65535",
    ];
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.sort_unstable();
    expected.sort_unstable();
    assert_eq!(all, expected);
}

#[test]
fn what_is_right_stays_and_what_is_gone_is_removed_last() {
    let wanted = maps(&masquerade());
    assert_eq!(diff(&wanted, &wanted), []);
    let ip = |text: &str| Ip::from(text.parse::<IpAddr>().unwrap());
    let mut observed = wanted.clone();
    observed
        .addresses
        .insert(ip("172.30.0.11"), NodeAddress::new(false));
    observed
        .addresses
        .insert(ip("10.9.9.9"), NodeAddress::new(false));
    observed
        .inside
        .insert(cidr("10.244.9.0/24".parse().unwrap()), Inside::CLUSTER);
    // As an agent without the ServiceCIDR had it, whose range was excluded from masquerade.
    observed
        .inside
        .insert(cidr("10.96.0.0/16".parse().unwrap()), Inside::CLUSTER);
    observed.inside.remove(&cidr("ff00::/8".parse().unwrap()));
    observed.uplinks.insert(9, Uplink::default());
    assert_eq!(
        lines(&diff(&observed, &wanted)),
        [
            "enter 172.30.0.11 as an address of this node, with NodePorts",
            "ff00::/8 is inside the cluster",
            "10.96.0.0/16 is of cluster IPs",
            "10.9.9.9 is no address of this node any more",
            "10.244.9.0/24 is no more inside the cluster",
            "interface 9 is no uplink any more",
        ]
    );
}

#[test]
fn without_masquerade_an_uplink_has_no_address() {
    let wanted = maps(&Masquerade::default());
    assert_eq!(wanted.uplinks[&2], Uplink::default());
    let all = lines(&diff(&NodeMaps::default(), &wanted));
    assert!(all.contains(&"uplink 2 masquerades nothing".to_owned()));
}
