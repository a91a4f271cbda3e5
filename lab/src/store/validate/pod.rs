//! Pods, and the pod templates in Deployments.

use super::causes::{Cause, duplicate, forbidden, invalid, required, unsupported};
use super::names;
use crate::store::object::{items, str_of};
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks a pod spec found at `path`.
pub(super) fn check(spec: &Value, path: &str, found: &mut Vec<Cause>) {
    if items(&spec["containers"]).is_empty() {
        found.push(required(&format!("{path}.containers"), ""));
    }
    let mut seen = BTreeSet::new();
    for list in ["initContainers", "containers"] {
        for (index, container) in items(&spec[list]).iter().enumerate() {
            let path = format!("{path}.{list}[{index}]");
            check_container(container, &path, found);
            let name = str_of(&container["name"]);
            if !name.is_empty() && !seen.insert(name) {
                found.push(duplicate(&format!("{path}.name"), &container["name"]));
            }
        }
    }
    one_of(
        spec,
        path,
        "restartPolicy",
        &["Always", "Never", "OnFailure"],
        found,
    );
    one_of(
        spec,
        path,
        "dnsPolicy",
        &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
        found,
    );
    not_negative(spec, path, "terminationGracePeriodSeconds", found);
}

fn check_container(container: &Value, path: &str, found: &mut Vec<Cause>) {
    let name = &container["name"];
    if str_of(name).is_empty() {
        found.push(required(&format!("{path}.name"), ""));
    } else if let Some(why) = names::label(str_of(name)) {
        found.push(invalid(&format!("{path}.name"), name, &why));
    }
    if str_of(&container["image"]).is_empty() {
        found.push(required(&format!("{path}.image"), ""));
    }
    let mut seen = BTreeSet::new();
    for (index, port) in items(&container["ports"]).iter().enumerate() {
        let path = format!("{path}.ports[{index}]");
        check_container_port(port, &path, found);
        let name = str_of(&port["name"]);
        if !name.is_empty() && !seen.insert(name) {
            found.push(duplicate(&format!("{path}.name"), &port["name"]));
        }
    }
    for (index, variable) in items(&container["env"]).iter().enumerate() {
        if str_of(&variable["name"]).is_empty() {
            found.push(required(&format!("{path}.env[{index}].name"), ""));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[probe].is_object() {
            check_probe(&container[probe], &format!("{path}.{probe}"), found);
        }
    }
}

fn check_container_port(port: &Value, path: &str, found: &mut Vec<Cause>) {
    if let Some(why) = Some(str_of(&port["name"]))
        .filter(|n| !n.is_empty())
        .and_then(names::port_name)
    {
        found.push(invalid(&format!("{path}.name"), &port["name"], &why));
    }
    if port["containerPort"].is_null() {
        found.push(required(&format!("{path}.containerPort"), ""));
    } else if let Some(why) = names::port(port["containerPort"].as_i64()) {
        found.push(invalid(
            &format!("{path}.containerPort"),
            &port["containerPort"],
            &why,
        ));
    }
    one_of(port, path, "protocol", &["SCTP", "TCP", "UDP"], found);
}

fn check_probe(probe: &Value, path: &str, found: &mut Vec<Cause>) {
    let handlers: Vec<&str> = ["exec", "httpGet", "tcpSocket", "grpc"]
        .into_iter()
        .filter(|handler| !probe[*handler].is_null())
        .collect();
    if handlers.is_empty() {
        found.push(required(path, "must specify a handler type"));
    }
    for extra in handlers.iter().skip(1) {
        found.push(forbidden(
            &format!("{path}.{extra}"),
            "may not specify more than 1 handler type",
        ));
    }
    for handler in ["httpGet", "tcpSocket"] {
        let port = &probe[handler]["port"];
        // A port may also be the name of a container port.
        if probe[handler].is_object()
            && !port.is_string()
            && let Some(why) = names::port(port.as_i64())
        {
            found.push(invalid(&format!("{path}.{handler}.port"), port, &why));
        }
    }
    for field in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "failureThreshold",
    ] {
        not_negative(probe, path, field, found);
    }
}

