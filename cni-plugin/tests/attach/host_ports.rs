//! Ports of the node that are a pod's: who gets them, who does not, and when they are free again.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::ask::ip;
use crate::call::Call;
use crate::node::{Node, Pod, on_a_node};
use crate::pinned::{Holder, HostPort, set_host_port};
use crate::result::host_end_of;

const BOTH: [&str; 2] = ["10.244.1.0/24", "fd00:10:244:1::/64"];
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;

fn add(node: &Node, container: &str, pod: &Pod, mappings: Value) -> Call {
    let call = node.call("ADD", container, &pod.path());
    call.configured("/runtimeConfig", json!({"portMappings": mappings}))
}

fn index_of(result: &Value) -> u32 {
    let link = crate::ask::ip_json(&["link", "show", "dev", &host_end_of(result)]);
    u32::try_from(link[0]["ifindex"].as_u64().unwrap()).unwrap()
}

fn key(address: &str, port: u16, protocol: u8) -> HostPort {
    (address.parse().unwrap(), port, protocol)
}

fn holder(address: &str, port: u16, index: u32) -> Holder {
    (address.parse().unwrap(), port, index)
}

#[test]
fn what_is_asked_for_is_in_the_map_and_gone_after_del() {
    on_a_node(|node| {
        let node = node.with_subnets(&BOTH);
        let before = node.leftovers();
        let pod = Pod::new();
        let mappings = json!([
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 53, "containerPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1"},
            {"hostPort": 53, "containerPort": 5354, "protocol": "sctp", "hostIP": "::"},
            {"hostPort": 0, "containerPort": 9},
        ]);
        let call = add(&node, "c1", &pod, mappings.clone());
        let result = call.succeed();
        assert!(!result.to_string().contains("8080"), "{result}");
        let (v4, v6, index) = ("10.244.1.2", "fd00:10:244:1::2", index_of(&result));
        let expected = BTreeMap::from([
            (key("0.0.0.0", 8080, TCP), holder(v4, 80, index)),
            (key("::", 8080, TCP), holder(v6, 80, index)),
            (key("127.0.0.1", 53, UDP), holder(v4, 5353, index)),
            (key("::", 53, SCTP), holder(v6, 5354, index)),
        ]);
        assert_eq!(node.host_ports(), expected);

        let check = node.call("CHECK", "c1", &pod.path());
        let check = check
            .configured("/prevResult", result)
            .configured("/runtimeConfig", json!({"portMappings": mappings}));
        assert_eq!(check.succeed(), Value::Null);
        let map = node.pin("maps/host_ports");
        set_host_port(&map, key("::", 8080, TCP), holder(v6, 81, index));
        let error = check.fail();
        let told = error["msg"].as_str().unwrap();
        assert!(
            told.contains("[::]:8080/tcp in the map host_ports"),
            "{error}"
        );

        // Neither the mappings nor a result.
        node.del("c1");
        assert_eq!(node.leftovers(), before);
        node.del("c1");
    });
}

#[test]
fn a_port_that_is_another_pods_is_refused_and_nothing_is_left() {
    on_a_node(|node| {
        let node = node.with_subnets(&BOTH);
        let (first, second) = (Pod::new(), Pod::new());
        let one = |more: Value| {
            let mut mapping = json!({"hostPort": 80, "containerPort": 80});
            let more = more.as_object().unwrap().clone();
            mapping.as_object_mut().unwrap().extend(more);
            json!([{"hostPort": 443, "containerPort": 443, "hostIP": "172.30.0.11"}, mapping])
        };
        let result = add(
            &node,
            "c1",
            &first,
            json!([{"hostPort": 80, "containerPort": 80}]),
        )
        .succeed();
        let before = node.leftovers();
        for more in [
            json!({}),
            json!({"hostIP": "0.0.0.0"}),
            json!({"hostIP": "::"}),
        ] {
            let error = add(&node, "c2", &second, one(more)).fail();
            assert_eq!(error["code"], 106, "{error}");
            let told = error["msg"].as_str().unwrap();
            let host = host_end_of(&result);
            for word in [":80/tcp", host.as_str(), "flatnet/c1/eth0"] {
                assert!(told.contains(word), "{told:?} lacks {word:?}");
            }
            assert_eq!(node.leftovers(), before);
        }
        // Another address, another protocol: another port.
        for more in [json!({"hostIP": "127.0.0.1"}), json!({"protocol": "udp"})] {
            add(&node, "c2", &second, one(more)).succeed();
            assert!(node.host_ports().len() > 3);
            node.del("c2");
            assert_eq!(node.leftovers(), before);
        }
        node.del("c1");
        add(&node, "c2", &second, one(json!({}))).succeed();
    });
}

