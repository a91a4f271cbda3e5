//! Configurations as runtimes send them: what they mean, and what is refused by which name.

use super::*;
use serde_json::json;

fn mk_config(json: &Value) -> Config {
    Config::decode(json.to_string().as_bytes()).unwrap()
}

#[test]
fn the_agreed_configuration_and_its_defaults() {
    let config = mk_config(&json!({
        "cniVersion": "1.0.0", "name": "flatnet", "type": "flatnet-cni", "mtu": 1450, "bpffs": "/run/bpf",
        "ipam": {"dataDir": "/run/leases", "ranges": [[{"subnet": "10.244.1.0/24"}]]},
        "capabilities": {"portMappings": true}, "somebody-else's": [1],
    }));
    assert_eq!(config.version().unwrap(), CniVersion::V1_0_0);
    assert_eq!(config.mtu(false).unwrap(), Some(1450));
    assert_eq!(
        config.places().unwrap(),
        Places {
            network: "flatnet".into(),
            leases: "/run/leases/flatnet".into(),
            bpffs: "/run/bpf".into()
        }
    );
    assert_eq!(
        config.range_sets().unwrap()[0].to_string(),
        "10.244.1.1-10.244.1.254"
    );
    config.refuse_unsupported().unwrap();

    let sparse = mk_config(
        &json!({"name": "n", "ipam": {"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.7"}}),
    );
    let default = Places {
        network: "n".into(),
        leases: "/var/lib/cni/networks/n".into(),
        bpffs: "/sys/fs/bpf".into(),
    };
    assert_eq!(sparse.places().unwrap(), default);
    assert_eq!(sparse.mtu(true).unwrap(), None);
    assert_eq!(
        sparse.range_sets().unwrap()[0].to_string(),
        "10.0.0.7-10.0.0.254"
    );
    assert_eq!(sparse.dns(), json!({}));
}

#[test]
fn what_is_refused_and_by_which_name() {
    let rows = [
        (json!({"cniVersion": null}), "0.1.0"),
        (json!({"cniVersion": "0.2.0"}), "0.2.0"),
        (json!({"cniVersion": "2.0.0"}), "2.0.0"),
        (json!({"name": "../etc"}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "n", "bpffs": "sys/fs/bpf"}), "bpffs"),
        (
            json!({"name": "n", "ipam": {"dataDir": "leases"}}),
            "ipam.dataDir",
        ),
        (json!({"mtu": 67}), "mtu"),
        (json!({"mtu": 65536}), "mtu"),
        (json!({"ipam": {}}), "ipam.ranges"),
        (json!({"ipam": {"ranges": [[]]}}), "range set 0"),
        (json!({"ipam": {"ranges": [[{}]]}}), "subnet"),
        (
            json!({"ipam": {"ranges": [[{"subnet": "10.0.0.1/24"}]]}}),
            "10.0.0.1/24",
        ),
        (
            json!({"ipam": {"ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.0.1.0/24"}]]}}),
            "10.0.1.1-10.0.1.254",
        ),
        (
            json!({"ipam": {"subnet": "10.0.0.0/24", "ranges": [
                [{"subnet": "fd00::/64"}], [{"subnet": "fd01::/64"}],
            ]}}),
            "one address of a family",
        ),
        (json!({"ipMasq": true}), "ipMasq"),
        (json!({"prevResult": [1]}), "prevResult"),
        (
            json!({"runtimeConfig": {"portMappings": [{"hostPort": 80}]}}),
            "runtimeConfig.portMappings[].containerPort",
        ),
        (
            json!({"runtimeConfig": {"ipRanges": [[{"subnet": "10.0.0.0/24"}]]}}),
            "runtimeConfig.ipRanges",
        ),
    ];
    for (mut json, expected) in rows {
        let whole = [
            ("cniVersion", json!("1.0.0")),
            ("name", json!("n")),
            ("ipam", json!({"ranges": [[{"subnet": "10.0.0.0/24"}]]})),
        ];
        for (key, value) in whole {
            json.as_object_mut().unwrap().entry(key).or_insert(value);
        }
        let config = mk_config(&json);
        let judged = config
            .version()
            .map(drop)
            .and_then(|()| config.places().map(drop))
            .and_then(|()| config.mtu(false).map(drop))
            .and_then(|()| config.refuse_unsupported())
            .and_then(|()| config.mappings().map(drop))
            .and_then(|()| config.previous().map(drop))
            .and_then(|()| config.range_sets().map(drop));
        let refused = judged.expect_err(&json.to_string()).to_string();
        assert!(
            refused.contains(expected),
            "{json}: {refused:?} lacks {expected:?}"
        );
    }
}

