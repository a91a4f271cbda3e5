//! Reading and writing the metadata that every object has.
//!
//! Objects are plain JSON values; these functions are the only place that spells the paths.
//! A missing field reads as empty, never as a panic: users send anything.

use serde_json::{Map, Value, json};

/// `metadata.name`, or empty.
pub fn name(object: &Value) -> &str {
    text(object, "name")
}

/// `metadata.namespace`, or empty for cluster-scoped objects.
pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}

/// `metadata.uid`, or empty before the store has set it.
pub fn uid(object: &Value) -> &str {
    text(object, "uid")
}

/// `metadata.resourceVersion`, or empty.
pub fn resource_version(object: &Value) -> &str {
    text(object, "resourceVersion")
}

/// Whether deletion has begun.
pub fn is_terminating(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// Value of a label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"].get(key)?.as_str()
}

/// Value of an annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(key)?.as_str()
}

/// The items of an array field; nothing if it is missing or of another type.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text field; empty if it is missing or of another type.
pub fn str_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An `ownerReferences` entry that makes `owner` the controller of what carries it.
///
/// `owner` must come out of the store, which has set its `apiVersion`, `kind` and uid.
pub fn owner_reference(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"],
        "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// The uids of an object's owners.
pub fn owners(object: &Value) -> impl Iterator<Item = &str> {
    items(&object["metadata"]["ownerReferences"])
        .iter()
        .map(|reference| str_of(&reference["uid"]))
}

/// Whether `object` lists the uid `owner` among its owners.
pub fn is_owned_by(object: &Value, owner: &str) -> bool {
    owners(object).any(|uid| uid == owner)
}

/// The metadata map, made if it is missing or not a map.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    map_mut(object, "metadata")
}

/// The map under `key`, made if it is missing or not a map.
///
/// `object` itself becomes a map if it is not one: the API refuses such bodies before.
pub fn map_mut<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    if !object[key].is_object() {
        object[key] = Value::Object(Map::new());
    }
    match &mut object[key] {
        Value::Object(map) => map,
        _ => unreachable!("set to a map just above"),
    }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    str_of(&object["metadata"][field])
}
