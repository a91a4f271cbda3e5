//! The tables of Services and EndpointSlices.

use super::{AGE, Column, NAME, age, labels, name, text_or};
use crate::store::object::{items, str_of};
use jiff::Timestamp;
use serde_json::Value;

pub(super) const SERVICE: &[Column] = &[
    NAME,
    ("Type", "string", 0),
    ("Cluster-IP", "string", 0),
    ("External-IP", "string", 0),
    ("Port(s)", "string", 0),
    AGE,
    ("Selector", "string", 1),
];

pub(super) const SERVICE_CIDR: &[Column] = &[NAME, ("CIDRs", "string", 0), AGE];
pub(super) const SLICE: &[Column] = &[
    NAME,
    ("AddressType", "string", 0),
    ("Ports", "string", 0),
    ("Endpoints", "string", 0),
    AGE,
];

pub(super) fn service(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &service["spec"];
    vec![
        name(service),
        text_or(&spec["type"], "<none>"),
        text_or(&spec["clusterIP"], "<none>"),
        external(service).into(),
        service_ports(spec).into(),
        age(service, now),
        labels(&spec["selector"]),
    ]
}

/// Where the Service is reached from outside.
fn external(service: &Value) -> String {
    let spec = &service["spec"];
    let given: Vec<&str> = items(&spec["externalIPs"]).iter().map(str_of).collect();
    let found = match str_of(&spec["type"]) {
        "ExternalName" => vec![str_of(&spec["externalName"])],
        "LoadBalancer" => {
            let ingress = items(&service["status"]["loadBalancer"]["ingress"]).iter();
            let all: Vec<&str> = ingress.map(ingress_address).chain(given).collect();
            if all.is_empty() {
                return "<pending>".to_owned();
            }
            all
        }
        _ => given,
    };
    if found.is_empty() {
        "<none>".to_owned()
    } else {
        found.join(",")
    }
}

fn ingress_address(entry: &Value) -> &str {
    match str_of(&entry["ip"]) {
        "" => str_of(&entry["hostname"]),
        ip => ip,
    }
}

fn service_ports(spec: &Value) -> String {
    let port = |port: &Value| {
        let (number, protocol) = (&port["port"], str_of(&port["protocol"]));
        match port["nodePort"].as_u64() {
            Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
            _ => format!("{number}/{protocol}"),
        }
    };
    let ports: Vec<String> = items(&spec["ports"]).iter().map(port).collect();
    if ports.is_empty() {
        "<none>".to_owned()
    } else {
        ports.join(",")
    }
}

pub(super) fn slice(slice: &Value, now: Timestamp) -> Vec<Value> {
    let port = |port: &Value| match (&port["port"], str_of(&port["name"])) {
        (Value::Number(number), _) => number.to_string(),
        (_, "") => "*".to_owned(),
        (_, name) => name.to_owned(),
    };
    let ports = items(&slice["ports"]).iter().map(port).collect();
    let endpoints = items(&slice["endpoints"]).iter();
    let addresses = endpoints.flat_map(|endpoint| items(&endpoint["addresses"]));
    let addresses = addresses
        .map(|address| str_of(address).to_owned())
        .collect();
    vec![
        name(slice),
        text_or(&slice["addressType"], "<none>"),
        first_three(ports).into(),
        first_three(addresses).into(),
        age(slice, now),
    ]
}

pub(super) fn service_cidr(cidr: &Value, now: Timestamp) -> Vec<Value> {
    let cidrs = items(&cidr["spec"]["cidrs"]).iter().map(str_of);
    let cidrs: Vec<_> = cidrs.collect();
    vec![name(cidr), cidrs.join(",").into(), age(cidr, now)]
}

fn first_three(all: Vec<String>) -> String {
    match all.len() {
        0 => "<unset>".to_owned(),
        1..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn services() {
        // (spec, status, type, cluster IP, external IP, ports)
        let rows = [
            (
                json!({"type": "ClusterIP", "clusterIP": "10.96.0.10", "ports": [
                    {"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}),
                json!({}),
                ["ClusterIP", "10.96.0.10", "<none>", "53/UDP,53/TCP"],
            ),
            (
                json!({"type": "NodePort", "clusterIP": "10.96.1.1", "externalIPs": ["1.2.3.4"],
                    "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}),
                json!({}),
                ["NodePort", "10.96.1.1", "1.2.3.4", "80:30080/TCP"],
            ),
            (
                json!({"type": "LoadBalancer", "clusterIP": "10.96.1.1"}),
                json!({}),
                ["LoadBalancer", "10.96.1.1", "<pending>", "<none>"],
            ),
            (
                json!({"type": "LoadBalancer", "clusterIP": "10.96.1.1"}),
                json!({"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "lb"}]}}),
                ["LoadBalancer", "10.96.1.1", "9.9.9.9,lb", "<none>"],
            ),
            (
                json!({"type": "ExternalName", "externalName": "a.example"}),
                json!({}),
                ["ExternalName", "<none>", "a.example", "<none>"],
            ),
        ];
        for (spec, status, expected) in rows {
            let object = json!({"spec": spec, "status": status});
            assert_eq!(
                service(&object, crate::store::clock::now())[1..5],
                expected,
                "{object}"
            );
        }
    }

    #[test]
    fn slices_show_three_and_count_the_rest() {
        let endpoints: Vec<Value> = (1..=5)
            .map(|n| json!({"addresses": [format!("10.0.0.{n}")]}))
            .collect();
        let object = json!({"addressType": "IPv4", "ports": [{"port": 80}, {"name": "any"}, {}],
            "endpoints": endpoints});
        let expected = ["IPv4", "80,any,*", "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more..."];
        assert_eq!(slice(&object, crate::store::clock::now())[1..4], expected);
        assert_eq!(slice(&json!({}), crate::store::clock::now())[3], "<unset>");
    }
}
