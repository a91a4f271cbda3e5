//! Tables for EndpointSlices: a Service, its pods, the slices there are, the writes.

use super::*;
use crate::objects;
use serde_json::{Value, json};

fn service(spec: Value) -> Service {
    let mut object = json!({
        "metadata": {"name": "web", "namespace": "d", "labels": {"team": "a"}},
        "spec": {
            "clusterIP": "10.96.1.1",
            "selector": {"app": "web"},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    objects::read(&object).expect("a service")
}

fn pod(number: u8, change: impl FnOnce(&mut Value)) -> Pod {
    let mut object = json!({
        "metadata": {
            "name": format!("p{number}"), "namespace": "d", "uid": format!("u{number}"),
            "labels": {"app": "web"},
        },
        "spec": {
            "nodeName": "node1",
            "containers": [{"name": "c", "ports": [{"name": "main", "containerPort": 9000}]}],
        },
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": format!("10.244.1.{number}")}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    change(&mut object);
    objects::read(&object).expect("a pod")
}

fn ready(number: u8) -> Pod {
    pod(number, |_| ())
}

fn zones() -> BTreeMap<String, String> {
    [("node1".to_owned(), "z1".to_owned())].into()
}

/// Carries the writes out, naming new slices in turn.
fn apply(existing: &[Slice], operations: Vec<Operation>) -> Vec<Slice> {
    let mut slices = existing.to_vec();
    for operation in operations {
        match operation {
            Operation::Create(mut slice) => {
                slice.name = format!("web-{}", slices.len());
                slices.push(slice);
            }
            Operation::Update(slice) => {
                let known = slices.iter_mut().find(|known| known.name == slice.name);
                *known.expect("updates name a slice") = slice;
            }
            Operation::Delete(name) => slices.retain(|slice| slice.name != name),
        }
    }
    slices
}

fn settle(service: &Service, pods: &[Pod], existing: &[Slice]) -> Vec<Slice> {
    let slices = apply(existing, decide(service, pods, &zones(), existing));
    assert_eq!(
        decide(service, pods, &zones(), &slices),
        [],
        "a second pass changes nothing"
    );
    slices
}

#[test]
fn conditions_are_upstreams() {
    let unready = |object: &mut Value| object["status"]["conditions"][0]["status"] = json!("False");
    let going = |object: &mut Value| object["metadata"]["deletionTimestamp"] = json!("t");
    let both = |object: &mut Value| {
        unready(object);
        going(object);
    };
    let rows = [
        // (pod, publishNotReadyAddresses, ready, serving, terminating)
        (ready(2), false, true, true, false),
        (pod(2, unready), false, false, false, false),
        (pod(2, going), false, false, true, true),
        (pod(2, both), false, false, false, true),
        (pod(2, unready), true, true, false, false),
        (pod(2, going), true, true, true, true),
    ];
    for (pod, publish, ready, serving, terminating) in rows {
        let service = service(json!({"publishNotReadyAddresses": publish}));
        let slices = settle(&service, std::slice::from_ref(&pod), &[]);
        let found = slices[0].endpoints[0].conditions;
        assert_eq!(
            (found.ready, found.serving, found.terminating),
            (ready, serving, terminating),
            "{pod:?} {publish}"
        );
    }
}

#[test]
fn who_is_an_endpoint_and_what_it_says() {
    let named = |object: &mut Value| {
        object["spec"]["hostname"] = json!("db-0");
        object["spec"]["subdomain"] = json!("web");
    };
    let rows: [(Pod, usize); 5] = [
        (pod(2, named), 1),
        (
            pod(2, |p| p["metadata"]["labels"] = json!({"app": "other"})),
            0,
        ),
        (pod(2, |p| p["metadata"]["namespace"] = json!("e")), 0),
        (pod(2, |p| p["status"]["podIPs"] = json!([])), 0),
        (pod(2, |p| p["status"]["phase"] = json!("Failed")), 0),
    ];
    for (pod, count) in &rows {
        let slices = settle(&service(json!({})), std::slice::from_ref(pod), &[]);
        assert_eq!(slices[0].endpoints.len(), *count, "{pod:?}");
    }
    let slices = settle(&service(json!({})), &[rows[0].0.clone()], &[]);
    let endpoint = &slices[0].endpoints[0];
    assert_eq!(endpoint.hostname.as_deref(), Some("db-0"));
    assert_eq!(endpoint.zone.as_deref(), Some("z1"));
    assert_eq!(endpoint.target_ref.name, "p2");
    assert_eq!(slices[0].labels[SERVICE_NAME], "web");
    assert_eq!(slices[0].labels["team"], "a");
    assert!(!slices[0].labels.contains_key(HEADLESS));
    let headless = service(json!({"clusterIP": "None"}));
    assert!(settle(&headless, &[], &[])[0].labels.contains_key(HEADLESS));
}

#[test]
fn a_named_target_port_is_each_pods_own() {
    let other = pod(3, |p| {
        p["spec"]["containers"][0]["ports"][0]["containerPort"] = json!(9001)
    });
    let service = service(json!({"ports": [{"port": 80, "targetPort": "main"}]}));
    let slices = settle(&service, &[ready(2), other, ready(4)], &[]);
    let seen: Vec<_> = slices
        .iter()
        .map(|slice| (slice.ports[0].port, slice.endpoints.len()))
        .collect();
    assert_eq!(seen, [(9000, 2), (9001, 1)]);
}

#[test]
fn a_service_without_endpoints_keeps_one_empty_slice_and_its_name() {
    let service = service(json!({}));
    let empty = settle(&service, &[], &[]);
    assert_eq!(
        (empty.len(), empty[0].endpoints.len(), empty[0].ports.len()),
        (1, 0, 0)
    );
    let one = settle(&service, &[ready(2)], &empty);
    assert_eq!(
        (one.len(), &one[0].name),
        (1, &empty[0].name),
        "written over, not replaced"
    );
    let none = settle(&service, &[], &one);
    assert_eq!(none.len(), 1);
}

#[test]
fn slices_hold_a_hundred_and_change_little() {
    let service = service(json!({}));
    let pods: Vec<_> = (1..=250).map(ready).collect();
    let slices = settle(&service, &pods, &[]);
    let sizes: Vec<_> = slices.iter().map(|slice| slice.endpoints.len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    let without_first = &pods[1..];
    let operations = decide(&service, without_first, &zones(), &slices);
    assert_eq!(operations.len(), 1, "one endpoint less touches one slice");
    let slices = settle(&service, without_first, &slices);
    let operations = decide(&service, &pods, &zones(), &slices);
    assert!(
        matches!(operations.as_slice(), [Operation::Update(slice)] if slice.endpoints.len() == 100)
    );
}

#[test]
fn families_have_slices_of_their_own() {
    let dual = pod(2, |p| {
        p["status"]["podIPs"] = json!([{"ip": "10.244.1.2"}, {"ip": "fd00::2"}]);
    });
    let service = service(json!({"ipFamilies": ["IPv6", "IPv4"]}));
    let slices = settle(&service, &[dual], &[]);
    let addresses: Vec<_> = slices
        .iter()
        .map(|slice| slice.endpoints[0].addresses[0].to_string())
        .collect();
    assert_eq!(addresses, ["10.244.1.2", "fd00::2"]);
}
