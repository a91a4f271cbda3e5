//! Creating and changing objects: the steps every write takes, in order.
//!
//! Complete (names, defaults, allocations) -> check -> commit.
//! Nothing is stored unless every step has passed, and nothing at all on a dry run.

use super::state::{Key, State};
use super::{ApiError, Kind, allocate, clock, collection, defaults, deletion, object, validate};
use serde_json::{Value, json};
use std::sync::Arc;

/// Which part of an object a change may touch; the rest is silently kept, as upstream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything, for controllers in this process.
    Whole,
    /// Everything but the status, for writes to the object itself.
    Main,
    /// The status only, for writes to `/status`.
    Status,
}

/// How a change is to be made.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// What it may touch.
    pub scope: Scope,
    /// Check and answer, but store nothing.
    pub dry_run: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            scope: Scope::Whole,
            dry_run: false,
        }
    }
}

/// Metadata that is the store's own: a change cannot set it.
const OWN_METADATA: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "generateName",
];

pub(super) fn create(
    state: &mut State,
    kind: Kind,
    mut object: Value,
    dry_run: bool,
) -> Result<Arc<Value>, ApiError> {
    name_it(kind, &mut object)?;
    admit_to_namespace(state, kind, &object)?;
    stamp_new(kind, &mut object);
    complete(state, kind, &mut object, None)?;
    let key = Key::of(&object);
    if state.get(kind, &key).is_some() {
        let resource = kind.qualified_resource();
        return Err(ApiError::AlreadyExists {
            resource,
            name: key.name,
        });
    }
    if dry_run {
        return Ok(Arc::new(object));
    }
    let stored = state.put(kind, object);
    collection::collect_if_orphaned(state, kind, &key);
    Ok(stored)
}

pub(super) fn change(
    state: &mut State,
    kind: Kind,
    key: &Key,
    options: WriteOptions,
    edit: impl FnOnce(&Value) -> Result<Value, ApiError>,
) -> Result<Arc<Value>, ApiError> {
    let current = state
        .get(kind, key)
        .cloned()
        .ok_or_else(|| missing(kind, key))?;
    let mut next = edit(&current)?;
    if !next.is_object() {
        return Err(ApiError::BadRequest(
            "the body of the request is not an object".to_owned(),
        ));
    }
    check_version(kind, &current, &next)?;
    keep_what_is_not_theirs(kind, &current, &mut next, options.scope);
    complete(state, kind, &mut next, Some(&current))?;
    if next == *current {
        return Ok(current);
    }
    if kind.registration().generation && next["spec"] != current["spec"] {
        let generation = current["metadata"]["generation"]
            .as_i64()
            .unwrap_or_default()
            + 1;
        next["metadata"]["generation"] = generation.into();
    }
    if options.dry_run {
        return Ok(Arc::new(next));
    }
    let stored = state.put(kind, next);
    Ok(deletion::finish_if_released(state, kind, key).unwrap_or(stored))
}

pub(super) fn missing(kind: Kind, key: &Key) -> ApiError {
    ApiError::NotFound {
        resource: kind.qualified_resource(),
        name: key.name.clone(),
    }
}

