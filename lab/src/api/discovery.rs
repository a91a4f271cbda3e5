//! Discovery: which groups, versions and resources there are, read from the registry. Pure.
//!
//! Clients ask for the aggregated form first (one document for each of `/api` and `/apis`) and fall
//! back to the older one; both are answered.

use crate::store::Kind;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// The version `/version` tells: what the served API corresponds to.
pub(super) fn version() -> Value {
    json!({
        "major": "1", "minor": "32", "gitVersion": "v1.32.0+flatnet-lab", "gitCommit": "",
        "gitTreeState": "", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
        "compiler": "", "platform": "linux/amd64",
    })
}

/// Named groups and their version; each has one.
fn groups() -> BTreeMap<&'static str, &'static str> {
    Kind::all()
        .map(|kind| (kind.registration().group, kind.registration().version))
        .filter(|(group, _)| !group.is_empty())
        .collect()
}

fn kinds_of(group: &str) -> impl Iterator<Item = Kind> {
    Kind::all().filter(move |kind| kind.registration().group == group)
}

/// `/api` in the older form.
pub(super) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis` in the older form.
pub(super) fn group_list() -> Value {
    let groups: Vec<Value> = groups()
        .into_iter()
        .map(|(group, version)| group_body(group, version))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`.
pub(super) fn group(name: &str) -> Option<Value> {
    let (name, version) = groups().remove_entry(name)?;
    let mut body = group_body(name, version);
    body["kind"] = "APIGroup".into();
    body["apiVersion"] = "v1".into();
    Some(body)
}

fn group_body(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

/// `/api/v1` and `/apis/<group>/<version>`.
pub(super) fn resources(group: &str, version: &str) -> Option<Value> {
    let of_version = |kind: &Kind| kind.registration().version == version;
    let resources: Vec<Value> = kinds_of(group)
        .filter(of_version)
        .flat_map(resource_entries)
        .collect();
    if resources.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version,
        "resources": resources,
    }))
}

fn resource_entries(kind: Kind) -> Vec<Value> {
    let row = kind.registration();
    let mut entry = json!({
        "name": row.plural, "singularName": row.singular, "namespaced": row.namespaced,
        "kind": row.name, "verbs": VERBS,
    });
    if !row.short_names.is_empty() {
        entry["shortNames"] = json!(row.short_names);
    }
    if !row.categories.is_empty() {
        entry["categories"] = json!(row.categories);
    }
    let part = |part: &&str| {
        let (group, version, name) = response_kind(kind, part);
        json!({
            "name": format!("{}/{part}", row.plural), "singularName": "",
            "namespaced": row.namespaced, "kind": name, "group": group, "version": version,
            "verbs": part_verbs(part),
        })
    };
    std::iter::once(entry)
        .chain(row.subresources.iter().map(part))
        .collect()
}

/// Group, version and kind that a subresource speaks.
fn response_kind(kind: Kind, part: &str) -> (&'static str, &'static str, &'static str) {
    let row = kind.registration();
    match part {
        "scale" => ("autoscaling", "v1", "Scale"),
        "binding" => ("", "v1", "Binding"),
        _ => (row.group, row.version, row.name),
    }
}

fn part_verbs(part: &str) -> &'static [&'static str] {
    if part == "binding" {
        &["create"]
    } else {
        &["get", "patch", "update"]
    }
}

/// `/api` in the aggregated form.
pub(super) fn aggregated_core() -> Value {
    aggregated(vec![aggregated_group("", "v1")])
}

/// `/apis` in the aggregated form.
pub(super) fn aggregated_groups() -> Value {
    aggregated(
        groups()
            .into_iter()
            .map(|(group, version)| aggregated_group(group, version))
            .collect(),
    )
}

fn aggregated(items: Vec<Value>) -> Value {
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": items})
}

fn aggregated_group(group: &str, version: &str) -> Value {
    let resources: Vec<Value> = kinds_of(group).map(aggregated_resource).collect();
    let metadata = if group.is_empty() {
        json!({})
    } else {
        json!({"name": group})
    };
    json!({"metadata": metadata, "versions": [
        {"version": version, "freshness": "Current", "resources": resources},
    ]})
}

fn aggregated_resource(kind: Kind) -> Value {
    let row = kind.registration();
    let part = |part: &&str| {
        let (group, version, name) = response_kind(kind, part);
        json!({"subresource": part, "verbs": part_verbs(part),
            "responseKind": {"group": group, "version": version, "kind": name}})
    };
    json!({
        "resource": row.plural, "singularResource": row.singular, "verbs": VERBS,
        "scope": if row.namespaced { "Namespaced" } else { "Cluster" },
        "shortNames": row.short_names, "categories": row.categories,
        "responseKind": {"group": row.group, "version": row.version, "kind": row.name},
        "subresources": row.subresources.iter().map(part).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_tell_of_every_kind() {
        for kind in Kind::all() {
            let row = kind.registration();
            let old = resources(row.group, row.version)
                .expect("a served version")
                .to_string();
            let new = if row.group.is_empty() {
                aggregated_core()
            } else {
                aggregated_groups()
            }
            .to_string();
            assert!(
                old.contains(&format!("\"name\":\"{}\"", row.plural)),
                "{}",
                row.name
            );
            assert!(
                new.contains(&format!("\"resource\":\"{}\"", row.plural)),
                "{}",
                row.name
            );
        }
        assert_eq!(resources("apps", "v2"), None);
        assert_eq!(group("nothing"), None);
        assert_eq!(
            group("apps").expect("served")["preferredVersion"]["version"],
            "v1"
        );
    }
}
