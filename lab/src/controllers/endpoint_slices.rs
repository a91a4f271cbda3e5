//! The EndpointSlice controller: keeps the slices of every Service that selects pods.
//!
//! Slices made by hand, or by another controller, carry no label of this one and are not touched.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::inbox::Inbox;
use super::slice::{Service, Slice};
use super::slice_plan::{self, CONTROLLER, MANAGED_BY, Operation, SERVICE_NAME};
use super::{Dirty, Key};
use crate::objects::{self, Pod};
use crate::store::selector::Selector;
use crate::store::{ApiError, Change, DeleteOptions, Kind, Store, clock, object};

/// kube-proxy's metric of programming latency starts here; so does ours.
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Keeps EndpointSlices for as long as the lab lives.
pub(crate) async fn run(store: Store) -> Result<(), ApiError> {
    let mut inbox = Inbox::open(&store, &[Kind::Service, Kind::Pod, Kind::EndpointSlice])?;
    loop {
        for key in concerned(&store, &inbox.next().await?) {
            if let Err(error) = reconcile(&store, &key) {
                tracing::warn!(?key, %error, "EndpointSlices not reconciled");
            }
        }
    }
}

/// A Service itself, that of a slice, and those that select a pod or selected it before.
fn concerned(store: &Store, changes: &[(Kind, Change)]) -> Dirty {
    let mut dirty = BTreeSet::new();
    for (kind, change) in changes {
        let namespace = object::namespace(&change.object);
        match kind {
            Kind::Service => {
                dirty.insert(Key::of(&change.object));
            }
            Kind::EndpointSlice => {
                let service = object::label(&change.object, SERVICE_NAME);
                dirty.extend(service.map(|service| Key::new(namespace, service)));
            }
            _ => {
                let services = store.list(Kind::Service, Some(namespace)).items;
                let before = change.previous.as_deref();
                let selected = |service: &&std::sync::Arc<Value>| {
                    let selector = Selector::from_labels(&service["spec"]["selector"]);
                    let selects = |pod: &Value| selector.matches(&pod["metadata"]["labels"]);
                    !selector.is_empty() && (selects(&change.object) || before.is_some_and(selects))
                };
                dirty.extend(
                    services
                        .iter()
                        .filter(selected)
                        .map(|service| Key::of(service)),
                );
            }
        }
    }
    dirty
}

fn reconcile(store: &Store, key: &Key) -> Result<(), ApiError> {
    let Some(stored) = store.get(Kind::Service, &key.namespace, &key.name) else {
        return Ok(());
    };
    let unreadable = |error| ApiError::Internal(format!("Service {}: {error}", key.name));
    let service: Service = objects::read(&stored).map_err(unreadable)?;
    let existing = own_slices(store, key);
    let operations = if service.selects_pods() && !service.metadata.terminating() {
        let pods = store.list(Kind::Pod, Some(&key.namespace)).items;
        let pods: Vec<Pod> = pods
            .iter()
            .filter_map(|pod| objects::read(pod).ok())
            .collect();
        slice_plan::decide(&service, &pods, &zones(store), &existing)
    } else {
        existing
            .into_iter()
            .map(|slice| Operation::Delete(slice.name))
            .collect()
    };
    for operation in operations {
        carry_out(store, &stored, operation)?;
    }
    Ok(())
}

fn own_slices(store: &Store, key: &Key) -> Vec<Slice> {
    let ours = |slice: &Value| {
        object::label(slice, SERVICE_NAME) == Some(&key.name)
            && object::label(slice, MANAGED_BY) == Some(CONTROLLER)
    };
    let read = |object: &Value| {
        let mut slice: Slice = objects::read(object).ok()?;
        object::name(object).clone_into(&mut slice.name);
        slice.labels = objects::read(&object["metadata"]["labels"]).unwrap_or_default();
        Some(slice)
    };
    let items = store.list(Kind::EndpointSlice, Some(&key.namespace)).items;
    items
        .iter()
        .filter(|slice| ours(slice))
        .filter_map(|slice| read(slice))
        .collect()
}

