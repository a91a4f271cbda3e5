//! Server-side apply, without field ownership.
//!
//! What a manager applies is merged into the object: maps merge, lists merge by all their keys.
//! What is left out compared with upstream: no `managedFields` are recorded, so there are no
//! conflicts between managers, and a field that a manager no longer applies stays as it is instead
//! of being removed.

use super::strategic::sort;
use crate::api::schema::{Shape, Struct};
use crate::store::ApiError;
use serde_json::{Map, Value, json};

pub(super) fn apply(
    shape: &'static Struct,
    wanted: &Value,
    current: &Value,
) -> Result<Value, ApiError> {
    let mut next = current.clone();
    merge(Some(Shape::Object(shape)), &mut next, wanted);
    Ok(next)
}

fn merge(shape: Option<Shape>, current: &mut Value, wanted: &Value) {
    match (shape, wanted) {
        (Some(Shape::Keyed(inner, keys)), Value::Array(wanted)) => {
            merge_keyed(inner, keys, current, wanted);
        }
        (Some(Shape::TextSet), Value::Array(wanted)) => {
            let mut merged = current.as_array().cloned().unwrap_or_default();
            merged.extend(
                wanted
                    .iter()
                    .filter(|value| !merged.contains(value))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
            *current = Value::Array(merged);
        }
        (shape, Value::Object(wanted)) => {
            let inner = match shape {
                Some(Shape::Object(inner)) => Some(inner),
                _ => None,
            };
            merge_map(inner, current, wanted);
        }
        _ => *current = wanted.clone(),
    }
}

fn merge_map(shape: Option<&'static Struct>, current: &mut Value, wanted: &Map<String, Value>) {
    if !current.is_object() {
        *current = json!({});
    }
    for (name, value) in wanted.iter().filter(|(_, value)| !value.is_null()) {
        let field = shape.and_then(|shape| shape.field(name));
        merge(field, &mut current[name.as_str()], value);
    }
}

fn merge_keyed(inner: &'static Struct, keys: &[&str], current: &mut Value, wanted: &[Value]) {
    let mut items = current.as_array().cloned().unwrap_or_default();
    let before: Vec<Value> = items.iter().map(|item| key_of(item, keys)).collect();
    for item in wanted {
        let key = key_of(item, keys);
        let shape = Some(Shape::Object(inner));
        match items
            .iter_mut()
            .find(|present| key_of(present, keys) == key)
        {
            Some(present) => merge(shape, present, item),
            None => items.push(item.clone()),
        }
    }
    let order: Vec<Value> = wanted.iter().map(|item| key_of(item, keys)).collect();
    *current = Value::Array(sort(items, &order, &before, |item| key_of(item, keys)));
}

/// The key fields of a list item; a protocol that is left out is TCP.
fn key_of(item: &Value, keys: &[&str]) -> Value {
    let field = |key: &&str| match &item[*key] {
        Value::Null if *key == "protocol" => json!("TCP"),
        value => value.clone(),
    };
    keys.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::schema;
    use crate::store::Kind;

    fn ports(ports: Value) -> Value {
        json!({"spec": {"ports": ports, "type": "ClusterIP"}})
    }

    #[test]
    fn lists_merge_by_all_their_keys() {
        let current = ports(json!([
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
        ]));
        let wanted = json!({"spec": {"ports": [{"port": 53, "targetPort": 5353}, {"port": 80}]}});
        let expected = ports(json!([
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 5353},
            {"port": 80},
        ]));
        assert_eq!(
            apply(schema::of(Kind::Service), &wanted, &current),
            Ok(expected)
        );
    }

    #[test]
    fn maps_merge_and_plain_lists_are_replaced() {
        let current =
            json!({"metadata": {"labels": {"a": "1"}}, "spec": {"externalIPs": ["1.1.1.1"]}});
        let wanted = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"externalIPs": ["2.2.2.2"], "selector": null}});
        let expected = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"externalIPs": ["2.2.2.2"]}});
        assert_eq!(
            apply(schema::of(Kind::Service), &wanted, &current),
            Ok(expected)
        );
    }
}
