//! Nodes on a subnet each, behind a router that knows no pod.

mod stage;

use std::net::SocketAddr;
use std::process::Command;

use lab::network::{Families, Network, Subnets};
use serde_json::Value;
use stage::{PATIENCE, Running, output, product_on};

const PORT: u16 = 18080;

#[test]
fn nodes_and_the_outside_client_reach_each_other_through_the_router() {
    let network = Network {
        families: Families::Dual,
        subnets: Subnets::Separate,
        mtu: None,
    };
    let Some(lab) = product_on("subnets", 2, network, &["ip"]) else {
        return;
    };
    let serve = ["flatnet-demo", "serve", "--port", &PORT.to_string()];
    let _server = Running::start(lab.on_node("node2", &serve));
    for address in lab.node_addresses("node2") {
        let on_link = output(lab.on_node("node1", &["ip", "route", "get", &address.to_string()]));
        assert!(on_link.contains(" via "), "{on_link}");
        let url = format!("http://{}", SocketAddr::new(address, PORT));
        let get = ["flatnet-demo", "get", &url];
        let node1 = lab.node_addresses("node1");
        let own = node1.iter().find(|own| own.is_ipv4() == address.is_ipv4());
        let seen = |make: &dyn Fn() -> Command| {
            let look = || {
                let said = make().output().expect("it runs");
                Ok(said.status.success().then_some(said.stdout))
            };
            let text = lab.wait("the server", PATIENCE, look).expect("an answer");
            let answer: Value = serde_json::from_slice(&text).expect("an answer");
            let client = answer["client"].as_str().expect("a client");
            client.parse::<SocketAddr>().expect("an address").ip()
        };
        assert_eq!(Some(&seen(&|| lab.on_node("node1", &get))), own);
        let client = seen(&|| lab.on_client(&get)).to_string();
        assert!(
            client.ends_with(":200") || client.ends_with(".200"),
            "{client}"
        );
    }
}
