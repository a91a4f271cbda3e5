//! Which fields a manager applies: the `fieldsV1` trees of `metadata.managedFields`. Pure.
//!
//! A tree mirrors the object: `f:<name>` a field, `k:<keys>` an item of a list that merges by key,
//! `v:<value>` an element of a set, `.` the item itself; a leaf is empty.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>

use super::apply::key_of;
use crate::api::schema::{Shape, Struct};
use serde_json::{Map, Value, json};

/// The tree of everything that `value` sets.
pub(super) fn fields_of(shape: Option<Shape>, value: &Value) -> Value {
    match (shape, value) {
        (Some(Shape::Keyed(inner, keys)), Value::Array(items)) => {
            let item = |item: &Value| {
                let mut tree = fields_of(Some(Shape::Object(inner)), item);
                tree["."] = json!({});
                (format!("k:{}", named_key(item, keys)), tree)
            };
            items.iter().map(item).collect::<Map<_, _>>().into()
        }
        (Some(Shape::TextSet), Value::Array(items)) => items
            .iter()
            .map(|item| (format!("v:{item}"), json!({})))
            .collect::<Map<_, _>>()
            .into(),
        (shape, Value::Object(map)) => {
            let inner = struct_of(shape);
            let fields = map.iter().filter(|(_, value)| !value.is_null());
            let field = |(name, value): (&String, &Value)| {
                let shape = inner.and_then(|inner| inner.field(name));
                (format!("f:{name}"), fields_of(shape, value))
            };
            fields.map(field).collect::<Map<_, _>>().into()
        }
        _ => json!({}),
    }
}

/// Takes away what `was` names and `stays` does not.
pub(super) fn prune(shape: Option<Shape>, live: &mut Value, was: &Value, stays: &Value) {
    for (path, was) in was.as_object().into_iter().flatten() {
        let stays = &stays[path.as_str()];
        if let Some(name) = path.strip_prefix("f:") {
            prune_field(shape, live, name, (was, stays));
        } else if let Some(key) = path.strip_prefix("k:") {
            prune_item(shape, live, key, (was, stays));
        } else if let (Some(text), Value::Array(list)) = (path.strip_prefix("v:"), &mut *live)
            && stays.is_null()
        {
            let gone: Option<Value> = serde_json::from_str(text).ok();
            list.retain(|element| Some(element) != gone.as_ref());
        }
    }
}

fn prune_field(shape: Option<Shape>, live: &mut Value, name: &str, (was, stays): (&Value, &Value)) {
    let Value::Object(map) = live else { return };
    let Some(value) = map.get_mut(name) else {
        return;
    };
    let is_leaf = was.as_object().is_none_or(Map::is_empty);
    if !is_leaf {
        let inner = struct_of(shape).and_then(|inner| inner.field(name));
        prune(inner, value, was, stays);
    }
    let is_empty = match &*value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    // What somebody else put beside the manager's fields stays, and keeps the field.
    if stays.is_null() && (is_leaf || is_empty) {
        map.remove(name);
    }
}

fn prune_item(shape: Option<Shape>, live: &mut Value, key: &str, (was, stays): (&Value, &Value)) {
    let (Some(Shape::Keyed(inner, keys)), Value::Array(list)) = (shape, live) else {
        return;
    };
    if stays.is_null() {
        list.retain(|item| named_key(item, keys) != key);
    } else if let Some(item) = list.iter_mut().find(|item| named_key(item, keys) == key) {
        prune(Some(Shape::Object(inner)), item, was, stays);
    }
}

/// The tree of what is in either of two.
pub(super) fn union(mut one: Value, other: &Value) -> Value {
    for (path, tree) in other.as_object().into_iter().flatten() {
        let merged = union(one[path.as_str()].take(), tree);
        one[path.as_str()] = merged;
    }
    if one.is_null() { json!({}) } else { one }
}

/// The key fields of an item with their names, as text: `{"port":80,"protocol":"TCP"}`.
fn named_key(item: &Value, keys: &[&str]) -> String {
    let values = key_of(item, keys);
    let pairs = keys
        .iter()
        .enumerate()
        .map(|(at, key)| ((*key).to_owned(), values[at].clone()));
    Value::Object(pairs.collect()).to_string()
}

fn struct_of(shape: Option<Shape>) -> Option<&'static Struct> {
    match shape {
        Some(Shape::Object(inner)) => Some(inner),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::schema;
    use crate::store::Kind;

    fn shape() -> Option<Shape> {
        Some(Shape::Object(schema::of(Kind::Service)))
    }

    #[test]
    fn trees_are_written_as_upstream() {
        let service = json!({
            "metadata": {"labels": {"a": "b"}, "finalizers": ["x"]},
            "spec": {"ports": [{"port": 80}], "externalIPs": ["1.1.1.1"]},
        });
        let expected = json!({
            "f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {
                "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
                "f:externalIPs": {},
            },
        });
        assert_eq!(fields_of(shape(), &service), expected);
    }

    #[test]
    fn what_is_no_longer_applied_goes_and_the_rest_stays() {
        let live = json!({"metadata": {"labels": {"a": "1", "b": "2", "foreign": "3"}}, "spec": {
            "ports": [{"port": 80, "protocol": "TCP", "name": "x"}, {"port": 81, "protocol": "TCP"}],
            "selector": {"app": "web"}, "clusterIP": "10.96.0.1",
        }});
        let was = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {
            "ports": [{"port": 80, "name": "x"}, {"port": 81}], "selector": {"app": "web"}}});
        let wanted = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"ports": [{"port": 80}]}});
        let mut pruned = live;
        let tree = |value| fields_of(shape(), value);
        prune(shape(), &mut pruned, &tree(&was), &tree(&wanted));
        let expected = json!({"metadata": {"labels": {"a": "1", "foreign": "3"}}, "spec": {
            "ports": [{"port": 80, "protocol": "TCP"}], "clusterIP": "10.96.0.1"}});
        assert_eq!(pruned, expected);
    }

    #[test]
    fn unions() {
        let one = json!({"f:a": {"f:b": {}}});
        let other = json!({"f:a": {"f:c": {}}, "f:d": {}});
        let both = json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}});
        assert_eq!(union(one.clone(), &other), both);
        assert_eq!(union(Value::Null, &one), one);
    }
}