fn name_it(kind: Kind, object: &mut Value) -> Result<(), ApiError> {
    if !object.is_object() {
        return Err(ApiError::BadRequest(
            "the body of the request is not an object".to_owned(),
        ));
    }
    if !object::resource_version(object).is_empty() {
        let text = "resourceVersion should not be set on objects to be created";
        return Err(ApiError::BadRequest(text.to_owned()));
    }
    let metadata = object::metadata_mut(object);
    let given = |field: &str| {
        metadata
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if given("name").is_empty() && !given("generateName").is_empty() {
        // 63 letters less the suffix, as upstream's name generator.
        let base: String = given("generateName").chars().take(58).collect();
        metadata.insert(
            "name".to_owned(),
            format!("{base}{}", clock::suffix()).into(),
        );
    }
    if kind.namespaced() {
        metadata
            .entry("namespace")
            .or_insert_with(|| "default".into());
    } else {
        metadata.remove("namespace");
    }
    Ok(())
}

fn admit_to_namespace(state: &State, kind: Kind, object: &Value) -> Result<(), ApiError> {
    if !kind.namespaced() {
        return Ok(());
    }
    let name = object::namespace(object);
    let key = Key::new("", name);
    let namespace = state
        .get(Kind::Namespace, &key)
        .ok_or_else(|| missing(Kind::Namespace, &key))?;
    if object::is_terminating(namespace) {
        return Err(ApiError::Forbidden {
            resource: kind.qualified_resource(),
            name: object::name(object).to_owned(),
            why: format!(
                "unable to create new content in namespace {name} because it is being terminated"
            ),
        });
    }
    Ok(())
}

fn stamp_new(kind: Kind, object: &mut Value) {
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.registration().name.into();
    let metadata = object::metadata_mut(object);
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".to_owned(), clock::uid().into());
    metadata.insert("creationTimestamp".to_owned(), clock::timestamp().into());
    if kind.registration().generation {
        metadata.insert("generation".to_owned(), json!(1));
    }
}

/// Optimistic concurrency: what the caller read must be what is stored.
fn check_version(kind: Kind, current: &Value, next: &Value) -> Result<(), ApiError> {
    let conflict = |why: String| ApiError::Conflict {
        resource: kind.qualified_resource(),
        name: object::name(current).to_owned(),
        why,
    };
    let (theirs, ours) = (
        object::resource_version(next),
        object::resource_version(current),
    );
    if !theirs.is_empty() && theirs != ours {
        return Err(conflict(
            "the object has been modified; please apply your changes to the latest version and \
             try again"
                .to_owned(),
        ));
    }
    let (theirs, ours) = (object::uid(next), object::uid(current));
    if !theirs.is_empty() && theirs != ours {
        return Err(conflict(format!(
            "Precondition failed: UID in precondition: {theirs}, UID in object meta: {ours}"
        )));
    }
    Ok(())
}

fn keep_what_is_not_theirs(kind: Kind, current: &Value, next: &mut Value, scope: Scope) {
    if scope == Scope::Status {
        let status = next["status"].take();
        *next = current.clone();
        set_or_remove(next, "status", &status);
        return;
    }
    if scope == Scope::Main && kind.has_status() {
        set_or_remove(next, "status", &current["status"]);
    }
    for field in ["apiVersion", "kind"] {
        next[field] = current[field].clone();
    }
    let metadata = object::metadata_mut(next);
    for field in OWN_METADATA.into_iter().chain(["resourceVersion"]) {
        match current["metadata"].get(field) {
            Some(value) => metadata.insert(field.to_owned(), value.clone()),
            None => metadata.remove(field),
        };
    }
    // An empty map or list is the same as none, and must not count as a change.
    metadata.retain(|_, value| {
        !(value.is_null()
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty))
    });
}

fn set_or_remove(object: &mut Value, field: &str, value: &Value) {
    if let Some(map) = object.as_object_mut() {
        if value.is_null() {
            map.remove(field);
        } else {
            map.insert(field.to_owned(), value.clone());
        }
    }
}

