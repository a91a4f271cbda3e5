//! The table of nodes, after upstream's `printNode`.

use super::{AGE, Column, NAME, age, name, text_or};
use crate::store::object::{items, str_of};
use jiff::Timestamp;
use serde_json::Value;

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    ("Status", "string", 0),
    ("Roles", "string", 0),
    AGE,
    ("Version", "string", 0),
    ("Internal-IP", "string", 1),
    ("External-IP", "string", 1),
    ("OS-Image", "string", 1),
    ("Kernel-Version", "string", 1),
    ("Container-Runtime", "string", 1),
];

pub(super) fn cells(node: &Value, now: Timestamp) -> Vec<Value> {
    let info = &node["status"]["nodeInfo"];
    vec![
        name(node),
        status(node).into(),
        roles(node).into(),
        age(node, now),
        info["kubeletVersion"].as_str().unwrap_or_default().into(),
        address(node, "InternalIP").into(),
        address(node, "ExternalIP").into(),
        text_or(&info["osImage"], "<unknown>"),
        text_or(&info["kernelVersion"], "<unknown>"),
        text_or(&info["containerRuntimeVersion"], "<unknown>"),
    ]
}

fn status(node: &Value) -> String {
    let ready = items(&node["status"]["conditions"])
        .iter()
        .find(|c| c["type"] == "Ready");
    let word = match ready.map(|c| str_of(&c["status"])) {
        None => "Unknown",
        Some("True") => "Ready",
        Some(_) => "NotReady",
    };
    let closed = node["spec"]["unschedulable"] == true;
    format!("{word}{}", if closed { ",SchedulingDisabled" } else { "" })
}

fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/")
    {
        Some(role) if !role.is_empty() => Some(role.to_owned()),
        _ if key == "kubernetes.io/role" => Some(str_of(value).to_owned()),
        _ => None,
    };
    let roles: Vec<String> = labels.filter_map(role).collect();
    if roles.is_empty() {
        "<none>".to_owned()
    } else {
        roles.join(",")
    }
}

fn address<'a>(node: &'a Value, wanted: &str) -> &'a str {
    let addresses = items(&node["status"]["addresses"]).iter();
    addresses
        .filter(|a| a["type"] == wanted)
        .map(|a| str_of(&a["address"]))
        .next()
        .unwrap_or("<none>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn status_and_roles() {
        let node = |ready: &str, closed: bool| {
            json!({"spec": {"unschedulable": closed},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}})
        };
        assert_eq!(status(&node("True", false)), "Ready");
        assert_eq!(status(&node("False", true)), "NotReady,SchedulingDisabled");
        assert_eq!(status(&json!({})), "Unknown");
        let labels = json!({"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}});
        assert_eq!(roles(&labels), "control-plane");
    }
}
