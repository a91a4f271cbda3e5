//! Lists as runtimes send them, and what becomes of them for a pod of each kind.

use super::*;
use serde_json::json;

const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 244, 1, 7));

fn v6() -> IpAddr {
    "fd00:1::7".parse().unwrap()
}

/// The entries as `protocol key -> endpoint`.
fn told(list: &Value, addresses: &[IpAddr]) -> Vec<String> {
    let mappings = Mappings::read(list).unwrap();
    let has = |v4| addresses.iter().any(|it| it.is_ipv4() == v4);
    mappings.judge(has(true), has(false)).unwrap();
    let entries = mappings.entries(addresses).into_iter();
    let told = entries.map(|(key, endpoint)| {
        let (from, to) = (IpAddr::from(key.address), IpAddr::from(endpoint.address));
        let (port, inner) = (key.port.number(), endpoint.port.number());
        format!("{} {from} {port} -> {to} {inner}", key.protocol)
    });
    told.collect()
}

#[test]
fn a_mapping_without_address_is_for_each_family_of_the_pods() {
    let list = json!([{"hostPort": 8080, "containerPort": 80}]);
    assert_eq!(told(&list, &[V4]), ["6 0.0.0.0 8080 -> 10.244.1.7 80"]);
    assert_eq!(told(&list, &[v6()]), ["6 :: 8080 -> fd00:1::7 80"]);
    let mut both = told(&list, &[V4, v6()]);
    both.sort();
    assert_eq!(
        both,
        [
            "6 0.0.0.0 8080 -> 10.244.1.7 80",
            "6 :: 8080 -> fd00:1::7 80"
        ]
    );
}

#[test]
fn as_containerd_writes_them() {
    let list =
        json!([{"HostPort": 8080, "ContainerPort": 80, "Protocol": "udp", "HostIP": "127.0.0.1"}]);
    assert_eq!(told(&list, &[V4]), ["17 127.0.0.1 8080 -> 10.244.1.7 80"]);
}

#[test]
fn addresses_and_protocols() {
    let row = |host_ip: &str, protocol: &str| json!([{"hostPort": 53, "containerPort": 5353, "hostIP": host_ip, "protocol": protocol}]);
    let rows = [
        ("127.0.0.1", "UDP", "17 127.0.0.1 53 -> 10.244.1.7 5353"),
        ("0.0.0.0", "Sctp", "132 0.0.0.0 53 -> 10.244.1.7 5353"),
        ("::ffff:192.0.2.1", "", "6 192.0.2.1 53 -> 10.244.1.7 5353"),
        ("::", "tcp", "6 :: 53 -> fd00:1::7 5353"),
        ("fd00:30::1", "tcp", "6 fd00:30::1 53 -> fd00:1::7 5353"),
    ];
    for (host_ip, protocol, expected) in rows {
        assert_eq!(told(&row(host_ip, protocol), &[V4, v6()]), [expected]);
    }
}

#[test]
fn what_maps_nothing_and_what_maps_twice_the_same() {
    let nothing = [
        json!(null),
        json!([]),
        json!([{"hostPort": 0, "containerPort": 80, "protocol": "none"}]),
        json!([{"containerPort": 80}]),
    ];
    for list in nothing {
        assert_eq!(told(&list, &[V4]), [""; 0], "{list}");
    }
    let twice = json!([
        {"hostPort": 80, "containerPort": 80},
        {"hostPort": 80, "containerPort": 80, "hostIP": "0.0.0.0", "protocol": "TCP"},
    ]);
    assert_eq!(told(&twice, &[V4]).len(), 1);
}

/// One row: the list, the field that is named, a word of why.
#[test]
fn what_is_refused_and_by_which_name() {
    let one = |key: &str, value: Value| {
        let mut mapping = json!({"hostPort": 80, "containerPort": 80});
        mapping[key] = value;
        json!([mapping])
    };
    let rows = [
        (json!({}), "portMappings:", "no list"),
        (json!([80]), "portMappings:", "no mapping"),
        (json!([null]), "portMappings:", "no mapping"),
        (one("hostPort", json!(65536)), "hostPort", "65536"),
        (one("hostPort", json!(-1)), "hostPort", "1 to 65535"),
        (one("hostPort", json!("80")), "hostPort", "1 to 65535"),
        (
            one("containerPort", json!(0)),
            "containerPort",
            "1 to 65535",
        ),
        (
            one("containerPort", json!(null)),
            "containerPort",
            "1 to 65535",
        ),
        (one("protocol", json!("icmp")), "protocol", "icmp"),
        (one("protocol", json!(6)), "protocol", "tcp, udp or sctp"),
        (one("hostIP", json!("localhost")), "hostIP", "localhost"),
        (one("hostIP", json!(7)), "hostIP", "no IP address"),
        (one("hostIP", json!("fd00::1")), "hostIP", "family"),
        (
            json!([
                {"hostPort": 80, "containerPort": 80, "hostIP": ""},
                {"hostPort": 80, "containerPort": 81, "hostIP": "0.0.0.0"},
            ]),
            "hostPort",
            "twice",
        ),
    ];
    for (list, field, word) in rows {
        let judged = Mappings::read(&list).and_then(|mappings| mappings.judge(true, false));
        let refused = judged.expect_err(&list.to_string()).to_string();
        for word in [field, word] {
            assert!(refused.contains(word), "{list}: {refused:?} lacks {word:?}");
        }
    }
}