fn complete(
    state: &State,
    kind: Kind,
    object: &mut Value,
    current: Option<&Value>,
) -> Result<(), ApiError> {
    defaults::fill(kind, object, current);
    let mut causes = validate::check(kind, object);
    if causes.is_empty()
        && let Some(current) = current
    {
        causes = validate::check_change(kind, current, object);
    }
    if causes.is_empty() && kind == Kind::Service {
        causes = allocate::fill(&state.allocations, object, current);
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = object::name(object).to_owned();
    Err(ApiError::Invalid {
        kind: kind.qualified_kind(),
        name,
        causes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Config, Store};

    fn map(data: &str) -> Value {
        json!({"metadata": {"name": "m"}, "data": {"k": data}})
    }

    #[test]
    fn the_store_sets_what_is_its_own() {
        let store = Store::new(&Config::default());
        let mut object = map("v");
        object["metadata"]["uid"] = json!("mine");
        object["metadata"]["generation"] = json!(77);
        let stored = store.create(Kind::ConfigMap, object).expect("created");
        assert_eq!(stored["apiVersion"], "v1");
        assert_eq!(stored["kind"], "ConfigMap");
        assert_eq!(object::namespace(&stored), "default");
        assert_ne!(object::uid(&stored), "mine");
        assert_eq!(stored["metadata"]["generation"], Value::Null);
        let changed = store
            .modify(Kind::ConfigMap, "default", "m", |map| {
                map["metadata"] =
                    json!({"name": "m", "uid": map["metadata"]["uid"], "labels": {"a": "b"}});
            })
            .expect("modified");
        assert_eq!(object::uid(&changed), object::uid(&stored));
        assert_eq!(
            changed["metadata"]["creationTimestamp"],
            stored["metadata"]["creationTimestamp"]
        );
    }

    #[test]
    fn creations_that_are_refused() {
        let store = Store::new(&Config::default());
        store.create(Kind::ConfigMap, map("v")).expect("created");
        let rows = [
            (map("w"), 409),
            (
                json!({"metadata": {"name": "x", "namespace": "nowhere"}}),
                404,
            ),
            (
                json!({"metadata": {"name": "x", "resourceVersion": "1"}}),
                400,
            ),
            (json!({"metadata": {}}), 422),
            (json!({}), 422),
            (json!([]), 400),
        ];
        for (object, code) in rows {
            let answer = store.create(Kind::ConfigMap, object.clone());
            assert_eq!(answer.map_err(|error| error.code()), Err(code), "{object}");
        }
    }

    #[test]
    fn generated_names_differ() {
        let store = Store::new(&Config::default());
        let create = || {
            let object = json!({"metadata": {"generateName": "web-"}});
            object::name(&store.create(Kind::ConfigMap, object).expect("created")).to_owned()
        };
        let (one, two) = (create(), create());
        assert_ne!(one, two);
        assert!(
            one.starts_with("web-") && one.len() == "web-".len() + 5,
            "{one}"
        );
    }

    #[test]
    fn versions_guard_updates() {
        let store = Store::new(&Config::default());
        let first = store.create(Kind::ConfigMap, map("1")).expect("created");
        let mut stale = first.as_ref().clone();
        stale["data"]["k"] = json!("stale");
        let second = store.modify(Kind::ConfigMap, "default", "m", |m| {
            m["data"]["k"] = json!("2")
        });
        let second = second.expect("modified");
        let refused = store.update(Kind::ConfigMap, stale).expect_err("stale");
        assert_eq!(refused.code(), 409);
        let mut unversioned = second.as_ref().clone();
        object::metadata_mut(&mut unversioned).remove("resourceVersion");
        unversioned["data"]["k"] = json!("3");
        assert!(store.update(Kind::ConfigMap, unversioned).is_ok());
        let same = store
            .modify(Kind::ConfigMap, "default", "m", |_| ())
            .expect("nothing changes");
        let now = store.get(Kind::ConfigMap, "default", "m").expect("there");
        assert_eq!(
            object::resource_version(&same),
            object::resource_version(&now)
        );
    }

    #[test]
    fn scopes_keep_spec_and_status_apart() {
        let store = Store::new(&Config::default());
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "a"}]}});
        store.create(Kind::Pod, pod).expect("created");
        let change = |scope| {
            let options = WriteOptions {
                scope,
                dry_run: false,
            };
            let key = Key::new("default", "p");
            let edit = |current: &Value| {
                let mut next = current.clone();
                next["spec"]["containers"][0]["image"] = json!(format!("{scope:?}").to_lowercase());
                next["status"]["phase"] = json!(format!("{scope:?}"));
                Ok(next)
            };
            let pod = store
                .change(Kind::Pod, &key, options, edit)
                .expect("changed");
            let image = object::str_of(&pod["spec"]["containers"][0]["image"]).to_owned();
            (image, object::str_of(&pod["status"]["phase"]).to_owned())
        };
        assert_eq!(change(Scope::Main), ("main".into(), "Pending".into()));
        assert_eq!(change(Scope::Status), ("main".into(), "Status".into()));
        assert_eq!(change(Scope::Whole), ("whole".into(), "Whole".into()));
    }

    #[test]
    fn a_dry_run_stores_nothing() {
        let store = Store::new(&Config::default());
        let before = store.list(Kind::ConfigMap, None).resource_version;
        let answer = store
            .create_with(Kind::ConfigMap, map("v"), true)
            .expect("would be created");
        assert_eq!(answer["kind"], "ConfigMap");
        let after = store.list(Kind::ConfigMap, None);
        assert_eq!((after.items.len(), after.resource_version), (0, before));
    }

    #[test]
    fn the_generation_counts_changes_of_the_spec() {
        let store = Store::new(&Config::default());
        let container = json!({"name": "c", "image": "i"});
        let deployment = json!({"metadata": {"name": "d"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
        }});
        store.create(Kind::Deployment, deployment).expect("created");
        let modify = |edit: fn(&mut Value)| {
            let stored = store
                .modify(Kind::Deployment, "default", "d", edit)
                .expect("modified");
            stored["metadata"]["generation"].as_i64()
        };
        assert_eq!(modify(|d| d["status"] = json!({"replicas": 1})), Some(1));
        assert_eq!(modify(|d| d["spec"]["replicas"] = json!(5)), Some(2));
        assert_eq!(
            modify(|d| d["metadata"]["labels"] = json!({"x": "y"})),
            Some(2)
        );
    }
}
