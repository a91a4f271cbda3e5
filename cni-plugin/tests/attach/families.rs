//! What ADD makes for IPv6, as the kernel shows it; for IPv4 see `add_and_del`.

use std::fs;

use serde_json::{Value, json};

use crate::ask::{ip_json, read};
use crate::node::{Pod, on_a_node};
use crate::result::{addresses_of, host_end_of};

const BOTH: [&str; 2] = ["10.244.1.0/24", "fd00:10:244:1::/64"];

/// The rows of `ip -j` without those of the kernel's own making.
fn configured(rows: &Value) -> Vec<Value> {
    let rows = rows.as_array().unwrap().iter();
    let ours = rows.filter(|row| row["protocol"] != "kernel" && row["dst"] != "multicast");
    ours.cloned().collect()
}

#[test]
fn a_pod_of_both_families() {
    on_a_node(|node| {
        let node = node.with_subnets(&BOTH);
        let pod = Pod::new();
        let result = node.add("c1", &pod);
        let expected = ["10.244.1.2", "fd00:10:244:1::2"];
        assert_eq!(
            addresses_of(&result),
            expected.map(|address| address.parse::<std::net::IpAddr>().unwrap())
        );
        assert_eq!(result["ips"][1]["gateway"], "fe80::1");
        let routes = json!([
            {"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0", "gw": "fe80::1"},
        ]);
        assert_eq!(result["routes"], routes);
        assert_eq!(node.pods().len(), 2);
        for address in ["10.244.1.2", "fd00:10:244:1::2"] {
            assert_eq!(read(node.lease(address)), "c1\r\neth0");
        }
        assert_eq!(read(node.lease("last_reserved_ip.1")), "fd00:10:244:1::2");
        check_pod_side(&pod, &result);
        check_node_side(&host_end_of(&result), &result);
    });
}

fn check_pod_side(pod: &Pod, result: &Value) {
    pod.inside(|| {
        let shown = ip_json(&["-6", "address", "show", "dev", "eth0"]);
        let addresses = shown[0]["addr_info"].as_array().unwrap();
        assert_eq!(addresses.len(), 1, "no link-local one: {shown}");
        assert_eq!(addresses[0]["local"], "fd00:10:244:1::2");
        assert_eq!(addresses[0]["prefixlen"], 128);
        assert_eq!(addresses[0]["nodad"], true);
        assert_eq!(addresses[0].get("tentative"), None);

        let routes = configured(&ip_json(&["-6", "route", "show"]));
        assert_eq!(routes.len(), 1, "{routes:?}");
        assert_eq!(
            (&routes[0]["dst"], &routes[0]["gateway"]),
            (&json!("default"), &json!("fe80::1"))
        );
        let neighbours = ip_json(&["-6", "neighbour", "show"]);
        assert_eq!(neighbours[0]["dst"], "fe80::1");
        assert_eq!(neighbours[0]["lladdr"], result["interfaces"][0]["mac"]);
        assert_eq!(neighbours[0]["state"], json!(["PERMANENT"]));
        for setting in ["accept_ra", "accept_dad"] {
            assert_eq!(read(format!("/proc/sys/net/ipv6/conf/eth0/{setting}")), "0");
        }
    });
}

fn check_node_side(host: &str, result: &Value) {
    let routes = configured(&ip_json(&["-6", "route", "show", "dev", host]));
    assert_eq!(routes.len(), 1, "{routes:?}");
    assert_eq!(routes[0]["dst"], "fd00:10:244:1::2");
    assert_eq!(routes[0]["protocol"], "170");
    let neighbours = ip_json(&["-6", "neighbour", "show", "dev", host]);
    assert_eq!(neighbours[0]["dst"], "fd00:10:244:1::2");
    assert_eq!(neighbours[0]["lladdr"], result["interfaces"][1]["mac"]);
    assert_eq!(neighbours[0]["state"], json!(["PERMANENT"]));
    for (setting, value) in [("accept_ra", "0"), ("forwarding", "1")] {
        assert_eq!(
            read(format!("/proc/sys/net/ipv6/conf/{host}/{setting}")),
            value
        );
    }
    let addresses = ip_json(&["-6", "address", "show", "dev", host]);
    assert_eq!(addresses, json!([]), "the host end has none of its own");
}

#[test]
fn ipv6_where_new_interfaces_start_without_it() {
    on_a_node(|node| {
        let node = node.with_subnets(&BOTH);
        let pod = Pod::new();
        let default = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
        fs::write(default, "1").unwrap();
        pod.inside(|| fs::write(default, "1").unwrap());
        let result = node.add("c1", &pod);
        check_pod_side(&pod, &result);
        check_node_side(&host_end_of(&result), &result);
    });
}

#[test]
fn an_ipv4_pod_keeps_quiet_in_ipv6() {
    on_a_node(|node| {
        let pod = Pod::new();
        let host = host_end_of(&node.add("c1", &pod));
        let nothing = json!([]);
        pod.inside(|| assert_eq!(ip_json(&["-6", "address", "show", "dev", "eth0"]), nothing));
        assert_eq!(ip_json(&["-6", "address", "show", "dev", &host]), nothing);
        let conf = format!("/proc/sys/net/ipv6/conf/{host}");
        assert_eq!(read(format!("{conf}/accept_ra")), "0");
    });
}

#[test]
fn a_set_that_is_full_takes_no_lease_of_the_other() {
    on_a_node(|node| {
        let node = node.with_subnets(&["10.244.9.0/24", "fd00::/126"]);
        let pods: Vec<_> = (0..4).map(|_| Pod::new()).collect();
        for (n, pod) in pods.iter().take(3).enumerate() {
            node.add(&format!("c{n}"), pod);
        }
        let full = node.leftovers();
        let error = node.call("ADD", "c3", &pods[3].path()).fail();
        assert_eq!(error["code"], 100);
        assert!(
            error["msg"].as_str().unwrap().contains("fd00::1-fd00::3"),
            "{error}"
        );
        assert_eq!(node.leftovers(), full);
    });
}

#[test]
fn an_mtu_too_small_for_ipv6_is_left_without_it() {
    on_a_node(|node| {
        let pod = Pod::new();
        let small = node
            .call("ADD", "c1", &pod.path())
            .configured("/mtu", json!(1279));
        let host = host_end_of(&small.succeed());
        assert!(fs::metadata(format!("/proc/sys/net/ipv6/conf/{host}")).is_err());
        let both = node.with_subnets(&BOTH);
        let refused = both
            .call("ADD", "c2", &pod.path())
            .configured("/mtu", json!(1279));
        assert_eq!(refused.fail()["code"], 7);
    });
}