#[test]
fn ipv6_needs_its_smallest_mtu() {
    for (mtu, refused) in [(1279, true), (1280, false), (0, false)] {
        let config = mk_config(&json!({"mtu": mtu}));
        assert_eq!(config.mtu(true).is_err(), refused, "{mtu}");
        assert!(config.mtu(false).is_ok(), "{mtu}");
    }
}

#[test]
fn each_family_may_have_a_range_set() {
    let rows = [
        (json!([[{"subnet": "fd00::/64"}]]), vec![false]),
        (
            json!([[{"subnet": "fd00::/64"}], [{"subnet": "10.0.0.0/24"}, {"subnet": "10.0.1.0/24"}]]),
            vec![false, true],
        ),
    ];
    for (ranges, families) in rows {
        let config = mk_config(&json!({"ipam": {"ranges": ranges}}));
        let sets = config.range_sets().unwrap();
        let told: Vec<_> = sets.iter().map(RangeSet::is_ipv4).collect();
        assert_eq!(told, families, "{ranges}");
    }
}

#[test]
fn empty_lists_and_null_ask_for_nothing() {
    let config = mk_config(&json!({
        "prevResult": null, "ipMasq": false, "mtu": 0,
        "runtimeConfig": {"ipRanges": [], "ips": []}, "args": {"cni": {}},
    }));
    config.refuse_unsupported().unwrap();
    assert_eq!(config.previous().unwrap(), None);
    assert_eq!(config.mtu(false).unwrap(), None);
}

#[test]
fn a_limit_to_what_the_pod_sends_leaves_room_for_the_plugin_that_sets_it() {
    let rows = [
        (json!(null), Attach::Filter, false),
        (
            json!({"ingressRate": 8000, "ingressBurst": 8000}),
            Attach::Filter,
            true,
        ),
        (
            json!({"egressRate": 0, "egressBurst": 0}),
            Attach::Filter,
            false,
        ),
        (
            json!({"egressRate": 8000, "egressBurst": 8000}),
            Attach::Link,
            true,
        ),
        // As containerd writes it.
        (json!({"EgressRate": 8000}), Attach::Link, true),
    ];
    for (bandwidth, attach, shaped) in rows {
        let config = json!({"name": "n", "runtimeConfig": {"bandwidth": bandwidth}});
        assert_eq!(mk_config(&config).attach(), attach, "{config}");
        assert_eq!(mk_config(&config).shaped(), shaped, "{config}");
    }
}

#[test]
fn an_annotation_says_no_to_the_socket_path() {
    let said = |annotations| {
        let runtime = json!({"io.kubernetes.cri.pod-annotations": annotations});
        let config = mk_config(&json!({"name": "n", "runtimeConfig": runtime}));
        config.packets_only().map_err(|error| error.to_string())
    };
    assert_eq!(
        said(json!(null)),
        Ok(false),
        "a runtime that hands none over"
    );
    assert_eq!(said(json!({"other": "false"})), Ok(false));
    assert_eq!(said(json!({"flatnet.dev/socket-lb": "true"})), Ok(false));
    assert_eq!(said(json!({"flatnet.dev/socket-lb": "false"})), Ok(true));
    let error = said(json!({"flatnet.dev/socket-lb": "off"})).unwrap_err();
    assert!(error.contains("flatnet.dev/socket-lb"), "{error}");
}

#[test]
fn what_does_not_decode() {
    for stdin in [
        "",
        "null",
        "[]",
        "{",
        r#"{"mtu":"big"}"#,
        r#"{"ipam":{"ranges":[[{"subnet":"10.0.0.0"}]]}}"#,
    ] {
        assert!(
            matches!(Config::decode(stdin.as_bytes()), Err(Error::Decode(_))),
            "{stdin:?}"
        );
    }
}
