//! CHECK on a node where one thing has changed since ADD: it says which.

use std::fs;

use serde_json::{Value, json};

use crate::ask::{ip, read};
use crate::call::Call;
use crate::node::{Node, Pod, on_a_node, on_a_node_with_tcx};
use crate::pinned;
use crate::result::host_end_of;

const BOTH: [&str; 2] = ["10.244.1.0/24", "fd00:10:244:1::/64"];

fn check(node: &Node, pod: &Pod, result: &Value) -> Call {
    let call = node.call("CHECK", "c1", &pod.path());
    call.configured("/prevResult", result.clone())
}

#[test]
fn what_add_left_passes_in_every_version_and_family() {
    on_a_node(|node| {
        for version in ["0.4.0", "1.0.0", "1.1.0"] {
            for subnets in [&BOTH[..1], &BOTH[1..], &BOTH[..]] {
                let node = node.with_subnets(subnets);
                let pod = Pod::new();
                let result = node
                    .call("ADD", "c1", &pod.path())
                    .version(version)
                    .succeed();
                let passed = check(&node, &pod, &result).version(version).succeed();
                assert_eq!(passed, Value::Null);
                node.del("c1");
            }
        }
    });
}

#[test]
fn a_program_attached_by_a_link_passes_too() {
    on_a_node_with_tcx(|node| {
        let pod = Pod::new();
        let limit = json!({"bandwidth": {"egressRate": 8_000_000, "egressBurst": 8_000_000}});
        let add = node
            .call("ADD", "c1", &pod.path())
            .configured("/runtimeConfig", limit.clone());
        let result = add.succeed();
        let check = check(node, &pod, &result).configured("/runtimeConfig", limit);
        assert_eq!(check.succeed(), Value::Null);
        for program in ["to_pod", "from_pod"] {
            let pin = format!("links/{program}-{}", host_end_of(&result));
            fs::remove_file(node.pin(&pin)).unwrap();
            let error = check.fail();
            let told = format!("expected {program}, found none");
            assert!(error["msg"].as_str().unwrap().contains(&told), "{error}");
        }
    });
}

/// One row a change: on the node (`fn…` stands for the host end) or in the pod, by `ip` and its
/// arguments, and what CHECK has to say of it.
const CHANGES: [(&str, &str, &str); 14] = [
    ("node", "ip link set dev fn… down", "state of interface fn"),
    (
        "node",
        "ip link set dev fn… mtu 1400",
        "MTU of interface fn",
    ),
    (
        "node",
        "ip link set dev fn… address 02:00:00:00:00:01",
        "MAC address of interface fn",
    ),
    (
        "node",
        "ip route del 10.244.1.2",
        "expected 10.244.1.2/32 on-link, found none",
    ),
    (
        "node",
        "ip -6 route del fd00:10:244:1::2",
        "fd00:10:244:1::2/128 on-link, found none",
    ),
    (
        "node",
        "ip neighbour del 10.244.1.2 dev fn…",
        "permanent neighbour 10.244.1.2",
    ),
    (
        "node",
        "tc qdisc del dev fn… clsact",
        "expected from_pod, found none",
    ),
    (
        "node",
        "tc filter del dev fn… egress",
        "expected to_pod, found none",
    ),
    (
        "pod",
        "ip link set dev eth0 address 02:00:00:00:00:01",
        "MAC address of interface eth0",
    ),
    (
        "pod",
        "ip address del 10.244.1.2/32 dev eth0",
        "expected 10.244.1.2/32, found none",
    ),
    (
        "pod",
        "ip -6 address del fd00:10:244:1::2/128 dev eth0",
        "fd00:10:244:1::2/128, found none",
    ),
    (
        "pod",
        "ip route del default",
        "expected 0.0.0.0/0 via 169.254.1.1, found none",
    ),
    (
        "pod",
        "ip neighbour del fe80::1 dev eth0",
        "permanent neighbour fe80::1",
    ),
    (
        "pod",
        "ip link del eth0",
        "interface eth0 in the pod: expected one, found none",
    ),
];

#[test]
fn each_change_of_the_kernels_is_told() {
    on_a_node(|node| {
        let node = node.with_subnets(&BOTH);
        for (place, command, word) in CHANGES {
            let pod = Pod::new();
            // The same addresses in every row.
            for cursor in ["last_reserved_ip.0", "last_reserved_ip.1"] {
                let _none_yet = fs::remove_file(node.lease(cursor));
            }
            let result = node.add("c1", &pod);
            let command = command.replace("fn…", &host_end_of(&result));
            let run = || crate::ask::run(&command.split(' ').collect::<Vec<_>>());
            match place {
                "pod" => pod.inside(run),
                _ => run(),
            }
            let error = check(&node, &pod, &result).fail();
            assert_eq!(error["code"], 104, "{command}: {error}");
            let told = error["msg"].as_str().unwrap();
            assert!(told.contains(word), "{command}: {told:?} lacks {word:?}");
            node.del("c1");
        }
    });
}

#[test]
fn each_change_of_files_maps_and_settings_is_told() {
    on_a_node(|node| {
        let pod = Pod::new();
        let result = node.add("c1", &pod);
        let told = |word: &str| {
            let error = check(node, &pod, &result).fail();
            let told = error["msg"].as_str().unwrap();
            assert!(told.starts_with("1 difference: "), "{told}");
            assert!(told.contains(word), "{told:?} lacks {word:?}");
        };
        let lease = node.lease("10.244.1.2");
        let content = fs::read(&lease).unwrap();
        fs::write(&lease, "c2\r\neth0").unwrap();
        told("lease of 10.244.1.2: expected \"c1 eth0\", found \"c2 eth0\"");
        fs::write(&lease, content).unwrap();

        let forwarding = format!(
            "/proc/sys/net/ipv4/conf/{}/forwarding",
            host_end_of(&result)
        );
        assert_eq!(read(&forwarding), "1");
        fs::write(&forwarding, "0").unwrap();
        told("forwarding: expected 1, found 0");
        fs::write(&forwarding, "1").unwrap();

        fs::remove_file(node.pin("maps/pods")).unwrap();
        pinned::pin_map(&node.pin("maps/pods"), 16, 12, 8);
        told("entry of 10.244.1.2 in the map pods");
        fs::remove_file(node.pin("maps/pods")).unwrap();
        assert_eq!(check(node, &pod, &result).fail()["code"], 11);
    });
}

#[test]
fn a_result_that_misses_something_is_told() {
    on_a_node(|node| {
        let pod = Pod::new();
        let result = node.add("c1", &pod);
        for (pointer, value, word) in [
            (
                "/interfaces",
                json!([]),
                "interface eth0 in the pod in prevResult",
            ),
            ("/ips", json!(null), "addresses in prevResult"),
            (
                "/ips/0/address",
                json!("10.244.1.2/24"),
                "expected 10.244.1.2/24, found 10.244.1.2/32",
            ),
            (
                "/interfaces/1/mac",
                json!("02:00:00:00:00:01"),
                "MAC address of interface eth0",
            ),
        ] {
            let mut changed = result.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            let error = check(node, &pod, &changed).fail();
            let told = error["msg"].as_str().unwrap();
            assert!(told.contains(word), "{told:?} lacks {word:?}");
        }
        // A plugin behind this one may have taken the default route.
        let mut without = result.clone();
        without["routes"] = json!([]);
        pod.inside(|| ip(&["route", "del", "default"]));
        check(node, &pod, &without).succeed();
        check(node, &pod, &result).fail();
    });
}
