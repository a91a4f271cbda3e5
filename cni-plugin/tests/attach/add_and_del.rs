//! What ADD makes, as the kernel shows it, and that DEL takes all of it away.

use serde_json::{Value, json};

use crate::ask::{filters, ip_json, read};
use crate::node::{Node, Pod, on_a_node};
use crate::result::{address_of, host_end_of};

#[test]
fn add_makes_what_the_result_says_and_del_removes_it() {
    on_a_node(|node| {
        let before = node.leftovers();
        let pod = Pod::new();
        let result = node.add("c1", &pod);
        assert_eq!(address_of(&result), "10.244.1.2");
        assert_eq!(result["interfaces"][1]["sandbox"], pod.path());
        let host = host_end_of(&result);
        check_pod_side(&pod, &result);
        check_node_side(&host, &result);
        assert_eq!(read(node.lease("10.244.1.2")), "c1\r\neth0");
        let entry = node.pods()[&"10.244.1.2".parse().unwrap()];
        assert_eq!(entry.0, index_of(&host));
        assert_eq!(
            entry.1.map(|byte| format!("{byte:02x}")).join(":"),
            result["interfaces"][1]["mac"]
        );

        assert_eq!(node.call("DEL", "c1", &pod.path()).succeed(), Value::Null);
        assert_eq!(node.leftovers(), before);
        pod.inside(|| assert_eq!(names(&ip_json(&["link", "show"])), ["lo"]));
        assert_eq!(
            node.call("DEL", "c1", &pod.path()).succeed(),
            Value::Null,
            "a second time"
        );
    });
}

fn check_pod_side(pod: &Pod, result: &Value) {
    let (links, addresses, routes, neighbours) = pod.inside(|| {
        (
            ip_json(&["link", "show", "dev", "eth0"]),
            ip_json(&["-4", "address", "show", "dev", "eth0"]),
            ip_json(&["-4", "route", "show"]),
            ip_json(&["-4", "neighbour", "show"]),
        )
    });
    assert_eq!(links[0]["address"], result["interfaces"][1]["mac"]);
    assert_eq!(links[0]["mtu"], 1450);
    // (`operstate` says so later, at a moment of the kernel's.)
    let flags = links[0]["flags"].as_array().unwrap();
    assert!(flags.iter().any(|flag| flag == "LOWER_UP"), "{flags:?}");
    assert_eq!(addresses[0]["addr_info"].as_array().unwrap().len(), 1);
    assert_eq!(addresses[0]["addr_info"][0]["local"], "10.244.1.2");
    assert_eq!(addresses[0]["addr_info"][0]["prefixlen"], 32);
    let told: Vec<_> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|route| [&route["dst"], &route["gateway"], &route["scope"]])
        .collect();
    let null = &Value::Null;
    assert_eq!(
        told,
        [
            [&json!("default"), &json!("169.254.1.1"), &json!("global")],
            [&json!("169.254.1.1"), null, &json!("link")]
        ]
    );
    assert_eq!(neighbours[0]["dst"], "169.254.1.1");
    assert_eq!(neighbours[0]["lladdr"], result["interfaces"][0]["mac"]);
    assert_eq!(neighbours[0]["state"], json!(["PERMANENT"]));
}

fn check_node_side(host: &str, result: &Value) {
    let links = ip_json(&["link", "show", "dev", host]);
    assert_eq!(links[0]["linkinfo"]["info_kind"], "veth");
    assert_eq!(links[0]["address"], result["interfaces"][0]["mac"]);
    assert_eq!(links[0]["mtu"], 1450);
    assert_eq!(
        links[0]["qdisc"], "noqueue",
        "the interface sends from the start"
    );
    let routes = ip_json(&["route", "show", "dev", host]);
    assert_eq!(routes[0]["dst"], "10.244.1.2");
    assert_eq!(routes[0]["scope"], "link");
    assert_eq!(routes[0]["protocol"], "170");
    let neighbours = ip_json(&["-4", "neighbour", "show", "dev", host]);
    assert_eq!(neighbours[0]["dst"], "10.244.1.2");
    assert_eq!(neighbours[0]["lladdr"], result["interfaces"][1]["mac"]);
    assert_eq!(neighbours[0]["state"], json!(["PERMANENT"]));
    assert_eq!(
        read(format!("/proc/sys/net/ipv4/conf/{host}/rp_filter")),
        "0"
    );
    assert_eq!(
        read(format!("/proc/sys/net/ipv4/conf/{host}/forwarding")),
        "1"
    );
    assert_eq!(links[0]["ifalias"], "flatnet/c1/eth0");
    assert_eq!(links[0]["inet6_addr_gen_mode"], "none");
    assert_eq!(
        read(format!("/proc/sys/net/ipv6/conf/{host}/accept_ra")),
        "0"
    );
    for (side, program) in [("ingress", "from_pod"), ("egress", "to_pod")] {
        let filters = filters(host, side);
        assert_eq!(filters.len(), 1, "{filters:?}");
        assert_eq!(
            (&filters[0]["kind"], &filters[0]["pref"]),
            (&json!("bpf"), &json!(1))
        );
        assert_eq!(filters[0]["options"]["bpf_name"], program);
        assert_eq!(filters[0]["options"]["direct-action"], true);
    }
}

