//! Addresses and a MAC address of the runtime's choice, and results passed on.

use std::os::fd::AsRawFd as _;

use serde_json::{Value, json};

use crate::ask::{ip, ip_json};
use crate::node::{Pod, on_a_node, on_a_node_with_tcx};
use crate::result::{address_of, addresses_of, host_end_of};

#[test]
fn addresses_that_are_asked_for() {
    on_a_node(|node| {
        let node = node.with_subnets(&["10.244.1.0/24", "fd00::/64"]);
        let pod = Pod::new();
        let call = node.call("ADD", "c1", &pod.path());
        let call = call.configured("/runtimeConfig", json!({"ips": ["fd00::99/64"]}));
        let told: Vec<_> = addresses_of(&call.succeed())
            .iter()
            .map(|it| it.to_string())
            .collect();
        assert_eq!(told, ["10.244.1.2", "fd00::99"]);

        let other = Pod::new();
        let again = node.call("ADD", "c2", &other.path());
        let again = again.configured("/runtimeConfig", json!({"ips": ["fd00::99"]}));
        let before = node.leftovers();
        let error = again.fail();
        assert_eq!(error["code"], 100);
        assert!(
            error["msg"].as_str().unwrap().contains("fd00::99"),
            "{error}"
        );
        assert_eq!(
            node.leftovers(),
            before,
            "no lease of the other family either"
        );
        node.del("c1");
        again.succeed();
        let third = node.call("ADD", "c3", &pod.path());
        let third = third.with("CNI_ARGS", "IgnoreUnknown=1;IP=10.244.1.77;K8S_POD_NAME=p");
        assert_eq!(address_of(&third.succeed()), "10.244.1.77");
    });
}

#[test]
fn a_mac_address_that_is_asked_for() {
    on_a_node(|node| {
        let pod = Pod::new();
        let call = node.call("ADD", "c1", &pod.path());
        let call = call.configured("/runtimeConfig", json!({"mac": "c2:11:22:33:44:55"}));
        let result = call.succeed();
        assert_eq!(result["interfaces"][1]["mac"], "c2:11:22:33:44:55");
        pod.inside(|| {
            let link = ip_json(&["link", "show", "dev", "eth0"]);
            assert_eq!(link[0]["address"], "c2:11:22:33:44:55");
        });
        let neighbours = ip_json(&["neighbour", "show", "dev", &host_end_of(&result)]);
        assert_eq!(neighbours[0]["lladdr"], "c2:11:22:33:44:55");
        let entry = node.pods()[&"10.244.1.2".parse().unwrap()];
        assert_eq!(entry.1, [0xc2, 0x11, 0x22, 0x33, 0x44, 0x55]);
        let check = node.call("CHECK", "c1", &pod.path());
        check.configured("/prevResult", result).succeed();
    });
}

#[test]
fn a_limited_pod_is_marked_for_the_programs() {
    on_a_node_with_tcx(|node| {
        let node = node.with_subnets(&["10.244.1.0/24", "fd00::/64"]);
        let pod = Pod::new();
        let rates = [
            (
                json!({"ingressRate": 8_000_000, "ingressBurst": 8_000_000}),
                true,
            ),
            (
                json!({"egressRate": 8_000_000, "egressBurst": 8_000_000}),
                true,
            ),
            (json!({"ingressRate": 0, "egressRate": 0}), false),
            (json!(null), false),
        ];
        for (bandwidth, limited) in rates {
            let wish = json!({"bandwidth": bandwidth});
            let add = node.call("ADD", "c1", &pod.path());
            let result = add.configured("/runtimeConfig", wish.clone()).succeed();
            let marks: Vec<_> = node.pods().into_values().map(|entry| entry.2).collect();
            assert_eq!(marks, [limited; 2], "{wish}");
            let check = node.call("CHECK", "c1", &pod.path());
            let check = check.configured("/prevResult", result);
            check.configured("/runtimeConfig", wish).succeed();
            node.del("c1");
        }
    });
}

#[test]
fn a_pod_that_says_no_to_the_socket_path_is_known_by_its_namespace() {
    on_a_node(|node| {
        let annotated = |answer: &str| json!({"io.kubernetes.cri.pod-annotations": {"flatnet.dev/socket-lb": answer}});
        let before = node.leftovers();
        let pod = Pod::new();
        let add = node.call("ADD", "c1", &pod.path());
        let result = add
            .configured("/runtimeConfig", annotated("false"))
            .succeed();
        let entry = node.pods()[&address_of(&result).parse().unwrap()];
        let cookie = pod.inside(cookie);
        assert_eq!(node.packet_pods(), [(cookie, entry.0)].into());
        let check = node.call("CHECK", "c1", &pod.path());
        let check = check.configured("/prevResult", result);
        check
            .configured("/runtimeConfig", annotated("false"))
            .succeed();

        let other = Pod::new();
        let add = node.call("ADD", "c2", &other.path());
        add.configured("/runtimeConfig", annotated("true"))
            .succeed();
        let refused = node.call("ADD", "c3", &Pod::new().path());
        let error = refused
            .configured("/runtimeConfig", annotated("maybe"))
            .fail();
        assert!(error["msg"].as_str().unwrap().contains("maybe"), "{error}");
        assert_eq!(node.packet_pods().len(), 1, "and nobody else");
        node.del("c1");
        node.del("c2");
        assert_eq!(node.leftovers(), before);

        let add = node.call("ADD", "c4", &pod.path());
        add.configured("/runtimeConfig", annotated("false"))
            .succeed();
        let mut gc = node.call("GC", "", "").version("1.1.0");
        gc.config["cni.dev/valid-attachments"] = json!([]);
        gc.succeed();
        assert_eq!(node.leftovers(), before, "and GC removes it likewise");
    });
}

/// The number of the network namespace that the calling thread is in.
fn cookie() -> u64 {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes to `cookie`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    assert_eq!(result, 0, "Linux 5.14");
    cookie
}

#[test]
fn the_result_of_a_plugin_before_is_passed_on() {
    on_a_node(|node| {
        let pod = Pod::new();
        pod.inside(|| ip(&["link", "add", "other", "type", "bridge"]));
        let previous = json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "other", "mac": "02:00:00:00:00:07", "sandbox": pod.path()}],
            "ips": [{"interface": 0, "address": "192.168.0.2/24"}],
            "dns": {"nameservers": ["192.168.0.1"]},
        });
        let call = node.call("ADD", "c1", &pod.path());
        let result = call.configured("/prevResult", previous.clone()).succeed();
        assert_eq!(result["interfaces"][0], previous["interfaces"][0]);
        assert_eq!(result["interfaces"][2]["name"], "eth0");
        assert_eq!(result["ips"][0], previous["ips"][0]);
        assert_eq!(result["ips"][1]["interface"], 2);
        assert_eq!(result["dns"], previous["dns"]);
        let check = node.call("CHECK", "c1", &pod.path());
        assert_eq!(
            check.configured("/prevResult", result).succeed(),
            Value::Null
        );
    });
}
