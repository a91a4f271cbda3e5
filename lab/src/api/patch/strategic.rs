//! Strategic merge patch: what `kubectl apply`, `kubectl edit` and `kubectl set` send.
//!
//! Maps merge; lists merge by key or as sets where the shape says so and are replaced elsewhere.
//! Directives: `$patch` (merge, replace, delete), `$retainKeys`, `$deleteFromPrimitiveList/F`,
//! `$setElementOrder/F`.
//! <https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md>

use crate::api::schema::{Shape, Struct};
use crate::store::ApiError;
use crate::store::object::str_of;
use serde_json::{Map, Value};

const ORDER: &str = "$setElementOrder/";
const REMOVE: &str = "$deleteFromPrimitiveList/";

pub(super) fn apply(
    shape: &'static Struct,
    patch: &Value,
    current: &Value,
) -> Result<Value, ApiError> {
    let (Value::Object(patch), Value::Object(current)) = (patch, current) else {
        return Err(ApiError::BadRequest(
            "the patch is not an object".to_owned(),
        ));
    };
    merge_map(Some(shape), current.clone(), patch).map(Value::Object)
}

fn merge_map(
    shape: Option<&'static Struct>,
    mut current: Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<Map<String, Value>, ApiError> {
    match patch.get("$patch").map(str_of) {
        None | Some("merge") => (),
        Some("replace") => {
            let fields = patch.iter().filter(|(name, _)| *name != "$patch");
            return Ok(fields
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect());
        }
        Some("delete") => return Ok(Map::new()),
        Some(other) => return Err(bad(format!("unknown patch type: {other}"))),
    }
    if let Some(Value::Array(keep)) = patch.get("$retainKeys") {
        current.retain(|name, _| keep.iter().any(|kept| kept == name));
    }
    for (name, value) in patch {
        if let Some(field) = name.strip_prefix(REMOVE) {
            remove_elements(&mut current, field, value);
        } else if let Some(field) = name.strip_prefix(ORDER) {
            // An order may come without a patch of the list itself.
            if !patch.contains_key(field) {
                reorder_field(shape, &mut current, field, value);
            }
        } else if !name.starts_with('$') {
            let order = patch.get(&format!("{ORDER}{name}"));
            merge_field(shape, &mut current, (name, value), order)?;
        }
    }
    Ok(current)
}

fn merge_field(
    shape: Option<&'static Struct>,
    current: &mut Map<String, Value>,
    (name, patch): (&str, &Value),
    order: Option<&Value>,
) -> Result<(), ApiError> {
    let field = shape.and_then(|shape| shape.field(name));
    let present = current.remove(name);
    let merged = match (patch, present) {
        (Value::Null, _) => return Ok(()),
        (Value::Object(patch), present) => {
            let inner = match field {
                Some(Shape::Object(inner)) => Some(inner),
                _ => None,
            };
            let present = match present {
                Some(Value::Object(present)) => present,
                _ => Map::new(),
            };
            Value::Object(merge_map(inner, present, patch)?)
        }
        (Value::Array(patch), present) => {
            let present = match present {
                Some(Value::Array(present)) => present,
                _ => Vec::new(),
            };
            Value::Array(merge_list(field, present, patch, order)?)
        }
        (patch, _) => patch.clone(),
    };
    let deleted = patch
        .get("$patch")
        .is_some_and(|directive| directive == "delete");
    if !deleted {
        current.insert(name.to_owned(), merged);
    }
    Ok(())
}

fn merge_list(
    field: Option<Shape>,
    current: Vec<Value>,
    patch: &[Value],
    order: Option<&Value>,
) -> Result<Vec<Value>, ApiError> {
    match field {
        Some(Shape::TextSet) => {
            let mut merged = current.clone();
            merged.extend(
                patch
                    .iter()
                    .filter(|value| !current.contains(value))
                    .cloned(),
            );
            Ok(merged)
        }
        Some(Shape::Keyed(inner, keys)) => {
            let key = keys[0];
            let before: Vec<Value> = current.iter().map(|item| item[key].clone()).collect();
            let merged = merge_keyed(inner, key, current, patch)?;
            Ok(match order {
                Some(Value::Array(order)) => {
                    let order: Vec<Value> = order.iter().map(|item| item[key].clone()).collect();
                    sort(merged, &order, &before, |item| item[key].clone())
                }
                _ => merged,
            })
        }
        _ => Ok(patch.to_vec()),
    }
}

fn merge_keyed(
    inner: &'static Struct,
    key: &str,
    mut current: Vec<Value>,
    patch: &[Value],
) -> Result<Vec<Value>, ApiError> {
    let has = |item: &Value, directive: &str| item["$patch"] == directive;
    if patch
        .iter()
        .any(|item| item.is_object() && has(item, "replace"))
    {
        let stays = |item: &&Value| item.get("$patch").is_none();
        return Ok(patch.iter().filter(stays).cloned().collect());
    }
    for item in patch {
        let (map, value) = keyed_item(item, key)?;
        if has(item, "delete") {
            current.retain(|present| present[key] != *value);
            continue;
        }
        match current.iter_mut().find(|present| present[key] == *value) {
            Some(present) => {
                let fields = present.as_object().cloned().unwrap_or_default();
                *present = Value::Object(merge_map(Some(inner), fields, map)?);
            }
            None => current.push(Value::Object(merge_map(Some(inner), Map::new(), map)?)),
        }
    }
    Ok(current)
}

/// An item of a list that merges by `key`, and its value of that.
fn keyed_item<'a>(
    item: &'a Value,
    key: &str,
) -> Result<(&'a Map<String, Value>, &'a Value), ApiError> {
    let Value::Object(map) = item else {
        return Err(bad(format!(
            "expected a map in a list that merges by {key}"
        )));
    };
    let value = map
        .get(key)
        .filter(|value| !value.is_null())
        .ok_or_else(|| {
            bad(format!(
                "map: {item} does not contain declared merge key: {key}"
            ))
        })?;
    Ok((map, value))
}

