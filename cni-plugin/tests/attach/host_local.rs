//! The upstream `host-local` plugin and this one on the same folder: each sees, respects and
//! releases the other's leases, so that a node can move between plugins.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::ask::read;
use crate::call::Call;
use crate::node::{Node, Pod, on_a_node_with_plugins};
use crate::result::address_of;

fn on_a_node_with_host_local(test: impl FnOnce(&Node, &Path) + Send + 'static) {
    on_a_node_with_plugins(&["host-local"], move |node, folder| {
        test(node, &folder.join("host-local"));
    });
}

fn host_local(node: &Node, binary: &Path, command: &str, container: &str) -> Call {
    Call {
        binary: binary.to_owned(),
        ..node.call(command, container, "/run/netns/unused")
    }
}

fn host_local_address(result: &Value) -> &str {
    result["ips"][0]["address"]
        .as_str()
        .unwrap()
        .split('/')
        .next()
        .unwrap()
}

#[test]
fn they_take_turns_on_one_range() {
    on_a_node_with_host_local(|node, binary| {
        let ours = node.add("ours-1", &Pod::new());
        assert_eq!(address_of(&ours), "10.244.1.2");
        let theirs = host_local(node, binary, "ADD", "theirs-1").succeed();
        assert_eq!(
            host_local_address(&theirs),
            "10.244.1.3",
            "it goes on from our cursor"
        );
        let ours = node.add("ours-2", &Pod::new());
        assert_eq!(address_of(&ours), "10.244.1.4", "we go on from its cursor");
        for (address, owner) in [
            ("10.244.1.2", "ours-1"),
            ("10.244.1.3", "theirs-1"),
            ("10.244.1.4", "ours-2"),
        ] {
            assert_eq!(read(node.lease(address)), format!("{owner}\r\neth0"));
        }
        assert_eq!(read(node.lease("last_reserved_ip.0")), "10.244.1.4");
    });
}

#[test]
fn in_parallel_they_never_share_an_address() {
    on_a_node_with_host_local(|node, binary| {
        let pods: Vec<_> = (0..60).map(|_| Pod::new()).collect();
        let calls = pods.iter().enumerate().flat_map(|(n, pod)| {
            [
                node.call("ADD", &format!("ours-{n}"), &pod.path()),
                host_local(node, binary, "ADD", &format!("theirs-{n}")),
            ]
        });
        let children: Vec<_> = calls.map(|call| call.start()).collect();
        let addresses: Vec<String> = children
            .into_iter()
            .map(|child| {
                let printed = child.wait_with_output().unwrap().stdout;
                let result: Value = serde_json::from_slice(&printed).unwrap();
                host_local_address(&result).to_owned()
            })
            .collect();
        let different: BTreeSet<_> = addresses.iter().collect();
        assert_eq!((addresses.len(), different.len()), (120, 120));
    });
}

#[test]
fn each_releases_the_others_leases() {
    on_a_node_with_host_local(|node, binary| {
        let before = node.leftovers();
        host_local(node, binary, "ADD", "theirs").succeed();
        node.del("theirs");
        assert_eq!(node.leftovers(), before);

        let pod = Pod::new();
        let result = node.add("ours", &pod);
        host_local(node, binary, "DEL", "ours").succeed();
        assert!(!node.lease(&address_of(&result)).exists());
        node.del("ours");
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn both_call_the_same_range_full() {
    on_a_node_with_host_local(|node, binary| {
        let node = &node.with_subnets(&["10.244.9.0/29"]);
        let mut given = Vec::new();
        for n in 0..2 {
            given.push(
                host_local_address(
                    &host_local(node, binary, "ADD", &format!("theirs-{n}")).succeed(),
                )
                .to_owned(),
            );
            given.push(address_of(&node.add(&format!("ours-{n}"), &Pod::new())));
        }
        given.push(address_of(&node.add("ours-2", &Pod::new())));
        assert_eq!(
            given,
            (2..=6).map(|n| format!("10.244.9.{n}")).collect::<Vec<_>>()
        );
        // The one it keeps for a bridge.
        let last = address_of(&node.add("ours-3", &Pod::new()));
        assert_eq!(last, "10.244.9.1");
        assert_eq!(
            node.call("ADD", "late", &Pod::new().path()).fail()["code"],
            100
        );
        let refused = host_local(node, binary, "ADD", "late")
            .start()
            .wait_with_output()
            .unwrap();
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stdout).contains("no IP addresses available"));
    });
}
