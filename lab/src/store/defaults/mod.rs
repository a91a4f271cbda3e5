//! Admission defaults: what a user leaves out and a real cluster fills in. Pure.
//!
//! Only fields that a user sees, or that a component here reads, are filled in.
//! Filling in twice changes nothing, so that every write may do it.

mod pod;
mod service;
mod workload;

use super::{Kind, object};
use serde_json::{Map, Value, json};

/// Fills in the defaults of one object; `current` is its stored state when it is being changed.
pub fn fill(kind: Kind, object: &mut Value, current: Option<&Value>) {
    match kind {
        Kind::Pod => pod::fill(object),
        Kind::Service => service::fill(object, current),
        Kind::Deployment => workload::fill_deployment(object),
        Kind::DaemonSet => workload::fill_daemon_set(object),
        Kind::EndpointSlice => workload::fill_endpoint_slice(object),
        Kind::Namespace => fill_namespace(object),
        Kind::Node
        | Kind::ConfigMap
        | Kind::ServiceAccount
        | Kind::Event
        | Kind::Lease
        | Kind::ClusterRole
        | Kind::ClusterRoleBinding
        | Kind::ServiceCidr => (),
    }
}

fn fill_namespace(object: &mut Value) {
    let name = object::name(object).to_owned();
    let labels = object::metadata_mut(object)
        .entry("labels")
        .or_insert(json!({}));
    if let Value::Object(labels) = labels {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
    set_default(
        object::map_mut(object, "spec"),
        "finalizers",
        json!(["kubernetes"]),
    );
    set_default(object::map_mut(object, "status"), "phase", json!("Active"));
}

/// Sets a field unless it is there; null is the same as not there.
fn set_default(map: &mut Map<String, Value>, field: &str, value: Value) {
    if map.get(field).is_none_or(Value::is_null) {
        map.insert(field.to_owned(), value);
    }
}

/// As [`set_default`], where an empty text is the same as not there.
fn set_default_text(map: &mut Map<String, Value>, field: &str, value: &str) {
    if map
        .get(field)
        .is_none_or(|present| present.is_null() || present == "")
    {
        map.insert(field.to_owned(), value.into());
    }
}

/// The maps in the list under `field`, to be filled in.
fn maps_in<'a>(
    map: &'a mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    map.get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filling_in_twice_changes_nothing() {
        let container = json!({"name": "c", "image": "i", "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": 80}}});
        let pod = json!({"containers": [container]});
        let meta = json!({"name": "x", "namespace": "default"});
        let rows = [
            (Kind::Pod, json!({"metadata": meta, "spec": pod})),
            (
                Kind::Service,
                json!({"metadata": meta, "spec": {"ports": [{"port": 80}]}}),
            ),
            (
                Kind::Deployment,
                json!({"metadata": meta, "spec": {"template": {"spec": pod}}}),
            ),
            (
                Kind::DaemonSet,
                json!({"metadata": meta, "spec": {"template": {"spec": pod}}}),
            ),
            (
                Kind::EndpointSlice,
                json!({"metadata": meta, "ports": [{"port": 80}]}),
            ),
            (Kind::Namespace, json!({"metadata": {"name": "x"}})),
            (Kind::ConfigMap, json!({"metadata": meta})),
        ];
        for (kind, mut object) in rows {
            fill(kind, &mut object, None);
            let once = object.clone();
            fill(kind, &mut object, None);
            assert_eq!(object, once, "{kind:?}");
        }
    }

    #[test]
    fn objects_of_odd_shape_do_not_panic() {
        for kind in Kind::all() {
            for odd in [
                json!({}),
                json!({"spec": 1}),
                json!({"spec": {"ports": "x", "template": []}}),
                json!({"spec": {"containers": [1, {"ports": [null]}]}, "metadata": "x"}),
            ] {
                let mut object = odd.clone();
                fill(kind, &mut object, Some(&odd));
            }
        }
    }
}
