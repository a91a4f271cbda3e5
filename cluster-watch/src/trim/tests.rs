//! Objects as JSON in, the model's objects and what was left out of them out.

mod policy;

use cluster_model::Protocol::{Sctp, Tcp, Udp};
use cluster_model::testing::{mk_endpoint, mk_node, mk_pod, mk_service, mk_slice};
use cluster_model::{Endpoint, EndpointSlice, Node, Service};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{LeftOut, node, pod, service, slice};

/// What one conversion gave, the complaints as text.
type Outcome<T> = (Option<T>, Vec<String>);

fn converted<K: DeserializeOwned, T>(
    convert: impl FnOnce(K, &mut Vec<LeftOut>) -> Option<T>,
    object: Value,
) -> Outcome<T> {
    // Through text, as it comes over the wire.
    let object = serde_json::from_str(&object.to_string()).expect("the list survives any object");
    let mut left_out = Vec::new();
    let model = convert(object, &mut left_out);
    (model, left_out.iter().map(ToString::to_string).collect())
}

/// A Service object `default/web` with this spec.
fn of_spec(spec: Value) -> Outcome<Service> {
    let metadata = json!({"namespace": "default", "name": "web", "resourceVersion": "7"});
    converted(service, json!({"metadata": metadata, "spec": spec}))
}

