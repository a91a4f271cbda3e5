//! POST, PUT and PATCH.

use super::call::Call;
use super::decode::{self, Decoded};
use super::patch::Patch;
use super::{respond, schema};
use crate::store::object::{self, str_of};
use crate::store::{ApiError, Cause, Key, Kind, Scope, WriteOptions};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

/// POST to a collection.
pub(super) fn create(
    call: &Call,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<Response, ApiError> {
    let body = decode::body(call)?;
    let decoded = decode::object(kind, body, call.query.field_validation, &[])?;
    store_new(call, kind, namespace, decoded)
}

fn store_new(
    call: &Call,
    kind: Kind,
    namespace: Option<&str>,
    decoded: Decoded,
) -> Result<Response, ApiError> {
    let Decoded {
        mut object,
        warnings,
    } = decoded;
    into_namespace(&mut object, kind, namespace)?;
    // A status is the controllers' to write; only kubelets bring their node's along.
    if kind.has_status()
        && kind != Kind::Node
        && let Some(map) = object.as_object_mut()
    {
        map.remove("status");
    }
    let stored = call
        .api
        .store
        .create_with(kind, object, call.query.dry_run)?;
    let response = respond::object(call, kind, StatusCode::CREATED, &stored);
    Ok(respond::warn(response, &warnings))
}

/// The namespace in the path and that in the body must be the same.
fn into_namespace(object: &mut Value, kind: Kind, namespace: Option<&str>) -> Result<(), ApiError> {
    if !kind.namespaced() {
        return Ok(());
    }
    let given = object::namespace(object);
    match namespace {
        Some(namespace) if given.is_empty() => {
            let namespace = namespace.into();
            object::metadata_mut(object).insert("namespace".to_owned(), namespace);
            Ok(())
        }
        Some(namespace) if given == namespace => Ok(()),
        _ => Err(ApiError::BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
                .to_owned(),
        )),
    }
}

/// PUT of an object or its status.
pub(super) fn replace(
    call: &Call,
    kind: Kind,
    key: &Key,
    scope: Scope,
) -> Result<Response, ApiError> {
    let body = decode::body(call)?;
    let Decoded {
        mut object,
        warnings,
    } = decode::object(kind, body, call.query.field_validation, &[])?;
    into_namespace(&mut object, kind, Some(&key.namespace))?;
    check_name(&object, key)?;
    let options = WriteOptions {
        scope,
        dry_run: call.query.dry_run,
    };
    let stored = call.api.store.change(kind, key, options, |_| Ok(object))?;
    let response = respond::object(call, kind, StatusCode::OK, &stored);
    Ok(respond::warn(response, &warnings))
}

fn check_name(object: &Value, key: &Key) -> Result<(), ApiError> {
    let (given, expected) = (object::name(object), &key.name);
    if given == expected {
        return Ok(());
    }
    Err(ApiError::BadRequest(match given {
        "" => format!(
            "the name of the object ({expected} based on URL) was undeterminable: name must be \
             provided"
        ),
        given => format!(
            "the name of the object ({given}) does not match the name on the URL ({expected})"
        ),
    }))
}

/// PATCH of an object or its status, in any of the four patch formats.
pub(super) fn patch(
    call: &Call,
    kind: Kind,
    key: &Key,
    scope: Scope,
) -> Result<Response, ApiError> {
    let patch = Patch::read(&call.media_type, &call.body, &call.query.field_manager)?;
    if let Patch::Apply { wanted, .. } = &patch {
        check_apply(call, kind, key, wanted)?;
        let is_new = !call.api.store.exists(kind, &key.namespace, &key.name);
        if is_new && scope == Scope::Main {
            let object = patch.apply(schema::of(kind), &json!({}))?;
            let decoded = decode::object(kind, object, call.query.field_validation, &[])?;
            return store_new(call, kind, Some(&key.namespace), decoded);
        }
    }
    let mut warnings = Vec::new();
    let options = WriteOptions {
        scope,
        dry_run: call.query.dry_run,
    };
    let stored = call.api.store.change(kind, key, options, |current| {
        let next = patch.apply(schema::of(kind), current)?;
        let strangers = decode::strangers(kind, current);
        let decoded = decode::object(kind, next, call.query.field_validation, &strangers)?;
        check_name(&decoded.object, key)?;
        warnings = decoded.warnings;
        Ok(decoded.object)
    })?;
    let response = respond::object(call, kind, StatusCode::OK, &stored);
    Ok(respond::warn(response, &warnings))
}

/// What server-side apply asks of its body.
fn check_apply(call: &Call, kind: Kind, key: &Key, wanted: &Value) -> Result<(), ApiError> {
    if call.query.field_manager.is_empty() {
        return Err(ApiError::Invalid {
            kind: "PatchOptions.meta.k8s.io".to_owned(),
            name: String::new(),
            causes: vec![Cause {
                reason: "FieldValueRequired",
                field: "fieldManager".to_owned(),
                message: "Required value: is required for apply patch".to_owned(),
            }],
        });
    }
    let (api_version, name) = (kind.api_version(), kind.registration().name);
    if str_of(&wanted["apiVersion"]) != api_version || str_of(&wanted["kind"]) != name {
        return Err(ApiError::BadRequest(format!(
            "invalid object type: {}, Kind={}: expected {api_version}, Kind={name}",
            str_of(&wanted["apiVersion"]),
            str_of(&wanted["kind"])
        )));
    }
    check_name(wanted, key)
}

/// POST to a pod's binding: gives the pod its node.
pub(super) fn bind(call: &Call, key: &Key) -> Result<Response, ApiError> {
    let binding = decode::body(call)?;
    let node = str_of(&binding["target"]["name"]).to_owned();
    if node.is_empty() {
        return Err(ApiError::BadRequest(
            "target.name: Required value".to_owned(),
        ));
    }
    let options = WriteOptions {
        scope: Scope::Whole,
        dry_run: call.query.dry_run,
    };
    call.api.store.change(Kind::Pod, key, options, |current| {
        let bound = str_of(&current["spec"]["nodeName"]);
        if !bound.is_empty() {
            return Err(ApiError::Conflict {
                resource: "pods/binding".to_owned(),
                name: key.name.clone(),
                why: format!("pod {} is already assigned to node {bound:?}", key.name),
            });
        }
        let mut next = current.clone();
        next["spec"]["nodeName"] = node.into();
        Ok(next)
    })?;
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    Ok(respond::json_response(
        StatusCode::CREATED,
        &status,
        call.query.pretty,
    ))
}