fn remove_elements(current: &mut Map<String, Value>, field: &str, gone: &Value) {
    if let (Some(Value::Array(list)), Value::Array(gone)) = (current.get_mut(field), gone) {
        list.retain(|value| !gone.contains(value));
    }
}

fn reorder_field(
    shape: Option<&'static Struct>,
    current: &mut Map<String, Value>,
    field: &str,
    order: &Value,
) {
    let key = match shape.and_then(|shape| shape.field(field)) {
        Some(Shape::Keyed(_, keys)) => Some(keys[0]),
        _ => None,
    };
    let key_of = |item: &Value| match key {
        Some(key) => item[key].clone(),
        None => item.clone(),
    };
    if let (Some(Value::Array(list)), Value::Array(order)) = (current.get_mut(field), order) {
        let before: Vec<Value> = list.iter().map(key_of).collect();
        let order: Vec<Value> = order.iter().map(key_of).collect();
        *list = sort(std::mem::take(list), &order, &before, key_of);
    }
}

/// Puts the items named in `order` into that order; the others keep their place among the items
/// that stood behind them `before`.
pub(super) fn sort(
    items: Vec<Value>,
    order: &[Value],
    before: &[Value],
    key_of: impl Fn(&Value) -> Value,
) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| list.iter().position(|k| *k == key_of(item));
    let (mut named, others): (Vec<Value>, Vec<Value>) = items
        .into_iter()
        .partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    let mut sorted = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in named {
        let here = place(before, &item);
        while let Some(other) = others.next_if(|other| {
            // New items have no place of before: the others go behind them.
            here.is_some() && place(before, other).is_some_and(|there| Some(there) < here)
        }) {
            sorted.push(other);
        }
        sorted.push(item);
    }
    sorted.extend(others);
    sorted
}

