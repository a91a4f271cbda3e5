//! GC: what is listed stays, what is not goes, and nothing of others is touched.

use std::fs;

use serde_json::{Value, json};

use crate::ask::{ip, ip_json};
use crate::call::Call;
use crate::node::{Node, Pod, has_tcx, on_a_node, on_a_node_with_tcx};
use crate::result::{address_of, host_end_of};

fn gc(node: &Node, valid: &[&str]) -> Call {
    let listed = |container: &&str| json!({"containerID": container, "ifname": "eth0"});
    let listed: Vec<_> = valid.iter().map(listed).collect();
    let mut call = node.call("GC", "", "").version("1.1.0");
    call.config["cni.dev/valid-attachments"] = json!(listed);
    call
}

#[test]
fn what_is_listed_stays_and_the_rest_goes() {
    on_a_node(|node| {
        let empty = node.leftovers();
        let kept = Pod::new();
        let result = node.add("kept", &kept);
        let standing = node.leftovers();
        let pods: Vec<_> = (0..3).map(|_| Pod::new()).collect();
        for (n, pod) in pods.iter().enumerate() {
            node.add(&format!("lost-{n}"), pod);
        }
        let limit = json!({"bandwidth": {"egressRate": 8_000_000, "egressBurst": 8_000_000}});
        let limited = Pod::new();
        if has_tcx() {
            let add = node.call("ADD", "limited", &limited.path());
            add.configured("/runtimeConfig", limit).succeed();
        }
        fs::write(node.lease("10.244.1.200"), "long-gone\r\neth0").unwrap();
        fs::write(node.lease("10.244.1.201"), "older").unwrap();
        fs::write(node.lease("10.244.1.202"), "").unwrap();

        assert_eq!(gc(node, &["kept"]).succeed(), Value::Null);
        assert_eq!(node.leftovers(), standing);
        gc(node, &["kept"]).succeed();
        assert_eq!(node.leftovers(), standing, "a second time");
        let check = node.call("CHECK", "kept", &kept.path());
        check.configured("/prevResult", result).succeed();
        gc(node, &[]).succeed();
        assert_eq!(node.leftovers(), empty);
    });
}

#[test]
fn half_of_an_attachment_goes_whichever_half_it_is() {
    on_a_node_with_tcx(|node| {
        let empty = node.leftovers();
        let pod = Pod::new();
        // The interface is gone: a lease, an entry and a pin are left.
        let limit = json!({"bandwidth": {"egressRate": 8_000_000, "egressBurst": 8_000_000}});
        let add = node
            .call("ADD", "c1", &pod.path())
            .configured("/runtimeConfig", limit);
        ip(&["link", "del", &host_end_of(&add.succeed())]);
        gc(node, &[]).succeed();
        assert_eq!(node.leftovers(), empty);
        // The lease is gone, and the map.
        let result = node.add("c2", &pod);
        fs::remove_file(node.lease(&address_of(&result))).unwrap();
        fs::remove_file(node.pin("maps/pods")).unwrap();
        gc(node, &[]).succeed();
        assert_eq!(node.leftovers(), empty);
        // As an ADD leaves it that is killed after its first step.
        ip(&[
            "link",
            "add",
            "fn0123456789ab",
            "type",
            "veth",
            "peer",
            "name",
            "x",
        ]);
        gc(node, &[]).succeed();
        assert_eq!(node.leftovers(), empty);
    });
}

#[test]
fn nothing_of_others_is_touched() {
    on_a_node(|node| {
        ip(&["link", "add", "fnord", "type", "veth", "peer", "name", "x"]);
        ip(&["link", "add", "fn0123456789ab", "type", "bridge"]);
        let theirs = node.pin("links/from_network-eth0");
        crate::pinned::pin_program(&theirs, crate::pinned::Verdict::Next);
        let other = Pod::new();
        let add = node.call("ADD", "theirs", &other.path());
        let result = add.configured("/name", json!("another")).succeed();
        let standing = node.leftovers();
        fs::write(node.path("networks/flatnet.txt"), "notes").unwrap();
        gc(node, &[]).succeed();
        assert_eq!(node.leftovers(), standing);
        assert!(
            node.path("networks/another")
                .join(address_of(&result))
                .exists()
        );
        ip_json(&["link", "show", "dev", &host_end_of(&result)]);
    });
}

#[test]
fn it_goes_on_past_what_cannot_be_removed_and_tells_all_of_it() {
    on_a_node(|node| {
        let pod = Pod::new();
        let result = node.add("c1", &pod);
        let host = host_end_of(&result);
        // Pins that cannot be removed: folders in their place. And a lease that cannot.
        let pins = ["from_pod", "to_pod"].map(|program| format!("{program}-fn000000000000"));
        for pin in &pins {
            fs::create_dir(node.pin("links").join(pin)).unwrap();
        }
        fs::create_dir(node.lease("10.244.1.99")).unwrap();
        let error = gc(node, &[]).fail();
        let told = error["msg"].as_str().unwrap();
        for word in ["3 things", &pins[0], &pins[1], "10.244.1.99"] {
            assert!(told.contains(word), "{told:?} lacks {word:?}");
        }
        assert_eq!(node.pods().len(), 0);
        assert!(!node.lease(&address_of(&result)).exists());
        let rest = ip_json(&["link", "show"]);
        let mut rest = rest.as_array().unwrap().iter();
        assert!(rest.all(|link| link["ifname"] != host.as_str()));
    });
}

#[test]
fn without_a_list_nothing_is_removed() {
    on_a_node(|node| {
        let pod = Pod::new();
        node.add("c1", &pod);
        let standing = node.leftovers();
        let mut call = gc(node, &[]);
        call.config
            .as_object_mut()
            .unwrap()
            .remove("cni.dev/valid-attachments");
        assert_eq!(call.fail()["code"], 7);
        assert_eq!(node.leftovers(), standing);
    });
}