fn index_of(interface: &str) -> u32 {
    let index = &ip_json(&["link", "show", "dev", interface])[0]["ifindex"];
    index.as_u64().unwrap().try_into().unwrap()
}

fn names(links: &Value) -> Vec<&str> {
    links
        .as_array()
        .unwrap()
        .iter()
        .map(|link| link["ifname"].as_str().unwrap())
        .collect()
}

#[test]
fn del_needs_neither_the_namespace_nor_a_lease_nor_an_add() {
    on_a_node(|node| {
        let before = node.leftovers();
        node.del("never-added");
        let pod = Pod::new();
        let result = node.add("c1", &pod);
        // The entry in the map is found by the interface, then: the pod must not go before it.
        std::fs::remove_file(node.lease(&address_of(&result))).unwrap();
        let gone = node
            .call("DEL", "c1", "/run/netns/gone")
            .configured("/prevResult", result);
        assert_eq!(gone.succeed(), Value::Null);
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn del_works_with_a_configuration_no_pod_could_be_added_with() {
    on_a_node(|node| {
        let before = node.leftovers();
        let pod = Pod::new();
        node.add("c1", &pod);
        let call = node
            .call("DEL", "c1", "")
            .configured("/ipam/ranges", json!([]))
            .configured("/ipMasq", json!(true));
        assert_eq!(call.succeed(), Value::Null);
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn a_container_may_have_two_interfaces() {
    on_a_node(|node| {
        let before = node.leftovers();
        let pod = Pod::new();
        let first = node.add("c1", &pod);
        // The default route is the first's; the second has to be asked for without one.
        pod.inside(|| crate::ask::ip(&["route", "flush", "table", "main"]));
        let second = node
            .call("ADD", "c1", &pod.path())
            .with("CNI_IFNAME", "net1")
            .succeed();
        assert_ne!(host_end_of(&first), host_end_of(&second));
        node.del("c1");
        assert!(
            node.lease(&address_of(&second)).exists(),
            "the other interface's lease stays"
        );
        node.call("DEL", "c1", "")
            .with("CNI_IFNAME", "net1")
            .succeed();
        assert_eq!(node.leftovers(), before);
    });
}

#[test]
fn every_version_answers_in_itself() {
    on_a_node(|node| {
        for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
            let pod = Pod::new();
            let result = node
                .call("ADD", version, &pod.path())
                .version(version)
                .succeed();
            assert_eq!(result["cniVersion"], version);
            assert_eq!(
                result["ips"][0].get("version").is_some(),
                version.starts_with("0."),
                "{version}"
            );
            node.del(version);
        }
        let versions = node.call("VERSION", "", "").succeed();
        assert_eq!(
            versions["supportedVersions"],
            json!(["0.3.1", "0.4.0", "1.0.0", "1.1.0"])
        );
    });
}

#[test]
fn without_an_mtu_the_kernels_default_holds() {
    on_a_node(|node| {
        let pod = Pod::new();
        node.call("ADD", "c1", &pod.path())
            .configured("/mtu", Value::Null)
            .succeed();
        pod.inside(|| assert_eq!(ip_json(&["link", "show", "dev", "eth0"])[0]["mtu"], 1500));
    });
}

/// All that a /24 has addresses for: nobody needs one for a gateway.
#[test]
fn two_hundred_and_fifty_four_pods_at_once() {
    on_a_node(|node: &Node| {
        let before = node.leftovers();
        let pods: Vec<_> = (0..254).map(|_| Pod::new()).collect();
        let run = |command: &str| -> Vec<Value> {
            let call =
                |(n, pod): (usize, &Pod)| node.call(command, &format!("c{n}"), &pod.path()).start();
            let children: Vec<_> = pods.iter().enumerate().map(call).collect();
            let outputs = children
                .into_iter()
                .map(|child| child.wait_with_output().unwrap());
            let checked = outputs.map(|output| {
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stdout)
                );
                serde_json::from_slice(&output.stdout).unwrap_or_default()
            });
            checked.collect()
        };
        let results = run("ADD");
        let addresses: std::collections::BTreeSet<_> = results.iter().map(address_of).collect();
        assert_eq!(addresses.len(), 254);
        let late = node.call("ADD", "late", &Pod::new().path()).fail();
        assert_eq!(late["code"], 100);
        run("DEL");
        assert_eq!(node.leftovers(), before);
    });
}