#[test]
fn an_entry_of_a_pod_that_is_no_more_is_replaced() {
    on_a_node(|node| {
        let (first, second) = (Pod::new(), Pod::new());
        let mappings = json!([{"hostPort": 80, "containerPort": 8080}]);
        let there = index_of(&node.add("c1", &first));
        let map = node.pin("maps/host_ports");
        let stale = [
            // Of an interface that is gone, of one that is no pod's, and of a pod that has got
            // the number of another interface.
            holder("10.244.1.9", 80, 4000),
            holder("10.244.1.9", 80, 1),
            holder("10.244.1.9", 80, there),
        ];
        for entry in stale {
            set_host_port(&map, key("0.0.0.0", 80, TCP), entry);
            let result = add(node, "c2", &second, mappings.clone()).succeed();
            let held = node.host_ports()[&key("0.0.0.0", 80, TCP)];
            assert_eq!((held.1, held.2), (8080, index_of(&result)));
            node.del("c2");
            assert_eq!(node.host_ports(), BTreeMap::new());
        }
    });
}

#[test]
fn half_of_it_goes_whichever_half_it_is() {
    on_a_node(|node| {
        let before = node.leftovers();
        let mappings = json!([{"hostPort": 80, "containerPort": 8080}]);
        // The interface is gone, and its leases tell; the leases are gone, and it tells.
        let pod = Pod::new();
        let result = add(node, "c1", &pod, mappings.clone()).succeed();
        ip(&["link", "delete", &host_end_of(&result)]);
        node.del("c1");
        assert_eq!(node.leftovers(), before);
        add(node, "c1", &pod, mappings.clone()).succeed();
        fs::remove_dir_all(node.path("networks")).unwrap();
        node.del("c1");
        assert_eq!(node.leftovers(), before);
        // Both are gone: a matter for GC.
        let result = add(node, "c1", &pod, mappings).succeed();
        ip(&["link", "delete", &host_end_of(&result)]);
        fs::remove_dir_all(node.path("networks")).unwrap();
        assert_eq!(node.host_ports().len(), 1);
        let mut gc = node.call("GC", "", "").version("1.1.0");
        gc.config["cni.dev/valid-attachments"] = json!([]);
        gc.succeed();
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn of_many_that_want_one_port_one_gets_it() {
    on_a_node(|node| {
        let pods: Vec<_> = (0..12).map(|_| Pod::new()).collect();
        let mappings = json!([{"hostPort": 80, "containerPort": 8080}]);
        set_host_port(
            &node.pin("maps/host_ports"),
            key("0.0.0.0", 80, TCP),
            holder("10.244.1.9", 80, 4000),
        );
        let calls = pods.iter().enumerate();
        let running: Vec<_> = calls
            .map(|(n, pod)| add(node, &format!("c{n}"), pod, mappings.clone()).start())
            .collect();
        let outcomes = running.into_iter().map(|it| it.wait_with_output().unwrap());
        let winners = outcomes.filter(|it| it.status.success()).count();
        assert_eq!(winners, 1);
        let left = node.leftovers();
        let leases = left.iter().filter(|name| name.starts_with("lease")).count();
        assert_eq!(leases, 1, "{left:?}");
    });
}

#[test]
fn without_the_map_an_add_that_needs_it_is_to_come_again() {
    on_a_node(|node| {
        fs::remove_file(node.pin("maps/host_ports")).unwrap();
        let before = node.leftovers();
        let pod = Pod::new();
        let error = add(
            node,
            "c1",
            &pod,
            json!([{"hostPort": 80, "containerPort": 80}]),
        )
        .fail();
        assert_eq!(error["code"], 11, "{error}");
        assert_eq!(node.leftovers(), before);
        node.add("c1", &pod);
        node.del("c1");
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn a_full_map_is_told_and_nothing_is_left() {
    on_a_node(|node| {
        fs::remove_file(node.pin("maps/host_ports")).unwrap();
        crate::pinned::pin_map(&node.pin("maps/host_ports"), 20, 24, 2);
        let before = node.leftovers();
        let one = |port: u16| json!({"hostPort": port, "containerPort": 80});
        let pod = Pod::new();
        let error = add(node, "c1", &pod, (80..83).map(one).collect()).fail();
        assert!(
            error["msg"].as_str().unwrap().contains("is full"),
            "{error}"
        );
        assert_eq!(node.leftovers(), before);
    });
}