/// A slice object `default/web-1` of the Service `web` with these fields.
fn of_slice(fields: Value) -> Outcome<EndpointSlice> {
    let mut object = json!({
        "metadata": {
            "namespace": "default", "name": "web-1", "resourceVersion": "7",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
    });
    let fields = fields.as_object().expect("an object").clone();
    object.as_object_mut().expect("an object").extend(fields);
    converted(slice, object)
}

fn web() -> Service {
    mk_service("default", "web").cluster_ip("10.96.0.1")
}

#[test]
fn services() {
    let port = |fields: Value| json!({"clusterIPs": ["10.96.0.1"], "ports": [fields]});
    let rows = [
        (
            "dual stack",
            json!({"clusterIPs": ["10.96.0.1", "fd00::1"]}),
            web().cluster_ip("fd00::1"),
        ),
        ("clusterIP alone", json!({"clusterIP": "10.96.0.1"}), web()),
        (
            "not allocated",
            json!({"clusterIP": "", "ports": null}),
            mk_service("default", "web"),
        ),
        ("empty", json!({}), mk_service("default", "web")),
        (
            "headless",
            json!({"clusterIP": "None", "clusterIPs": ["None"]}),
            mk_service("default", "web").headless(),
        ),
        (
            "ExternalName",
            json!({"type": "ExternalName", "externalName": "db.example.com"}),
            mk_service("default", "web").external_name("db.example.com"),
        ),
        (
            "unnamed port",
            port(json!({"port": 80})),
            web().port("", Tcp, 80),
        ),
        (
            "NodePort",
            port(json!({"name": "dns", "protocol": "UDP", "port": 53, "nodePort": 30053})),
            web().port("dns", Udp, 53).node_port(30053),
        ),
        (
            "named target port is the slice's business",
            port(json!({"name": "s", "protocol": "SCTP", "port": 1, "targetPort": "sctp"})),
            web().port("s", Sctp, 1),
        ),
        (
            "node port 0 is none",
            port(json!({"port": 80, "nodePort": 0})),
            web().port("", Tcp, 80),
        ),
        (
            "publishNotReadyAddresses",
            json!({"clusterIP": "10.96.0.1", "publishNotReadyAddresses": true}),
            web().publish_not_ready(),
        ),
    ];
    for (case, spec, wanted) in rows {
        assert_eq!(of_spec(spec), (Some(wanted), vec![]), "{case}");
    }
}

#[test]
fn a_service_of_another_proxy_is_marked() {
    let labels = json!({"service.kubernetes.io/service-proxy-name": "other"});
    let metadata = json!({"namespace": "default", "name": "web", "labels": labels});
    let spec = json!({"clusterIP": "10.96.0.1"});
    let outcome = converted(service, json!({"metadata": metadata, "spec": spec}));
    assert_eq!(outcome, (Some(web().other_proxy()), vec![]));
}

#[test]
fn malformed_services_lose_the_malformed_part() {
    let ports = |ports: Value| json!({"clusterIP": "10.96.0.1", "ports": ports});
    let rows = [
        (
            json!({"clusterIPs": ["10.96.0.1", "10.96.0.256"]}),
            Some(web()),
            r#"cluster IP "10.96.0.256": no IP address of the right family"#,
        ),
        (
            ports(json!([{"port": 0}])),
            Some(web()),
            r#"port "": number Some(0)"#,
        ),
        (
            ports(json!([{"name": "x"}])),
            Some(web()),
            r#"port "x": number None"#,
        ),
        (
            ports(json!([{"port": 65536}, {"port": 80}])),
            Some(web().port("", Tcp, 80)),
            r#"port "": number Some(65536)"#,
        ),
        (
            ports(json!([{"name": "q", "port": 1, "protocol": "QUIC"}])),
            Some(web()),
            r#"port "q": protocol "QUIC""#,
        ),
        (
            ports(json!(["http", {"port": 80}])),
            Some(web().port("", Tcp, 80)),
            "one port of unexpected shape",
        ),
        (
            ports(json!("http")),
            None,
            "the whole object: no usable spec",
        ),
        (Value::Null, None, "the whole object: no usable spec"),
        (json!([1, 2]), None, "the whole object: no usable spec"),
        (
            json!({"type": "ExternalName"}),
            None,
            "the whole object: no usable externalName",
        ),
    ];
    for (spec, wanted, complaint) in rows {
        let case = spec.to_string();
        assert_eq!(
            of_spec(spec),
            (wanted, vec![complaint.to_owned()]),
            "{case}"
        );
    }
}

#[test]
fn nameless_objects_are_skipped() {
    let nameless = "the whole object: no name".to_owned();
    for metadata in [
        json!({}),
        json!({"name": "web"}),
        json!({"namespace": "", "name": ""}),
    ] {
        let object = json!({"metadata": metadata, "spec": {}, "addressType": "IPv4"});
        assert_eq!(
            converted(service, object.clone()),
            (None, vec![nameless.clone()])
        );
        assert_eq!(converted(slice, object), (None, vec![nameless.clone()]));
    }
    assert_eq!(
        converted(node, json!({"metadata": {}})),
        (None, vec![nameless])
    );
}

#[test]
fn slices() {
    let one = || mk_slice("default", "web", "web-1");
    let endpoint = |fields: Value| json!({"endpoints": [fields]});
    let conditions = |conditions: Value| {
        endpoint(json!({"addresses": ["10.244.1.2"], "conditions": conditions}))
    };
    let here = || mk_endpoint("10.244.1.2");
    let rows = [
        (
            "empty, as Go writes it",
            json!({"endpoints": null, "ports": null}),
            one(),
        ),
        (
            "conditions absent",
            endpoint(json!({"addresses": ["10.244.1.2"]})),
            one().endpoint(here()),
        ),
        (
            "conditions empty",
            conditions(json!({})),
            one().endpoint(here()),
        ),
        (
            "ready null means ready",
            conditions(json!({"ready": null})),
            one().endpoint(here()),
        ),
        (
            "not ready, serving unsaid",
            conditions(json!({"ready": false})),
            one().endpoint(Endpoint {
                ready: false,
                ..here()
            }),
        ),
        (
            "draining",
            conditions(json!({"ready": false, "serving": true, "terminating": true})),
            one().endpoint(here().draining()),
        ),
        (
            "failing",
            conditions(json!({"ready": false, "serving": false, "terminating": false})),
            one().endpoint(here().unready()),
        ),
        (
            "where it is and what it is called",
            endpoint(json!({
                "addresses": ["10.244.1.2", "10.244.1.3"], "nodeName": "n1", "zone": "a",
                "hostname": "web-0", "targetRef": {"kind": "Pod", "name": "web-0"},
            })),
            one().endpoint(here().on("n1").in_zone("a").hostname("web-0")),
        ),
        (
            "ports",
            json!({"ports": [{"name": "http", "port": 8080}, {"port": 53, "protocol": "UDP"}]}),
            one().port("http", Tcp, 8080).port("", Udp, 53),
        ),
        (
            "IPv6",
            json!({"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::2"]}]}),
            one().v6().ready("fd00::2"),
        ),
    ];
    for (case, fields, wanted) in rows {
        assert_eq!(of_slice(fields), (Some(wanted), vec![]), "{case}");
    }
}

#[test]
fn slices_that_are_not_for_us_are_skipped_in_silence() {
    let fqdn = json!({"addressType": "FQDN", "endpoints": [{"addresses": ["db.example.com"]}]});
    assert_eq!(of_slice(fqdn), (None, vec![]));
    for labels in [
        json!({}),
        json!({"kubernetes.io/service-name": ""}),
        Value::Null,
    ] {
        let metadata = json!({"namespace": "default", "name": "web-1", "labels": labels});
        let outcome = of_slice(json!({"metadata": metadata}));
        assert_eq!(outcome, (None, vec![]));
    }
}

