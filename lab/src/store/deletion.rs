//! How objects go: gracefully, held by finalizers, or at once; and what goes with them.
//!
//! One rule says when an object is really removed: deletion has begun, no finalizer is left, and
//! its grace period is zero. Only pods that run on a node have a grace period; the kubelet ends it
//! by deleting them again with grace 0.
//!
//! What an object owns goes with it (`collection`). A Namespace takes its contents along and stays
//! `Terminating` until the last of them, a pod on a node, is gone.

use super::collection::{
    contents, delete_contents, delete_dependents, hold_for_dependents, orphan_dependents,
    release_owners, stop_waiting_for_dependents,
};
use super::state::{Key, State};
use super::write::missing;
use super::{ApiError, Kind, clock, object};
use serde_json::{Value, json};
use std::sync::Arc;

/// What becomes of the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted; the owner does not wait for them.
    #[default]
    Background,
    /// They are deleted; the owner stays until they are gone.
    Foreground,
    /// They stay, and forget their owner.
    Orphan,
}

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// Seconds a pod has to end; `None` takes the pod's own `terminationGracePeriodSeconds`.
    pub grace_period_seconds: Option<u32>,
    /// What becomes of dependents.
    pub propagation: Propagation,
    /// Delete only the object with this uid (Conflict otherwise).
    pub uid: Option<String>,
    /// Delete only the object at this resource version (Conflict otherwise).
    pub resource_version: Option<String>,
    /// Check and answer, but delete nothing.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// At once: how the kubelet ends the grace period of a pod whose processes are gone.
    pub fn now() -> Self {
        DeleteOptions {
            grace_period_seconds: Some(0),
            ..DeleteOptions::default()
        }
    }
}

/// Namespaces the cluster cannot do without.
const IMMORTAL: [&str; 2] = ["default", "kube-system"];

pub(super) fn delete(
    state: &mut State,
    kind: Kind,
    key: &Key,
    options: &DeleteOptions,
) -> Result<Arc<Value>, ApiError> {
    let current = state
        .get(kind, key)
        .cloned()
        .ok_or_else(|| missing(kind, key))?;
    check_preconditions(kind, &current, options)?;
    if options.dry_run {
        return Ok(current);
    }
    if options.propagation == Propagation::Orphan {
        orphan_dependents(state, object::uid(&current));
    }
    let marked = marked(kind, &current, options);
    if is_released(state, kind, &marked) {
        // It goes in the same breath: a watcher hears of its removal only.
        return remove(state, kind, key).ok_or_else(|| missing(kind, key));
    }
    let stored = if marked == *current {
        current
    } else {
        state.put(kind, marked)
    };
    if kind == Kind::Namespace {
        delete_contents(state, &key.name);
    }
    if options.propagation == Propagation::Foreground {
        delete_dependents(state, object::uid(&stored));
        return Ok(stop_waiting_for_dependents(state, kind, key).unwrap_or(stored));
    }
    Ok(finish_if_released(state, kind, key).unwrap_or(stored))
}

/// Removes an object whose deletion has begun and which nothing holds any more.
pub(super) fn finish_if_released(state: &mut State, kind: Kind, key: &Key) -> Option<Arc<Value>> {
    let object = state.get(kind, key)?;
    if is_released(state, kind, object) {
        remove(state, kind, key)
    } else {
        None
    }
}

fn check_preconditions(
    kind: Kind,
    current: &Value,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let (resource, name) = (kind.qualified_resource(), object::name(current).to_owned());
    if kind == Kind::Namespace && IMMORTAL.contains(&name.as_str()) {
        let why = "this namespace may not be deleted".to_owned();
        return Err(ApiError::Forbidden {
            resource,
            name,
            why,
        });
    }
    let wanted = [
        ("UID", &options.uid, object::uid(current)),
        (
            "ResourceVersion",
            &options.resource_version,
            object::resource_version(current),
        ),
    ];
    for (what, asked, is) in wanted {
        if let Some(asked) = asked
            && asked != is
        {
            let why = format!(
                "Precondition failed: {what} in precondition: {asked}, {what} in object meta: {is}"
            );
            return Err(ApiError::Conflict {
                resource,
                name,
                why,
            });
        }
    }
    Ok(())
}