fn zones(store: &Store) -> BTreeMap<String, String> {
    let zone = |node: &Value| {
        let zone = object::label(node, "topology.kubernetes.io/zone")?;
        Some((object::name(node).to_owned(), zone.to_owned()))
    };
    store
        .list(Kind::Node, None)
        .items
        .iter()
        .filter_map(|node| zone(node))
        .collect()
}

fn carry_out(store: &Store, service: &Value, operation: Operation) -> Result<(), ApiError> {
    let namespace = object::namespace(service);
    match operation {
        Operation::Create(slice) => {
            let mut object = body(&slice)?;
            object["metadata"] = json!({
                "generateName": format!("{}-", object::name(service)),
                "namespace": namespace,
                "labels": slice.labels,
                "annotations": {TRIGGER_TIME: clock::timestamp()},
                "ownerReferences": [object::owner_reference(service)],
            });
            store.create(Kind::EndpointSlice, object)?;
        }
        Operation::Update(slice) => {
            let body = body(&slice)?;
            store.modify(Kind::EndpointSlice, namespace, &slice.name, |object| {
                for field in ["ports", "endpoints"] {
                    object[field] = body[field].clone();
                }
                object["metadata"]["labels"] = json!(slice.labels);
                object["metadata"]["annotations"][TRIGGER_TIME] = json!(clock::timestamp());
            })?;
        }
        Operation::Delete(name) => {
            let options = DeleteOptions::default();
            match store.delete(Kind::EndpointSlice, namespace, &name, &options) {
                Ok(_) | Err(ApiError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn body(slice: &Slice) -> Result<Value, ApiError> {
    serde_json::to_value(slice).map_err(|error| ApiError::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Config;

    fn cluster() -> Store {
        let store = Store::new(&Config::default());
        let service = json!({
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        store.create(Kind::Service, service).expect("created");
        let pod = json!({
            "metadata": {"name": "p", "namespace": "default", "labels": {"app": "web"}},
            "spec": {"nodeName": "node1", "containers": [{"name": "c", "image": "i"}]},
            "status": {
                "phase": "Running", "podIP": "10.244.1.2", "podIPs": [{"ip": "10.244.1.2"}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        store.create(Kind::Pod, pod).expect("created");
        store
    }

    fn slices(store: &Store) -> Vec<std::sync::Arc<Value>> {
        store.list(Kind::EndpointSlice, Some("default")).items
    }

    #[test]
    fn slices_are_written_once_and_go_with_the_service() {
        let store = cluster();
        let key = Key::new("default", "web");
        reconcile(&store, &key).expect("reconciled");
        let before = slices(&store);
        assert_eq!(before.len(), 1);
        assert_eq!(before[0]["endpoints"][0]["addresses"][0], "10.244.1.2");
        assert_eq!(before[0]["ports"][0]["port"], 8080);
        reconcile(&store, &key).expect("reconciled");
        assert_eq!(slices(&store), before, "a second pass writes nothing");
        store
            .delete(Kind::Service, "default", "web", &DeleteOptions::default())
            .expect("deleted");
        assert!(slices(&store).is_empty());
    }

    #[test]
    fn slices_made_by_hand_are_left_alone() {
        let store = cluster();
        let manual = json!({
            "metadata": {
                "name": "mine", "namespace": "default", "labels": {SERVICE_NAME: "web"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.1"]}],
            "ports": [{"name": "", "protocol": "TCP", "port": 1}],
        });
        store.create(Kind::EndpointSlice, manual).expect("created");
        reconcile(&store, &Key::new("default", "web")).expect("reconciled");
        let slices = slices(&store);
        assert_eq!(slices.len(), 2);
        let mine = slices
            .iter()
            .find(|slice| object::name(slice) == "mine")
            .expect("it is there");
        assert_eq!(mine["endpoints"][0]["addresses"][0], "192.0.2.1");
    }
}
