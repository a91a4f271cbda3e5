//! What the agent's options say about where Services answer: every option, from outside, from pods
//! and from nodes, in both families.

mod stage;

use std::net::SocketAddr;

use lab::network::Network;
use serde_json::json;
use stage::askers::From;
use stage::cast::{CLIENTS, Cast, End, Row};
use stage::{agents_with, output, product_of};

const ROWS: [Row; 2] = [
    ("--nodeport-addresses", node_port_addresses),
    ("--external-ips", external_ips),
];

/// Addresses of node1's, beside its node addresses.
const OTHERS: [&str; 2] = ["192.0.2.61", "2001:db8:61::1"];

#[test]
fn every_row_about_options() {
    let options = "--nodeport-addresses 192.0.2.0/24,2001:db8:61::/64 --external-ips false";
    let Some(agents) = agents_with(options) else {
        return;
    };
    let network = Network::default();
    let lab = product_of(agents.path(), "rows-options", 3, network, &["kubectl"]);
    if let Some(lab) = lab {
        Cast::on(lab).show(&ROWS);
    }
}

/// The interfaces' addresses within the CIDRs, whenever they come, and no other.
fn node_port_addresses(cast: &Cast) {
    cast.service_at("within", Some(30_140), json!({"type": "NodePort"}));
    cast.ends("within", &[End::ready(1), End::ready(2)]);
    let vias = cast.lab.node_addresses("node1");
    for (address, via) in OTHERS.into_iter().zip(vias) {
        let family = if via.is_ipv4() { "-4" } else { "-6" };
        let bits = if via.is_ipv4() { "32" } else { "128" };
        let prefix = format!("{address}/{bits}");
        let hold = ["ip", "address", "add", &prefix, "dev", "lo"];
        output(cast.lab.on_node("node1", &hold));
        let via = via.to_string();
        let route = ["ip", family, "route", "add", &prefix, "via", &via];
        output(cast.lab.on_client(&route));
        for node in ["node2", "node3"] {
            output(cast.lab.on_node(node, &route));
        }
    }
    let askers = [
        From::Outside,
        From::Pod("node1"),
        From::Pod("node3"),
        From::Node("node1"),
        From::Node("node2"),
    ];
    for address in OTHERS {
        let at = SocketAddr::new(address.parse().expect("an address"), 30_140);
        askers
            .into_iter()
            .for_each(|from| cast.until(from, at, &[1, 2]));
    }
    for at in cast.at("node1", 30_140) {
        askers
            .into_iter()
            .for_each(|from| cast.until_refused(from, at));
    }
}

/// What the switch turns off is nobody's; the load balancer's address beside it is served.
fn external_ips(cast: &Cast) {
    let (external, balancer) = ("198.51.100.51", "198.51.100.52");
    let fields = json!({"type": "LoadBalancer", "externalIPs": [external]});
    cast.service_at("off", Some(30_141), fields);
    cast.ends("off", &[End::ready(1)]);
    cast.balance("off", json!([{"ip": balancer}]));
    let at = |ip: &str| SocketAddr::new(ip.parse().expect("an address"), 80);
    for from in CLIENTS {
        cast.until(from, at(balancer), &[1]);
        cast.until_nobody(from, at(external));
    }
}
