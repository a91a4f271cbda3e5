//! Server-side apply, as far as one manager after another goes.
//!
//! What a manager applies is merged into the object: maps merge, lists merge by all their keys.
//! `metadata.managedFields` records what each manager applied, so that a field it no longer applies
//! goes, unless another manager applies it too.
//! What is left out compared with upstream: there are no conflicts (every apply is forced), and
//! changes by other means (update, patch) take no ownership.

use super::ownership::{fields_of, prune, union};
use super::strategic::sort;
use crate::api::schema::{Shape, Struct};
use crate::store::object::{self, items, str_of};
use crate::store::{ApiError, clock};
use serde_json::{Map, Value, json};

/// `current` (or an empty map, for a new object) after `manager` has applied `wanted`.
pub(super) fn apply(
    shape: &'static Struct,
    manager: &str,
    wanted: &Value,
    current: &Value,
) -> Result<Value, ApiError> {
    let whole = Some(Shape::Object(shape));
    let mut next = current.clone();
    merge(whole, &mut next, wanted);
    let applied = fields_of(whole, &owned_part(wanted));
    let is_mine = |entry: &&Value| entry["manager"] == manager && entry["operation"] == "Apply";
    let entries = items(&current["metadata"]["managedFields"]);
    let before = entries
        .iter()
        .find(is_mine)
        .map(|entry| entry["fieldsV1"].clone());
    if let Some(before) = &before {
        let others = entries.iter().filter(|entry| !is_mine(entry));
        let stays = others.fold(applied.clone(), |tree, entry| {
            union(tree, &entry["fieldsV1"])
        });
        prune(whole, &mut next, before, &stays);
    }
    // The time of an entry changes with its fields only: applying twice changes nothing.
    if before.as_ref() != Some(&applied) {
        let mut entries: Vec<Value> = entries
            .iter()
            .filter(|entry| !is_mine(entry))
            .cloned()
            .collect();
        entries.push(json!({
            "manager": manager, "operation": "Apply", "apiVersion": str_of(&wanted["apiVersion"]),
            "time": clock::timestamp(), "fieldsType": "FieldsV1", "fieldsV1": applied,
        }));
        object::metadata_mut(&mut next).insert("managedFields".to_owned(), Value::Array(entries));
    }
    Ok(next)
}

/// An object without what says only which object it is.
fn owned_part(wanted: &Value) -> Value {
    let mut owned = wanted.clone();
    if let Value::Object(map) = &mut owned {
        map.remove("apiVersion");
        map.remove("kind");
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            for field in ["name", "namespace", "creationTimestamp", "managedFields"] {
                metadata.remove(field);
            }
        }
    }
    owned
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
pub(super) fn key_of(item: &Value, keys: &[&str]) -> Value {
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

    /// The object after an apply, without the record of it.
    fn applied(manager: &str, wanted: &Value, current: &Value) -> Value {
        let mut next = apply(schema::of(Kind::Service), manager, wanted, current).expect("applies");
        object::metadata_mut(&mut next).remove("managedFields");
        if next["metadata"] == json!({}) {
            next.as_object_mut().expect("a map").remove("metadata");
        }
        next
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
        assert_eq!(applied("me", &wanted, &current), expected);
    }

    #[test]
    fn maps_merge_and_plain_lists_are_replaced() {
        let current =
            json!({"metadata": {"labels": {"a": "1"}}, "spec": {"externalIPs": ["1.1.1.1"]}});
        let wanted = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"externalIPs": ["2.2.2.2"], "selector": null}});
        let expected = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"externalIPs": ["2.2.2.2"]}});
        assert_eq!(applied("me", &wanted, &current), expected);
    }

    #[test]
    fn a_field_goes_when_its_last_manager_lets_go() {
        let labels = |labels: Value| json!({"metadata": {"labels": labels}});
        let by = |manager: &str, wanted: Value, current: &Value| {
            apply(schema::of(Kind::Service), manager, &wanted, current).expect("applies")
        };
        let both = json!({"a": "1", "b": "2"});
        let first = by("one", labels(both.clone()), &json!({}));
        assert_eq!(
            by("one", labels(both.clone()), &first),
            first,
            "applying twice changes nothing"
        );
        let second = by("two", labels(json!({"b": "2"})), &first);
        let third = by("one", labels(json!({})), &second);
        assert_eq!(
            third["metadata"]["labels"],
            json!({"b": "2"}),
            "`two` still applies b"
        );
        let fourth = by("two", labels(json!({})), &third);
        assert_eq!(fourth["metadata"]["labels"], json!({}));
    }
}
