//! Whatever comes in, the judge gives an answer, and it is one of the specification's: bytes of
//! no meaning, and configurations of which a part is something else.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use cni_plugin::{Input, judge};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What must hold of every answer.
fn is_an_answer(environment: Vec<(String, OsString)>, stdin: Vec<u8>) {
    let Some(text) = judge(&Input::new(environment, stdin)) else {
        return;
    };
    let error: Value = serde_json::from_str(&text).expect("JSON");
    assert!(error["cniVersion"].is_string(), "{error}");
    assert!((1..200).contains(&error["code"].as_u64().expect("a code")));
    assert_ne!(error["msg"].as_str().expect("a message"), "");
}

fn variables() -> impl Strategy<Value = Vec<(String, OsString)>> {
    let verb = prop_oneof![
        9 => prop::sample::select(vec!["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"])
            .prop_map(OsString::from),
        1 => any::<Vec<u8>>().prop_map(OsString::from_vec),
    ];
    let value = |good: &'static str| {
        prop_oneof![
            6 => Just(OsString::from(good)),
            1 => "\\PC{0,20}".prop_map(OsString::from),
            1 => any::<Vec<u8>>().prop_map(OsString::from_vec),
        ]
    };
    let values = (
        verb,
        value("c1"),
        value("/run/netns/p"),
        value("eth0"),
        value("IgnoreUnknown=1;IP=10.0.0.7;MAC=02:00:00:00:00:01;K8S_POD_NAME=p"),
    );
    values.prop_map(|(verb, id, netns, ifname, arguments)| {
        vec![
            ("CNI_COMMAND".to_owned(), verb),
            ("CNI_CONTAINERID".to_owned(), id),
            ("CNI_NETNS".to_owned(), netns),
            ("CNI_IFNAME".to_owned(), ifname),
            ("CNI_ARGS".to_owned(), arguments),
        ]
    })
}

/// A configuration that uses every key there is.
fn whole() -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "flatnet", "type": "flatnet-cni", "mtu": 1450,
        "bpffs": "/sys/fs/bpf", "ipMasq": false,
        "ipam": {
            "dataDir": "/leases", "subnet": "10.0.0.0/24", "rangeStart": "10.0.0.4",
            "rangeEnd": "10.0.0.9", "gateway": "10.0.0.1",
            "ranges": [[{"subnet": "fd00::/64"}, {"subnet": "fd01::/64"}]],
        },
        "dns": {"nameservers": ["10.96.0.10"]},
        "runtimeConfig": {
            "ips": ["10.0.0.7/24", "fd00::7"], "mac": "02:00:00:00:00:01",
            "bandwidth": {"egressRate": 1, "egressBurst": 1}, "ipRanges": [],
            "portMappings": [
                {"hostPort": 80, "containerPort": 8080, "protocol": "tcp", "hostIP": "127.0.0.1"},
                {"hostPort": 53, "containerPort": 53, "protocol": "UDP"},
            ],
        },
        "args": {"cni": {"ips": ["10.0.0.8"], "mac": "02:00:00:00:00:02"}},
        "prevResult": {
            "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/n", "mtu": 1}],
            "ips": [{"interface": 0, "address": "10.0.0.7/32", "gateway": "169.254.1.1"}],
            "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}],
        },
        "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}],
    })
}

/// Every place in a value, as a JSON pointer.
fn places(value: &Value, at: &str) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, it)| (key.replace('/', "~1"), it))
            .collect(),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(n, it)| (n.to_string(), it))
            .collect(),
        _ => Vec::new(),
    };
    let below = inner
        .into_iter()
        .flat_map(|(key, it)| places(it, &format!("{at}/{key}")));
    std::iter::once(at.to_owned()).chain(below).collect()
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        "[0-9a-f.:/-]{0,24}".prop_map(Value::from),
        any::<std::net::IpAddr>().prop_map(|it| it.to_string().into()),
        (any::<std::net::IpAddr>(), 0..140_u8).prop_map(|(it, n)| format!("{it}/{n}").into()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z]{1,12}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn configuration() -> impl Strategy<Value = Vec<u8>> {
    let all = places(&whole(), "");
    let change = (prop::sample::select(all), anything());
    prop::collection::vec(change, 0..4).prop_map(|changes| {
        let mut config = whole();
        for (place, value) in changes {
            if let Some(there) = config.pointer_mut(&place) {
                *there = value;
            }
        }
        config.to_string().into_bytes()
    })
}

/// Enough to be of use in a second or two; PROPTEST_CASES asks for more.
fn bounded() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig {
        cases: asked.cases.max(2000),
        ..asked
    }
}

proptest! {
    #![proptest_config(bounded())]

    #[test]
    fn bytes_of_no_meaning(environment in variables(), stdin in any::<Vec<u8>>()) {
        is_an_answer(environment, stdin);
    }

    #[test]
    fn a_configuration_of_which_a_part_is_something_else(
        environment in variables(), stdin in configuration(),
    ) {
        is_an_answer(environment, stdin);
    }
}

/// Otherwise the above would change parts of something that is refused for another reason.
#[test]
fn the_configuration_the_parts_are_of_is_good() {
    for verb in ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"] {
        let environment = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_NETNS", "/n"),
            ("CNI_IFNAME", "eth0"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.into()));
        let input = Input::new(environment, whole().to_string().into_bytes());
        assert_eq!(judge(&input), None, "{verb}");
    }
}