fn not_negative(object: &Value, path: &str, field: &str, found: &mut Vec<Cause>) {
    if object[field].as_i64().is_some_and(|number| number < 0) {
        let why = "must be greater than or equal to 0";
        found.push(invalid(&format!("{path}.{field}"), &object[field], why));
    }
}

fn one_of(object: &Value, path: &str, field: &str, known: &[&str], found: &mut Vec<Cause>) {
    let value = str_of(&object[field]);
    if !value.is_empty() && !known.contains(&value) {
        found.push(unsupported(&format!("{path}.{field}"), value, known));
    }
}

/// A running pod is what it is: its image may change, and a node may be given to it once.
pub(super) fn check_change(current: &Value, next: &Value) -> Vec<Cause> {
    let fixed = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        for list in ["initContainers", "containers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["image"] = Value::Null;
                // Follows the tag of the image when it is filled in.
                container["imagePullPolicy"] = Value::Null;
            }
        }
        if let Value::Object(spec) = &mut spec {
            for field in ["activeDeadlineSeconds", "tolerations"] {
                spec.remove(field);
            }
            if str_of(&current["spec"]["nodeName"]).is_empty() {
                spec.remove("nodeName");
            }
        }
        spec
    };
    if fixed(current) == fixed(next) {
        return Vec::new();
    }
    vec![forbidden(
        "spec",
        "pod updates may not change fields other than `spec.containers[*].image`,\
         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
         additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be \
         set to 1 if it was previously negative)",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(spec: &Value) -> Vec<String> {
        let mut found = Vec::new();
        check(spec, "spec", &mut found);
        found.into_iter().map(|cause| cause.field).collect()
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |extra: Value| {
            let mut container = json!({"name": "c", "image": "i"});
            container
                .as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            json!({"containers": [container]})
        };
        let rows = [
            (json!({}), vec!["spec.containers"]),
            (
                json!({"containers": [{}]}),
                vec!["spec.containers[0].name", "spec.containers[0].image"],
            ),
            (with(json!({})), vec![]),
            (with(json!({"name": "C"})), vec!["spec.containers[0].name"]),
            (
                with(json!({"ports": [{}]})),
                vec!["spec.containers[0].ports[0].containerPort"],
            ),
            (
                with(json!({"ports": [{"containerPort": 70000, "protocol": "X"}]})),
                vec![
                    "spec.containers[0].ports[0].containerPort",
                    "spec.containers[0].ports[0].protocol",
                ],
            ),
            (
                with(
                    json!({"ports": [{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]}),
                ),
                vec!["spec.containers[0].ports[1].name"],
            ),
            (
                with(json!({"env": [{"value": "x"}]})),
                vec!["spec.containers[0].env[0].name"],
            ),
            (
                with(json!({"readinessProbe": {}})),
                vec!["spec.containers[0].readinessProbe"],
            ),
            (
                with(
                    json!({"readinessProbe": {"httpGet": {"port": 0}, "exec": {}, "periodSeconds": -1}}),
                ),
                vec![
                    "spec.containers[0].readinessProbe.httpGet",
                    "spec.containers[0].readinessProbe.httpGet.port",
                    "spec.containers[0].readinessProbe.periodSeconds",
                ],
            ),
            (
                with(json!({"readinessProbe": {"httpGet": {"port": "web"}}})),
                vec![],
            ),
        ];
        for (spec, expected) in rows {
            assert_eq!(fields(&spec), expected, "{spec}");
        }
    }

    #[test]
    fn only_the_image_and_the_first_node_may_change() {
        let pod = |image: &str, node: &str, name: &str| json!({"spec": {"nodeName": node, "containers": [{"name": name, "image": image}]}});
        let rows = [
            (pod("a", "", "c"), pod("b", "", "c"), true),
            (pod("a", "", "c"), pod("a", "n1", "c"), true),
            (pod("a", "n1", "c"), pod("a", "n2", "c"), false),
            (pod("a", "", "c"), pod("a", "", "d"), false),
        ];
        for (current, next, allowed) in rows {
            assert_eq!(
                check_change(&current, &next).is_empty(),
                allowed,
                "{current} {next}"
            );
        }
    }
}