/// The object with its deletion begun, or with a grace period cut shorter.
fn marked(kind: Kind, current: &Value, options: &DeleteOptions) -> Value {
    let mut next = current.clone();
    if options.propagation == Propagation::Foreground {
        hold_for_dependents(&mut next);
    }
    let grace = grace_period(kind, current, options.grace_period_seconds);
    let running = current["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .unwrap_or_default();
    if object::is_terminating(current) && running <= grace {
        return next;
    }
    let metadata = object::metadata_mut(&mut next);
    let end = metadata
        .get("deletionTimestamp")
        .and_then(Value::as_str)
        .and_then(clock::parse);
    let began = end.map_or_else(clock::now, |end| clock::shift(end, -running));
    let end = clock::format(clock::shift(began, grace));
    metadata.insert("deletionTimestamp".to_owned(), end.into());
    metadata.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
    if kind == Kind::Namespace {
        next["status"] = json!({"phase": "Terminating"});
    }
    next
}

/// Seconds a pod may take; zero for whatever has no process to end.
fn grace_period(kind: Kind, object: &Value, asked: Option<u32>) -> i64 {
    let ended = ["Succeeded", "Failed"].contains(&object::str_of(&object["status"]["phase"]));
    if kind != Kind::Pod || object::str_of(&object["spec"]["nodeName"]).is_empty() || ended {
        return 0;
    }
    match asked {
        Some(seconds) => seconds.into(),
        None => object["spec"]["terminationGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(30),
    }
}

/// Whether nothing holds an object any more whose deletion has begun.
fn is_released(state: &State, kind: Kind, object: &Value) -> bool {
    let metadata = &object["metadata"];
    object::is_terminating(object)
        && object::items(&metadata["finalizers"]).is_empty()
        && metadata["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or_default()
            == 0
        && (kind != Kind::Namespace || contents(state, object::name(object)).is_empty())
}

/// Takes an object away, then what it owned, then whatever waited for it to go.
fn remove(state: &mut State, kind: Kind, key: &Key) -> Option<Arc<Value>> {
    let last = state.remove(kind, key)?;
    delete_dependents(state, object::uid(&last));
    if kind.namespaced() {
        finish_if_released(state, Kind::Namespace, &Key::new("", &key.namespace));
    }
    release_owners(state, &last);
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Config, Store};

    fn store() -> Store {
        Store::new(&Config::default())
    }

    fn pod(name: &str, node: &str) -> Value {
        json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"nodeName": node,
            "terminationGracePeriodSeconds": 7, "containers": [{"name": "c", "image": "i"}]}})
    }

    fn owned(mut object: Value, owner: &Value) -> Value {
        object["metadata"]["ownerReferences"] = json!([object::owner_reference(owner)]);
        object
    }

    fn deployment(store: &Store) -> Arc<Value> {
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": pod("", "")["spec"]});
        let object = json!({"metadata": {"name": "web"}, "spec": {"template": template,
            "selector": {"matchLabels": {"app": "web"}}}});
        store.create(Kind::Deployment, object).expect("created")
    }

    #[test]
    fn a_pod_on_a_node_stays_until_the_kubelet_lets_it_go() {
        // (node, phase, grace asked, grace it gets; none: gone at once)
        let rows = [
            ("", "Pending", None, None),
            ("n1", "Running", None, Some(7)),
            ("n1", "Running", Some(2), Some(2)),
            ("n1", "Running", Some(0), None),
            ("n1", "Succeeded", None, None),
        ];
        for (node, phase, asked, expected) in rows {
            let store = store();
            let mut object = pod("a", node);
            object["status"] = json!({"phase": phase});
            store.create(Kind::Pod, object).expect("created");
            let options = DeleteOptions {
                grace_period_seconds: asked,
                ..Default::default()
            };
            store
                .delete(Kind::Pod, "default", "a", &options)
                .expect("deleted");
            let left = store.get(Kind::Pod, "default", "a");
            let grace = left.map(|pod| {
                assert!(object::is_terminating(&pod));
                pod["metadata"]["deletionGracePeriodSeconds"]
                    .as_i64()
                    .expect("a number")
            });
            assert_eq!(grace, expected, "{node} {phase} {asked:?}");
            if grace.is_some() {
                store
                    .delete(Kind::Pod, "default", "a", &DeleteOptions::now())
                    .expect("let go");
                assert!(!store.exists(Kind::Pod, "default", "a"));
            }
        }
    }

    #[test]
    fn a_second_deletion_can_only_shorten_the_grace_period() {
        let store = store();
        store.create(Kind::Pod, pod("a", "n1")).expect("created");
        let delete = |grace| {
            let options = DeleteOptions {
                grace_period_seconds: Some(grace),
                ..Default::default()
            };
            store
                .delete(Kind::Pod, "default", "a", &options)
                .expect("deleted")
        };
        let end = |pod: &Value| {
            clock::parse(object::str_of(&pod["metadata"]["deletionTimestamp"])).expect("a time")
        };
        let first = delete(100);
        assert_eq!(delete(200), first, "nothing changes");
        let second = delete(40);
        assert_eq!(end(&first).as_second() - end(&second).as_second(), 60);
    }

    #[test]
    fn dependents_go_with_their_owner_or_forget_it() {
        for propagation in [
            Propagation::Background,
            Propagation::Foreground,
            Propagation::Orphan,
        ] {
            let store = store();
            let owner = deployment(&store);
            store
                .create(Kind::Pod, owned(pod("free", ""), &owner))
                .expect("created");
            store
                .create(Kind::Pod, owned(pod("placed", "n1"), &owner))
                .expect("created");
            store.create(Kind::Pod, pod("other", "")).expect("created");
            let options = DeleteOptions {
                propagation,
                ..Default::default()
            };
            store
                .delete(Kind::Deployment, "default", "web", &options)
                .expect("deleted");
            let orphaned = propagation == Propagation::Orphan;
            let waits = propagation == Propagation::Foreground;
            assert_eq!(store.exists(Kind::Deployment, "default", "web"), waits);
            assert_eq!(store.exists(Kind::Pod, "default", "free"), orphaned);
            assert!(store.exists(Kind::Pod, "default", "other"));
            let placed = store
                .get(Kind::Pod, "default", "placed")
                .expect("not let go yet");
            assert_eq!(
                object::is_terminating(&placed),
                !orphaned,
                "{propagation:?}"
            );
            assert_eq!(object::is_owned_by(&placed, object::uid(&owner)), !orphaned);
            store
                .delete(Kind::Pod, "default", "placed", &DeleteOptions::now())
                .expect("let go");
            assert!(
                !store.exists(Kind::Deployment, "default", "web"),
                "{propagation:?}"
            );
        }
    }

    #[test]
    fn a_dependent_that_comes_too_late_is_collected() {
        let store = store();
        let owner = deployment(&store);
        store
            .delete(
                Kind::Deployment,
                "default",
                "web",
                &DeleteOptions::default(),
            )
            .expect("deleted");
        store
            .create(Kind::Pod, owned(pod("late", ""), &owner))
            .expect("accepted");
        assert!(!store.exists(Kind::Pod, "default", "late"));
        // A namesake of the old owner is not the owner.
        deployment(&store);
        store
            .create(Kind::Pod, owned(pod("later", ""), &owner))
            .expect("accepted");
        assert!(!store.exists(Kind::Pod, "default", "later"));
        let mut foreign = owned(pod("foreign", ""), &owner);
        foreign["metadata"]["ownerReferences"][0]["kind"] = json!("ReplicaSet");
        store.create(Kind::Pod, foreign).expect("accepted");
        assert!(
            store.exists(Kind::Pod, "default", "foreign"),
            "unknown owners are let be"
        );
    }

    #[test]
    fn a_namespace_goes_after_its_contents() {
        let store = store();
        store
            .create(Kind::Namespace, json!({"metadata": {"name": "n"}}))
            .expect("created");
        for (name, node) in [("free", ""), ("placed", "n1")] {
            let mut object = pod(name, node);
            object["metadata"]["namespace"] = json!("n");
            store.create(Kind::Pod, object).expect("created");
        }
        let options = DeleteOptions::default();
        store
            .delete(Kind::Namespace, "", "n", &options)
            .expect("deleted");
        assert!(!store.exists(Kind::Pod, "n", "free"));
        let namespace = store
            .get(Kind::Namespace, "", "n")
            .expect("waits for its pod");
        assert_eq!(namespace["status"]["phase"], "Terminating");
        let refused = store.create(
            Kind::ConfigMap,
            json!({"metadata": {"name": "x", "namespace": "n"}}),
        );
        assert_eq!(refused.map_err(|error| error.code()), Err(403));
        store
            .delete(Kind::Pod, "n", "placed", &DeleteOptions::now())
            .expect("let go");
        assert!(!store.exists(Kind::Namespace, "", "n"));
        let refused = store.delete(Kind::Namespace, "", "default", &options);
        assert_eq!(refused.map_err(|error| error.code()), Err(403));
    }

    #[test]
    fn finalizers_hold_what_is_being_deleted() {
        let store = store();
        let map = json!({"metadata": {"name": "m", "finalizers": ["x.io/hold"]}});
        store.create(Kind::ConfigMap, map).expect("created");
        store
            .delete(Kind::ConfigMap, "default", "m", &DeleteOptions::default())
            .expect("begun");
        assert!(store.exists(Kind::ConfigMap, "default", "m"));
        store
            .modify(Kind::ConfigMap, "default", "m", |map| {
                map["metadata"]["finalizers"] = json!([])
            })
            .expect("released");
        assert!(!store.exists(Kind::ConfigMap, "default", "m"));
    }

    #[test]
    fn preconditions() {
        let store = store();
        let map = json!({"metadata": {"name": "m"}});
        let map = store.create(Kind::ConfigMap, map).expect("created");
        let delete = |options: &DeleteOptions| {
            store
                .delete(Kind::ConfigMap, "default", "m", options)
                .map_err(|error| error.code())
        };
        let text = |text: &str| Some(text.to_owned());
        let default = DeleteOptions::default;
        assert_eq!(
            delete(&DeleteOptions {
                uid: text("other"),
                ..default()
            })
            .err(),
            Some(409)
        );
        let old = DeleteOptions {
            resource_version: text("1"),
            ..default()
        };
        assert_eq!(delete(&old).err(), Some(409));
        assert!(
            delete(&DeleteOptions {
                dry_run: true,
                ..default()
            })
            .is_ok()
        );
        assert!(
            delete(&DeleteOptions {
                uid: text(object::uid(&map)),
                ..default()
            })
            .is_ok()
        );
        assert_eq!(delete(&default()).err(), Some(404));
    }
}