fn bad(why: String) -> ApiError {
    ApiError::BadRequest(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::schema;
    use crate::store::Kind;
    use serde_json::json;

    fn patched(current: Value, patch: Value) -> Value {
        apply(schema::of(Kind::Pod), &patch, &current).expect("applies")
    }

    /// A pod whose container `web` has what `container` says.
    fn pod(container: Value) -> Value {
        let mut container = container;
        container["name"] = json!("web");
        json!({"spec": {"containers": [container]}})
    }

    #[test]
    fn lists_merge_by_key() {
        let current = pod(
            json!({"image": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "args": ["x", "y"]}),
        );
        // (patch of the container, the container afterwards)
        let rows = [
            (
                json!({"image": "b"}),
                json!({"image": "b", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "args": ["x", "y"]}),
            ),
            (
                json!({"env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]}),
                json!({"image": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}], "args": ["x", "y"]}),
            ),
            (
                json!({"env": [{"name": "A", "$patch": "delete"}]}),
                json!({"image": "a", "env": [{"name": "B", "value": "2"}], "args": ["x", "y"]}),
            ),
            (
                json!({"env": [{"$patch": "replace"}, {"name": "Z", "value": "9"}]}),
                json!({"image": "a", "env": [{"name": "Z", "value": "9"}], "args": ["x", "y"]}),
            ),
            (
                json!({"env": null, "args": ["z"]}),
                json!({"image": "a", "args": ["z"]}),
            ),
        ];
        for (patch, expected) in rows {
            assert_eq!(
                patched(current.clone(), pod(patch.clone())),
                pod(expected),
                "{patch}"
            );
        }
    }

    #[test]
    fn element_order_follows_the_patch() {
        let named =
            |names: &[&str]| -> Value { names.iter().map(|n| json!({"name": n})).collect() };
        // (before, patched list, order, afterwards)
        type Names = &'static [&'static str];
        let rows: [(Names, Names, Names, Names); 4] = [
            (&["a", "b"], &["c"], &["c", "a", "b"], &["c", "a", "b"]),
            (
                &["a", "b", "server"],
                &["c"],
                &["b", "a", "c"],
                &["b", "a", "c", "server"],
            ),
            (
                &["server", "a", "b"],
                &["c"],
                &["a", "b", "c"],
                &["server", "a", "b", "c"],
            ),
            (&["a", "b"], &[], &["b", "a"], &["b", "a"]),
        ];
        for (before, list, order, expected) in rows {
            let current = json!({"spec": {"containers": named(before)}});
            let mut patch = json!({"spec": {"$setElementOrder/containers": named(order)}});
            if !list.is_empty() {
                patch["spec"]["containers"] = named(list);
            }
            let answer = patched(current, patch);
            assert_eq!(
                answer["spec"]["containers"],
                named(expected),
                "{before:?} {order:?}"
            );
        }
    }

    #[test]
    fn sets_and_directives() {
        let current =
            json!({"metadata": {"finalizers": ["a", "b"], "labels": {"x": "1", "y": "2"}}});
        let rows = [
            (
                json!({"metadata": {"finalizers": ["b", "c"]}}),
                json!({"finalizers": ["a", "b", "c"], "labels": {"x": "1", "y": "2"}}),
            ),
            (
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}),
                json!({"finalizers": ["b"], "labels": {"x": "1", "y": "2"}}),
            ),
            (
                json!({"metadata": {"labels": {"x": null, "z": "3"}}}),
                json!({"finalizers": ["a", "b"], "labels": {"y": "2", "z": "3"}}),
            ),
            (
                json!({"metadata": {"labels": {"$patch": "replace", "z": "3"}}}),
                json!({"finalizers": ["a", "b"], "labels": {"z": "3"}}),
            ),
            (
                json!({"metadata": {"labels": {"$patch": "delete"}}}),
                json!({"finalizers": ["a", "b"]}),
            ),
            (
                json!({"metadata": {"$retainKeys": ["labels"], "labels": {}}}),
                json!({"labels": {"x": "1", "y": "2"}}),
            ),
        ];
        for (patch, expected) in rows {
            assert_eq!(
                patched(current.clone(), patch.clone())["metadata"],
                expected,
                "{patch}"
            );
        }
    }

    #[test]
    fn broken_patches_are_refused() {
        let rows = [
            json!({"$patch": "explode"}),
            json!({"spec": {"containers": [{"image": "no name"}]}}),
            json!({"spec": {"containers": ["text"]}}),
        ];
        for patch in rows {
            let answer = apply(schema::of(Kind::Pod), &patch, &json!({"spec": {}}));
            assert_eq!(answer.map_err(|e| e.code()), Err(400), "{patch}");
        }
    }
}
