//! Server-side tables: what `kubectl get` prints.
//!
//! A kind's file gives its columns and the cells of one object, as upstream's printers do; here they
//! become a `meta.k8s.io/v1` Table.
//! Columns of priority 1 show with `-o wide` only.

mod age;
mod cluster;
mod event;
mod network;
mod node;
mod pod;
mod workload;

use crate::store::{Kind, object};
use jiff::Timestamp;
use serde_json::{Value, json};

/// One column: name, type and priority (0 always, 1 wide).
type Column = (&'static str, &'static str, u8);

const NAME: Column = ("Name", "string", 0);
const AGE: Column = ("Age", "string", 0);

/// Whether rows carry their object, its metadata, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    /// `includeObject=None`
    Nothing,
    /// `includeObject=Metadata`, the default.
    Metadata,
    /// `includeObject=Object`
    Object,
}

/// The printer of a kind: its columns, and the function that gives an object's cells.
type Printer = (&'static [Column], fn(&Value, Timestamp) -> Vec<Value>);

fn printer(kind: Kind) -> Printer {
    match kind {
        Kind::Node => (node::COLUMNS, node::cells),
        Kind::Pod => (pod::COLUMNS, pod::cells),
        Kind::Service => (network::SERVICE, network::service),
        Kind::EndpointSlice => (network::SLICE, network::slice),
        Kind::Deployment => (workload::COLUMNS, workload::cells),
        Kind::DaemonSet => (workload::DAEMON_SET, workload::daemon_set),
        Kind::ClusterRole => (cluster::ROLE, cluster::role),
        Kind::ClusterRoleBinding => (cluster::BINDING, cluster::binding),
        Kind::Namespace => (cluster::NAMESPACE, cluster::namespace),
        Kind::ConfigMap => (cluster::CONFIG_MAP, cluster::config_map),
        Kind::ServiceAccount => (cluster::ACCOUNT, cluster::account),
        Kind::Lease => (cluster::LEASE, cluster::lease),
        Kind::ServiceCidr => (network::SERVICE_CIDR, network::service_cidr),
        Kind::Event => (event::COLUMNS, event::cells),
    }
}

/// The column definitions of a kind's table.
pub(super) fn columns(kind: Kind) -> Value {
    let definition = |(name, column_type, priority): &Column| {
        let format = if *name == "Name" { "name" } else { "" };
        json!({"name": name, "type": column_type, "format": format, "description": name,
            "priority": priority})
    };
    printer(kind).0.iter().map(definition).collect()
}

/// A table of objects; `metadata` is that of the list, or of the one object.
pub(super) fn table(
    kind: Kind,
    objects: &[&Value],
    metadata: &Value,
    include: Include,
    now: Timestamp,
) -> Value {
    let (_, cells) = printer(kind);
    let row = |object: &&Value| {
        let mut row = json!({"cells": cells(object, now)});
        if let Some(object) = included(object, include) {
            row["object"] = object;
        }
        row
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns(kind),
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

fn included(object: &Value, include: Include) -> Option<Value> {
    match include {
        Include::Nothing => None,
        Include::Object => Some(object.clone()),
        Include::Metadata => Some(metadata_only(object)),
    }
}

/// The object as `PartialObjectMetadata`.
pub(super) fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"]})
}

fn name(object: &Value) -> Value {
    object::name(object).into()
}

/// How long ago the object was made.
fn age(object: &Value, now: Timestamp) -> Value {
    age::since(&object["metadata"]["creationTimestamp"], now).into()
}

/// A text, or what stands for its absence.
fn text_or(value: &Value, absent: &str) -> Value {
    match object::str_of(value) {
        "" => absent.into(),
        text => text.into(),
    }
}

/// `a=b,c=d`, or `<none>`.
fn labels(map: &Value) -> Value {
    let pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", object::str_of(value)))
        .collect();
    if pairs.is_empty() {
        "<none>".into()
    } else {
        pairs.join(",").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::clock;

    #[test]
    fn every_kind_gives_a_cell_for_each_column() {
        for kind in Kind::all() {
            let odd = [
                json!({}),
                json!({"metadata": 1, "spec": [], "status": "x", "data": 3}),
            ];
            for object in odd {
                let cells = printer(kind).1(&object, clock::now());
                assert_eq!(cells.len(), printer(kind).0.len(), "{kind:?}");
            }
        }
    }

    #[test]
    fn rows_carry_what_was_asked_for() {
        let object = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
        let row = |include| {
            let table = table(
                Kind::ConfigMap,
                &[&object],
                &json!({}),
                include,
                clock::now(),
            );
            table["rows"][0].clone()
        };
        assert_eq!(row(Include::Nothing)["object"], Value::Null);
        assert_eq!(row(Include::Object)["object"], object);
        let partial = &row(Include::Metadata)["object"];
        assert_eq!(partial["kind"], "PartialObjectMetadata");
        assert_eq!(partial["metadata"]["name"], "a");
        assert_eq!(partial["data"], Value::Null);
        assert_eq!(row(Include::Nothing)["cells"][1], 1);
    }
}
