//! What ADD refuses, and that a refused or failed ADD leaves nothing behind and breaks nothing
//! that was there.

use std::fs;

use serde_json::{Value, json};

use crate::ask::{ip, ip_json};
use crate::node::{Node, Pod, on_a_node};
use crate::pinned::{self, Verdict};
use crate::result::{address_of, host_end_of};

fn message(error: &Value) -> &str {
    error["msg"].as_str().unwrap()
}

#[test]
fn an_interface_of_that_name_is_refused_and_left_alone() {
    on_a_node(|node| {
        let before = node.leftovers();
        let pod = Pod::new();
        pod.inside(|| ip(&["link", "add", "eth0", "type", "bridge"]));
        let error = node.call("ADD", "c1", &pod.path()).fail();
        assert_eq!(error["code"], 101);
        assert_eq!(error["cniVersion"], "1.0.0");
        assert!(message(&error).contains("eth0 already exists"), "{error}");
        pod.inside(|| {
            assert_eq!(
                ip_json(&["link", "show", "dev", "eth0"])[0]["linkinfo"]["info_kind"],
                "bridge"
            )
        });
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn a_second_add_is_refused_and_the_first_stands() {
    on_a_node(|node| {
        let pod = Pod::new();
        node.add("c1", &pod);
        let standing = node.leftovers();
        let again = node.call("ADD", "c1", &pod.path()).fail();
        assert_eq!(again["code"], 101);
        let elsewhere = Pod::new();
        let moved = node.call("ADD", "c1", &elsewhere.path()).fail();
        assert_eq!(moved["code"], 101);
        assert!(message(&moved).contains("added before"), "{moved}");
        assert_eq!(
            node.leftovers(),
            standing,
            "interface, route, pin and lease of the first ADD"
        );
    });
}

#[test]
fn without_what_the_agent_pins_the_runtime_is_told_to_try_again() {
    on_a_node(|node| {
        let before = node.leftovers();
        let pod = Pod::new();
        for pin in ["maps/pods", "programs/to_pod", "programs/from_pod"] {
            fs::remove_file(node.pin(pin)).unwrap();
            let error = node.call("ADD", "c1", &pod.path()).fail();
            assert_eq!(error["code"], 11);
            assert!(message(&error).contains("flatnet-agent"), "{error}");
            assert!(message(&error).contains(pin), "{error}");
        }
        let nowhere = node
            .call("ADD", "c1", &pod.path())
            .configured("/bpffs", json!("/nowhere"))
            .fail();
        assert_eq!(nowhere["code"], 11);
        assert_eq!(node.leftovers(), before);
        node.del("c1");
    });
}

#[test]
fn what_stands_behind_cni_netns_is_checked() {
    on_a_node(|node| {
        let before = node.leftovers();
        for (path, word) in [
            ("/run/netns/missing", "cannot open"),
            ("/proc/thread-self/ns/net", "node's own"),
            ("/proc/thread-self/ns/uts", "as a network namespace"),
            ("/etc/hostname", "as a network namespace"),
        ] {
            let error = node.call("ADD", "c1", path).fail();
            assert_eq!(error["code"], 4, "{error}");
            assert!(message(&error).contains(word), "{error} lacks {word:?}");
        }
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn a_full_range_is_refused_until_a_pod_goes() {
    on_a_node(|node| {
        let node: &Node = &node.with_subnets(&["10.244.9.0/29"]);
        let pods: Vec<_> = (0..7).map(|_| Pod::new()).collect();
        let results: Vec<_> = (0..6)
            .map(|n| node.add(&format!("c{n}"), &pods[n]))
            .collect();
        let full = node.leftovers();
        let error = node.call("ADD", "c6", &pods[6].path()).fail();
        assert_eq!(error["code"], 100);
        assert!(message(&error).contains("10.244.9.1-10.244.9.6"), "{error}");
        assert_eq!(node.leftovers(), full);
        node.del("c2");
        assert_eq!(
            address_of(&node.add("c6", &pods[6])),
            address_of(&results[2])
        );
    });
}

/// One row a way to fail late: how to break the node, and the word that names the culprit.
#[test]
fn an_add_that_fails_late_is_undone() {
    on_a_node(|node| {
        let pod = Pod::new();
        let before = node.leftovers();
        // The link cannot be pinned: its folder is another program's pin.
        fs::remove_dir(node.pin("links")).unwrap();
        pinned::pin_program(&node.pin("links"), Verdict::Next);
        let limit = json!({"bandwidth": {"egressRate": 8_000_000, "egressBurst": 8_000_000}});
        let limited = node
            .call("ADD", "c1", &pod.path())
            .configured("/runtimeConfig", limit);
        let error = limited.fail();
        assert!(message(&error).contains("flatnet/links"), "{error}");
        fs::remove_file(node.pin("links")).unwrap();
        assert_eq!(node.leftovers(), before, "after failing to pin");

        // The map of pods has no room for one more.
        fs::remove_file(node.pin("maps/pods")).unwrap();
        pinned::pin_map(&node.pin("maps/pods"), 16, 12, 1);
        let first = Pod::new();
        node.add("first", &first);
        let one = node.leftovers();
        let error = node.call("ADD", "c1", &pod.path()).fail();
        assert_eq!(error["code"], 103);
        assert!(message(&error).contains("maps/pods"), "{error}");
        assert_eq!(node.leftovers(), one, "after failing to make an entry");
        node.del("first");

        // The pod's default route cannot be added: there is one, through another interface.
        pod.inside(|| {
            ip(&["link", "add", "other", "type", "bridge"]);
            ip(&["link", "set", "other", "up"]);
            ip(&["route", "add", "default", "dev", "other"]);
        });
        let error = node.call("ADD", "c1", &pod.path()).fail();
        assert_eq!(error["code"], 102);
        assert!(message(&error).contains("route to 0.0.0.0/0"), "{error}");
        assert_eq!(error["details"], "File exists (os error 17)");
        assert_eq!(node.leftovers(), before, "after failing to route");
        pod.inside(|| assert_eq!(ip_json(&["link", "show"]).as_array().unwrap().len(), 2));
    });
}

#[test]
fn a_map_of_another_version_is_refused_before_anything_is_made() {
    on_a_node(|node| {
        let before = node.leftovers();
        fs::remove_file(node.pin("maps/pods")).unwrap();
        pinned::pin_map(&node.pin("maps/pods"), 16, 16, 8);
        let error = node.call("ADD", "c1", &Pod::new().path()).fail();
        assert_eq!(error["code"], 103);
        assert!(message(&error).contains("maps/pods"), "{error}");
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn a_verb_that_is_none_answers_with_an_error() {
    on_a_node(|node| {
        let error = node.call("UPDATE", "c1", "/x").fail();
        assert_eq!(
            (&error["code"], &error["cniVersion"]),
            (&json!(4), &json!("1.0.0"))
        );
        assert!(message(&error).contains("CNI_COMMAND"), "{error}");
    });
}

/// Names are made of 48 bits, and anybody can give an interface a name.
#[test]
fn an_interface_that_only_has_the_name_is_left_alone_by_the_del_too() {
    on_a_node(|node| {
        let pod = Pod::new();
        let host = host_end_of(&node.add("c1", &pod));
        node.del("c1");
        ip(&["link", "add", &host, "type", "veth", "peer", "name", "x"]);
        ip(&["link", "set", &host, "alias", "flatnet/c2/eth0", "up"]);
        let pin = node.pin(&format!("links/from_pod-{host}"));
        pinned::pin_program(&pin, Verdict::Next);
        let before = node.leftovers();
        let add = node.call("ADD", "c1", &pod.path());
        assert_eq!(add.fail()["code"], 101);
        node.del("c1");
        assert_eq!(node.leftovers(), before);
        // What is surely the container's goes all the same.
        fs::write(node.lease("10.244.1.99"), "c1\r\neth0").unwrap();
        node.del("c1");
        assert_eq!(node.leftovers(), before);
    });
}
