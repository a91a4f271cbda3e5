//! The tables of Deployments and DaemonSets.

use super::{AGE, Column, NAME, age, labels, name};
use crate::store::object::{items, str_of};
use jiff::Timestamp;
use serde_json::Value;

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    ("Ready", "string", 0),
    ("Up-to-date", "string", 0),
    ("Available", "string", 0),
    AGE,
    ("Containers", "string", 1),
    ("Images", "string", 1),
    ("Selector", "string", 1),
];

pub(super) fn cells(deployment: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let count = |value: &Value| value.as_i64().unwrap_or_default();
    let containers = items(&spec["template"]["spec"]["containers"]);
    let field = |field: &str| -> Value {
        containers
            .iter()
            .map(|c| str_of(&c[field]))
            .collect::<Vec<_>>()
            .join(",")
            .into()
    };
    vec![
        name(deployment),
        format!(
            "{}/{}",
            count(&status["readyReplicas"]),
            count(&spec["replicas"])
        )
        .into(),
        count(&status["updatedReplicas"]).into(),
        count(&status["availableReplicas"]).into(),
        age(deployment, now),
        field("name"),
        field("image"),
        labels(&spec["selector"]["matchLabels"]),
    ]
}

pub(super) const DAEMON_SET: &[Column] = &[
    NAME,
    ("Desired", "integer", 0),
    ("Current", "integer", 0),
    ("Ready", "integer", 0),
    ("Up-to-date", "integer", 0),
    ("Available", "integer", 0),
    ("Node Selector", "string", 0),
    AGE,
];

pub(super) fn daemon_set(set: &Value, now: Timestamp) -> Vec<Value> {
    let count = |field: &str| -> Value { set["status"][field].as_i64().unwrap_or_default().into() };
    vec![
        name(set),
        count("desiredNumberScheduled"),
        count("currentNumberScheduled"),
        count("numberReady"),
        count("updatedNumberScheduled"),
        count("numberAvailable"),
        labels(&set["spec"]["template"]["spec"]["nodeSelector"]),
        age(set, now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deployment_on_its_way() {
        let deployment = json!({
            "metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
                "template": {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}},
            "status": {"readyReplicas": 1, "updatedReplicas": 2},
        });
        let cells = cells(&deployment, crate::store::clock::now());
        let expected = json!(["web", "1/3", 2, 0, "<unknown>", "a,b", "x,y", "app=web"]);
        assert_eq!(Value::Array(cells), expected);
    }
}