#[test]
fn malformed_slices_lose_the_malformed_part() {
    let address = |text: &str| format!("endpoint {text:?}: no IP address of the right family");
    let good = json!({"addresses": ["10.244.1.2"]});
    let kept = || Some(mk_slice("default", "web", "web-1").ready("10.244.1.2"));
    let rows = [
        (
            json!({"endpoints": [{"addresses": ["10.244.1"]}, good]}),
            kept(),
            address("10.244.1"),
        ),
        (
            json!({"endpoints": [good, {"addresses": ["fd00::2"]}]}),
            kept(),
            address("fd00::2"),
        ),
        (
            json!({"endpoints": [good, {"addresses": []}]}),
            kept(),
            address(""),
        ),
        (
            json!({"endpoints": [good, {"addresses": null}]}),
            kept(),
            address(""),
        ),
        (
            json!({"endpoints": [good, {"addresses": "10.244.1.3"}]}),
            kept(),
            "one endpoint of unexpected shape".to_owned(),
        ),
        (
            json!({"endpoints": [good], "ports": [{"name": "any"}]}),
            kept(),
            r#"port "any": number None"#.to_owned(),
        ),
        (
            json!({"addressType": "MAC", "endpoints": [good]}),
            None,
            "the whole object: no usable addressType".to_owned(),
        ),
    ];
    for (fields, wanted, complaint) in rows {
        let case = fields.to_string();
        assert_eq!(of_slice(fields), (wanted, vec![complaint]), "{case}");
    }
}

#[test]
fn nodes() {
    let n1 = || mk_node("n1");
    let rows: [(Value, Node, &[&str]); 6] = [
        (json!({}), n1(), &[]),
        (
            json!({"status": {"addresses": [
                {"type": "Hostname", "address": "n1"},
                {"type": "InternalIP", "address": "172.30.0.11"},
                {"type": "ExternalIP", "address": "203.0.113.1"},
                {"type": "InternalIP", "address": "fd30::11"},
            ]}}),
            n1().address("172.30.0.11").address("fd30::11"),
            &[],
        ),
        (
            json!({"spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:1::/64"]}}),
            n1().pod_cidr("10.244.1.0/24").pod_cidr("fd00:1::/64"),
            &[],
        ),
        (
            json!({"spec": {"podCIDR": "10.244.1.7/24"}}),
            n1().pod_cidr("10.244.1.0/24"),
            &[],
        ),
        (
            json!({"spec": {"podCIDRs": ["10.244.1.0/33"]}, "status": {"addresses": [
                {"type": "InternalIP", "address": "n1.example.com"}, "172.30.0.11",
            ]}}),
            n1(),
            &[
                "one address of unexpected shape",
                r#"InternalIP "n1.example.com": no IP address of the right family"#,
                r#"CIDR "10.244.1.0/33""#,
            ],
        ),
        (
            json!({"spec": 7, "status": "up"}),
            n1(),
            &[
                "one status of unexpected shape",
                "one spec of unexpected shape",
            ],
        ),
    ];
    for (mut object, wanted, complaints) in rows {
        let case = object.to_string();
        object["metadata"] = json!({"name": "n1", "resourceVersion": "7"});
        let complaints = complaints.iter().map(ToString::to_string).collect();
        assert_eq!(
            converted(node, object),
            (Some(wanted), complaints),
            "{case}"
        );
    }
    let labels = json!({"topology.kubernetes.io/zone": "a"});
    let object = json!({"metadata": {"name": "n1", "labels": labels}});
    assert_eq!(converted(node, object), (Some(n1().in_zone("a")), vec![]));
}

#[test]
fn pods_that_have_not_ended() {
    let of = |spec: Value, status: Value| {
        let metadata = json!({"namespace": "shop", "name": "web-1"});
        converted(
            pod,
            json!({"metadata": metadata, "spec": spec, "status": status}),
        )
    };
    let ips = json!([{"ip": "10.244.1.2"}, {"ip": "fd00::2"}]);
    let web = mk_pod("shop", "web-1", "10.244.1.2").address("fd00::2");
    let running = |phase: &str| json!({"phase": phase, "podIPs": ips});
    let nothing = || Vec::<String>::new();
    assert_eq!(
        of(json!({}), running("Running")),
        (Some(web.clone()), nothing())
    );
    let host = of(json!({"hostNetwork": true}), running("Running"));
    assert_eq!(host, (Some(web.host_network()), nothing()));
    for phase in ["Succeeded", "Failed"] {
        assert_eq!(of(json!({}), running(phase)), (None, nothing()), "{phase}");
    }
    let (pending, said) = of(json!(7), json!({"podIPs": [{"ip": "nowhere"}, {}]}));
    assert_eq!(pending.map(|pod| pod.addresses.len()), Some(0));
    assert_eq!(said.len(), 2, "{said:?}");
}
