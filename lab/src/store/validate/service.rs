//! Services: ports, type, addresses.

use super::causes::{Cause, duplicate, invalid, required, unsupported};
use super::{metadata, names};
use crate::store::object::{items, str_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;

pub(super) fn check(service: &Value, found: &mut Vec<Cause>) {
    let spec = &service["spec"];
    let kind = str_of(&spec["type"]);
    for (field, known) in [
        (
            "type",
            &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"][..],
        ),
        ("sessionAffinity", &["ClientIP", "None"]),
        ("internalTrafficPolicy", &["Cluster", "Local"]),
        ("externalTrafficPolicy", &["Cluster", "Local"]),
        (
            "ipFamilyPolicy",
            &["PreferDualStack", "RequireDualStack", "SingleStack"],
        ),
    ] {
        let value = str_of(&spec[field]);
        if !spec[field].is_null() && !known.contains(&value) {
            found.push(unsupported(&format!("spec.{field}"), value, known));
        }
    }
    metadata::check_labels(&spec["selector"], "spec.selector", found);
    check_addresses(spec, kind, found);
    let headless = spec["clusterIP"] == "None";
    if items(&spec["ports"]).is_empty() && !headless && kind != "ExternalName" {
        found.push(required("spec.ports", ""));
    }
    check_ports(items(&spec["ports"]), found);
}

fn check_addresses(spec: &Value, kind: &str, found: &mut Vec<Cause>) {
    if kind == "ExternalName" {
        let name = str_of(&spec["externalName"]).trim_end_matches('.');
        if name.is_empty() {
            found.push(required("spec.externalName", ""));
        } else if let Some(why) = names::subdomain(name) {
            found.push(invalid("spec.externalName", &spec["externalName"], &why));
        }
        return;
    }
    if spec["clusterIP"] == "None" && kind != "ClusterIP" {
        let why = format!("may not be set to 'None' for {kind} services");
        found.push(invalid("spec.clusterIPs[0]", &json!("None"), &why));
    }
    let addresses = items(&spec["clusterIPs"]);
    if let Some(first) = addresses.first()
        && *first != spec["clusterIP"]
    {
        let why = "first value must match `clusterIP`";
        found.push(invalid("spec.clusterIPs", &spec["clusterIPs"], why));
    }
    for (index, address) in addresses.iter().enumerate() {
        let text = str_of(address);
        if text != "None" && !text.is_empty() && text.parse::<IpAddr>().is_err() {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            found.push(invalid(&format!("spec.clusterIPs[{index}]"), address, why));
        }
    }
}

fn check_ports(ports: &[Value], found: &mut Vec<Cause>) {
    let mut named = BTreeSet::new();
    let mut numbered = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = str_of(&port["name"]);
        if name.is_empty() {
            if ports.len() > 1 {
                found.push(required(&format!("{path}.name"), ""));
            }
        } else if let Some(why) = names::label(name) {
            found.push(invalid(&format!("{path}.name"), &port["name"], &why));
        } else if !named.insert(name) {
            found.push(duplicate(&format!("{path}.name"), &port["name"]));
        }
        check_port(port, &path, found);
        if !numbered.insert((port["port"].as_i64(), str_of(&port["protocol"]))) {
            found.push(duplicate(&path, port));
        }
    }
}

fn check_port(port: &Value, path: &str, found: &mut Vec<Cause>) {
    let number = if port["port"].is_null() {
        &json!(0)
    } else {
        &port["port"]
    };
    if let Some(why) = names::port(number.as_i64()) {
        found.push(invalid(&format!("{path}.port"), number, &why));
    }
    let protocol = str_of(&port["protocol"]);
    let known = ["SCTP", "TCP", "UDP"];
    if !known.contains(&protocol) {
        found.push(unsupported(&format!("{path}.protocol"), protocol, &known));
    }
    let target = &port["targetPort"];
    let why = match target {
        Value::String(name) => names::port_name(name),
        // Filled in from a port that is reported already.
        Value::Null => None,
        number => names::port(number.as_i64()),
    };
    found.extend(why.map(|why| invalid(&format!("{path}.targetPort"), target, &why)));
}

pub(super) fn check_change(current: &Value, next: &Value) -> Vec<Cause> {
    let (current, next) = (&current["spec"], &next["spec"]);
    if current["type"] == "ExternalName" || next["type"] == "ExternalName" {
        return Vec::new();
    }
    let addresses = items(&next["clusterIPs"]);
    let changed = |(index, old): (usize, &Value)| {
        let new = addresses.get(index);
        (new.is_some() && new != Some(old)).then(|| {
            let field = format!("spec.clusterIPs[{index}]");
            invalid(&field, &next["clusterIPs"], "may not change once set")
        })
    };
    items(&current["clusterIPs"])
        .iter()
        .enumerate()
        .filter_map(changed)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Kind, defaults};

    fn messages(spec: Value) -> Vec<String> {
        let mut service = json!({"metadata": {"name": "s"}, "spec": spec});
        defaults::fill(Kind::Service, &mut service, None);
        let mut found = Vec::new();
        check(&service, &mut found);
        found
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn what_is_wrong_is_named() {
        let range = "must be between 1 and 65535, inclusive";
        let rows = [
            (json!({"ports": [{"port": 80}]}), vec![]),
            (json!({"clusterIP": "None"}), vec![]),
            (json!({}), vec!["spec.ports: Required value".to_owned()]),
            (
                json!({"ports": [{"port": 0}]}),
                vec![
                    format!("spec.ports[0].port: Invalid value: 0: {range}"),
                    format!("spec.ports[0].targetPort: Invalid value: 0: {range}"),
                ],
            ),
            (
                json!({"ports": [{"port": 1}, {"port": 2, "name": "b"}]}),
                vec!["spec.ports[0].name: Required value".to_owned()],
            ),
            (
                json!({"ports": [{"port": 1, "name": "b"}, {"port": 2, "name": "b"}]}),
                vec!["spec.ports[1].name: Duplicate value: \"b\"".to_owned()],
            ),
            (
                json!({"ports": [{"port": 1, "protocol": "ICMP"}]}),
                vec![
                    "spec.ports[0].protocol: Unsupported value: \"ICMP\": supported values: \
                     \"SCTP\", \"TCP\", \"UDP\""
                        .to_owned(),
                ],
            ),
            (
                json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 1}]}),
                vec![
                    "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for \
                     NodePort services"
                        .to_owned(),
                ],
            ),
            (
                json!({"type": "ExternalName"}),
                vec!["spec.externalName: Required value".to_owned()],
            ),
        ];
        for (spec, expected) in rows {
            assert_eq!(messages(spec.clone()), expected, "{spec}");
        }
    }

    #[test]
    fn same_port_for_two_protocols_is_no_duplicate() {
        let dns = json!({"ports": [{"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53}]});
        assert_eq!(messages(dns), Vec::<String>::new());
    }
}
