//! STATUS says no for everything that an ADD would fail for, and why.

use std::fs;

use serde_json::{Value, json};

use crate::node::{Node, Pod, on_a_node};
use crate::pinned;

/// Code and message of a STATUS that says no, which an ADD at the same moment confirms.
fn refusal(node: &Node) -> (u64, String) {
    let error = node.call("STATUS", "", "").version("1.1.0").fail();
    let pod = Pod::new();
    node.call("ADD", "late", &pod.path()).fail();
    let told = error["msg"].as_str().unwrap().to_owned();
    (error["code"].as_u64().unwrap(), told)
}

fn is_ready(node: &Node) -> bool {
    let status = node.call("STATUS", "", "").version("1.1.0");
    status.succeed() == Value::Null
}

#[test]
fn a_node_is_ready_once_the_agent_has_pinned_what_add_needs() {
    on_a_node(|node| {
        assert!(is_ready(node));
        for pin in ["programs/from_pod", "programs/to_pod", "maps/pods"] {
            fs::remove_file(node.pin(pin)).unwrap();
            let (code, told) = refusal(node);
            assert_eq!(code, 50);
            assert!(
                told.contains(pin) && told.contains("flatnet-agent"),
                "{told}"
            );
            match pin {
                "maps/pods" => pinned::pin_map(&node.pin(pin), 16, 12, 8),
                program => pinned::pin_program(&node.pin(program), pinned::Verdict::Next),
            }
            assert!(is_ready(node));
        }
    });
}

#[test]
fn where_pods_are_left_without_an_agent_they_are_limited() {
    on_a_node(|node| {
        let pod = Pod::new();
        node.add("c1", &pod);
        fs::remove_file(node.pin("programs/from_pod")).unwrap();
        assert_eq!(refusal(node).0, 51);
    });
}

#[test]
fn a_full_range_and_a_full_map() {
    on_a_node(|node| {
        let small = node.with_subnets(&["10.244.9.0/30", "fd00::/64"]);
        let pods: Vec<_> = (0..2).map(|_| Pod::new()).collect();
        small.add("c0", &pods[0]);
        assert!(is_ready(&small));
        small.add("c1", &pods[1]);
        let (code, told) = refusal(&small);
        assert_eq!(code, 50);
        assert!(told.contains("10.244.9.1-10.244.9.2"), "{told}");
        small.del("c1");
        assert!(is_ready(&small));

        fs::remove_file(node.pin("maps/pods")).unwrap();
        pinned::pin_map(&node.pin("maps/pods"), 16, 12, 1);
        node.add("c2", &pods[1]);
        let (code, told) = refusal(node);
        assert_eq!(code, 50);
        assert!(told.contains("maps/pods is full"), "{told}");
    });
}

#[test]
fn a_lease_folder_that_cannot_be() {
    on_a_node(|node| {
        fs::write(node.path("networks"), "a file where the folder should be").unwrap();
        let (code, told) = refusal(node);
        assert_eq!(code, 50);
        assert!(told.contains("networks"), "{told}");
    });
}

#[test]
fn ipv6_that_the_node_does_not_forward() {
    on_a_node(|node| {
        let node = node.with_subnets(&["fd00::/64"]);
        assert!(is_ready(&node));
        fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "0").unwrap();
        let error = node.call("STATUS", "", "").version("1.1.0").fail();
        assert_eq!(error["code"], 50);
        let told = error["msg"].as_str().unwrap();
        assert!(told.contains("net/ipv6/conf/all/forwarding"), "{told}");
    });
}

#[test]
fn a_configuration_that_no_pod_can_be_added_with() {
    on_a_node(|node| {
        let status = node.call("STATUS", "", "").version("1.1.0");
        let error = status.configured("/ipam/ranges", json!([])).fail();
        assert_eq!(error["code"], 7);
    });
}
