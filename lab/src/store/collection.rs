//! What goes with an object: its dependents, or a Namespace's contents.
//!
//! The garbage collector is not a process here: removing an owner deletes its dependents within
//! the same call, so no moment exists in which a dependent is left without owner.
//! A dependent created after its owner went (a controller that had not heard yet) is collected as
//! it arrives.

use super::deletion::{DeleteOptions, delete, finish_if_released};
use super::state::{Key, State};
use super::{Kind, object};
use serde_json::{Value, json};
use std::sync::Arc;

/// Holds an owner until its dependents are gone (`Propagation::Foreground`).
const FOREGROUND: &str = "foregroundDeletion";

/// Deletes a new object all of whose owners have gone before it came.
pub(super) fn collect_if_orphaned(state: &mut State, kind: Kind, key: &Key) {
    let Some(object) = state.get(kind, key).cloned() else {
        return;
    };
    let owners = object::items(&object["metadata"]["ownerReferences"]);
    let is_gone = |reference: &Value| match owner_of(&object, reference) {
        Some((kind, key)) => state
            .get(kind, &key)
            .is_none_or(|o| object::uid(o) != object::str_of(&reference["uid"])),
        // An owner of a kind that is not served here: nothing is known about it.
        None => false,
    };
    if !owners.is_empty() && owners.iter().all(is_gone) {
        let _ = delete(state, kind, key, &DeleteOptions::default());
    }
}

/// Where the owner that `reference` in `object` names would be.
fn owner_of(object: &Value, reference: &Value) -> Option<(Kind, Key)> {
    let text = |field: &str| object::str_of(&reference[field]);
    let kind = Kind::of_object(text("apiVersion"), text("kind"))?;
    let namespace = if kind.namespaced() {
        object::namespace(object)
    } else {
        ""
    };
    Some((kind, Key::new(namespace, text("name"))))
}

/// All objects in a namespace.
pub(super) fn contents(state: &State, namespace: &str) -> Vec<(Kind, Key)> {
    let of_kind = |kind| {
        let objects = state.list(kind, Some(namespace)).into_iter();
        objects.map(move |object| (kind, Key::of(&object)))
    };
    Kind::all()
        .filter(|kind| kind.namespaced())
        .flat_map(of_kind)
        .collect()
}

/// Begins the deletion of everything in a namespace.
pub(super) fn delete_contents(state: &mut State, namespace: &str) {
    for (kind, key) in contents(state, namespace) {
        // What an earlier one owned has gone with it already.
        let _ = delete(state, kind, &key, &DeleteOptions::default());
    }
}

/// Begins the deletion of everything that `owner` owns.
pub(super) fn delete_dependents(state: &mut State, owner: &str) {
    for (kind, key) in state.owned_by(owner) {
        let _ = delete(state, kind, &key, &DeleteOptions::default());
    }
}

/// Makes everything that `owner` owns forget it.
pub(super) fn orphan_dependents(state: &mut State, owner: &str) {
    for (kind, key) in state.owned_by(owner) {
        let Some(object) = state.get(kind, &key) else {
            continue;
        };
        let mut next = object.as_ref().clone();
        if let Some(Value::Array(references)) =
            object::metadata_mut(&mut next).get_mut("ownerReferences")
        {
            references.retain(|reference| object::str_of(&reference["uid"]) != owner);
        }
        state.put(kind, next);
    }
}

/// Begins a foreground deletion.
pub(super) fn hold_for_dependents(object: &mut Value) {
    let finalizers = object::metadata_mut(object)
        .entry("finalizers")
        .or_insert(json!([]));
    if let Value::Array(list) = finalizers
        && !list.iter().any(|finalizer| finalizer == FOREGROUND)
    {
        list.push(FOREGROUND.into());
    }
}

/// Ends the foreground deletions that waited for `gone`, if it was the last dependent.
pub(super) fn release_owners(state: &mut State, gone: &Value) {
    for reference in object::items(&gone["metadata"]["ownerReferences"]) {
        if let Some((kind, owner)) = owner_of(gone, reference) {
            stop_waiting_for_dependents(state, kind, &owner);
        }
    }
}

/// Ends a foreground deletion once the last dependent has gone.
pub(super) fn stop_waiting_for_dependents(
    state: &mut State,
    kind: Kind,
    key: &Key,
) -> Option<Arc<Value>> {
    let object = state.get(kind, key)?;
    let waits = object::items(&object["metadata"]["finalizers"])
        .iter()
        .any(|f| f == FOREGROUND);
    if !waits || !state.owned_by(object::uid(object)).is_empty() {
        return None;
    }
    let mut next = object.as_ref().clone();
    if let Some(Value::Array(list)) = object::metadata_mut(&mut next).get_mut("finalizers") {
        list.retain(|finalizer| finalizer != FOREGROUND);
    }
    let stored = state.put(kind, next);
    Some(finish_if_released(state, kind, key).unwrap_or(stored))
}
