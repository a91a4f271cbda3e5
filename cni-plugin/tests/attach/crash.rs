//! Killed at any instruction: what an ADD or DEL left half done, the next DEL removes, and the
//! container can be added again.

use std::time::Duration;

use serde_json::json;

use crate::node::{Pod, on_a_node};

/// Spread over the time an ADD takes, also on a loaded machine.
fn moments() -> impl Iterator<Item = Duration> {
    (0..30).map(|n| Duration::from_micros(n * 150))
}

#[test]
fn an_add_killed_at_any_moment_is_removed_by_del() {
    on_a_node(|node| {
        let before = node.leftovers();
        for moment in moments() {
            let pod = Pod::new();
            let mut child = node.call("ADD", "c1", &pod.path()).start();
            std::thread::sleep(moment);
            child.kill().unwrap();
            child.wait().unwrap();
            node.del("c1");
            assert_eq!(node.leftovers(), before, "killed after {moment:?}");
        }
        let pod = Pod::new();
        node.add("c1", &pod);
    });
}

#[test]
fn a_del_killed_at_any_moment_is_finished_by_the_next() {
    on_a_node(|node| {
        let before = node.leftovers();
        for moment in moments() {
            let pod = Pod::new();
            node.add("c1", &pod);
            let mut child = node.call("DEL", "c1", &pod.path()).start();
            std::thread::sleep(moment);
            child.kill().unwrap();
            child.wait().unwrap();
            node.del("c1");
            assert_eq!(node.leftovers(), before, "killed after {moment:?}");
        }
    });
}

#[test]
fn an_add_after_a_killed_one_meets_a_stale_pin() {
    on_a_node(|node| {
        let fresh = node.leftovers();
        let pod = Pod::new();
        let limit = json!({"bandwidth": {"egressRate": 8_000_000, "egressBurst": 8_000_000}});
        let add = node
            .call("ADD", "c1", &pod.path())
            .configured("/runtimeConfig", limit);
        let host = crate::node::host_end_of(&add.succeed());
        // As after a crash of the node's agent or operator: the interface gone, the pin left.
        crate::node::ip(&["link", "delete", &host]);
        assert!(node.pin(&format!("links/from_pod-{host}")).exists());
        assert_eq!(crate::node::host_end_of(&add.succeed()), host);
        let before = node.leftovers();
        assert!(before.contains(&format!("pin from_pod-{host}")));
        node.del("c1");
        assert_eq!(node.leftovers(), fresh, "both leases and entries go");
    });
}
