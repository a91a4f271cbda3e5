//! The OpenAPI v3 documents, as far as `kubectl apply` reads them. Pure.
//!
//! kubectl looks for the PATCH operation of a kind: if that has the parameter `fieldValidation`, it
//! leaves validation to the server.
//! Its request body must not list strategic merge patches: kubectl would then compute them from the
//! document's schemas (which are left out here) instead of from its own types.

use crate::store::Kind;
use serde_json::{Map, Value, json};

/// Path of a kind's group version, as `/openapi/v3` names its document.
fn document_path(kind: Kind) -> String {
    let row = kind.registration();
    match row.group {
        "" => format!("api/{}", row.version),
        group => format!("apis/{group}/{}", row.version),
    }
}

/// `/openapi/v3`.
pub(super) fn index() -> Value {
    let entry = |kind| {
        let path = document_path(kind);
        // Clients keep documents by this address: the hash is the build's version.
        let url = format!("/openapi/v3/{path}?hash={}", env!("CARGO_PKG_VERSION"));
        (path, json!({"serverRelativeURL": url}))
    };
    let paths: Map<String, Value> = Kind::all().map(entry).collect();
    json!({"paths": paths})
}

/// `/openapi/v3/<path>`.
pub(super) fn document(path: &str) -> Option<Value> {
    let kinds: Vec<Kind> = Kind::all()
        .filter(|kind| document_path(*kind) == path)
        .collect();
    if kinds.is_empty() {
        return None;
    }
    let paths: Map<String, Value> = kinds.iter().flat_map(|kind| paths_of(*kind)).collect();
    let schemas: Map<String, Value> = kinds.iter().map(|kind| schema(*kind)).collect();
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "flatnet lab", "version": "v1.32.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn group_version_kind(kind: Kind) -> Value {
    let row = kind.registration();
    json!({"group": row.group, "version": row.version, "kind": row.name})
}

fn paths_of(kind: Kind) -> [(String, Value); 2] {
    let row = kind.registration();
    let prefix = document_path(kind);
    let namespace = if row.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    let collection = format!("/{prefix}{namespace}/{}", row.plural);
    let object = format!("{collection}/{{name}}");
    let post = operation(kind, "post", &["application/json"]);
    let put = operation(kind, "put", &["application/json"]);
    let patch = operation(
        kind,
        "patch",
        &[
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
        ],
    );
    [
        (collection, json!({"post": post})),
        (object, json!({"put": put, "patch": patch})),
    ]
}

fn operation(kind: Kind, action: &str, media_types: &[&str]) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let content: Map<String, Value> = media_types
        .iter()
        .map(|media_type| {
            (
                (*media_type).to_owned(),
                json!({"schema": {"type": "object"}}),
            )
        })
        .collect();
    let parameters = ["dryRun", "fieldManager", "fieldValidation"].map(parameter);
    json!({
        "operationId": format!("{action}{}", kind.registration().name),
        "parameters": parameters,
        "requestBody": {"content": content, "required": true},
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(kind),
    })
}

fn schema(kind: Kind) -> (String, Value) {
    let row = kind.registration();
    let group = if row.group.is_empty() {
        "core"
    } else {
        row.group
    };
    let body = json!({"type": "object",
        "x-kubernetes-group-version-kind": [group_version_kind(kind)]});
    (format!("{group}.{}.{}", row.version, row.name), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_patch_that_kubectl_looks_for() {
        for kind in Kind::all() {
            let path = document_path(kind);
            assert!(index()["paths"].get(&path).is_some(), "{path}");
            let document = document(&path).expect("a document");
            let operations = document["paths"].as_object().expect("paths").values();
            let patch = operations
                .map(|path| &path["patch"])
                .find(|patch| patch["x-kubernetes-group-version-kind"] == group_version_kind(kind))
                .expect("a patch operation");
            assert!(patch["parameters"].to_string().contains("fieldValidation"));
            assert!(!patch["requestBody"].to_string().contains("strategic"));
        }
        assert_eq!(document("apis/nothing/v1"), None);
    }
}
