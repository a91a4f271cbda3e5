//! DELETE of an object or of a collection.

use super::call::Call;
use super::{decode, read, respond};
use crate::store::object::{self, str_of};
use crate::store::{ApiError, DeleteOptions, Key, Kind, Propagation};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

/// DELETE of one object.
pub(super) fn object(call: &Call, kind: Kind, key: &Key) -> Result<Response, ApiError> {
    let options = options(call)?;
    let store = &call.api.store;
    let object = store.delete(kind, &key.namespace, &key.name, &options)?;
    // Upstream shows these two in their last state, and others only while they linger.
    let shows_last = matches!(kind, Kind::Pod | Kind::Service);
    if shows_last || store.exists(kind, &key.namespace, &key.name) {
        return Ok(respond::object(call, kind, StatusCode::OK, &object));
    }
    Ok(respond::deleted(call, kind, &object))
}

/// DELETE of a collection: all objects that the selectors let through.
pub(super) fn collection(
    call: &Call,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<Response, ApiError> {
    let options = options(call)?;
    let list = read::selected(call, kind, namespace)?;
    let mut deleted = Vec::with_capacity(list.items.len());
    for item in list.items {
        let (namespace, name) = (object::namespace(&item), object::name(&item));
        match call.api.store.delete(kind, namespace, name, &options) {
            Ok(object) => deleted.push(object),
            // Gone with an owner that came before it in the list.
            Err(ApiError::NotFound { .. }) => (),
            Err(error) => return Err(error),
        }
    }
    Ok(respond::list(call, kind, &deleted, list.resource_version))
}

/// The options in the body, or else in the query.
fn options(call: &Call) -> Result<DeleteOptions, ApiError> {
    let body = if call.body.is_empty() {
        Value::Null
    } else {
        decode::body(call)?
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let policy = match str_of(&body["propagationPolicy"]) {
        "" => call.query.propagation.as_str(),
        policy => policy,
    };
    let propagation = match policy {
        "" if body["orphanDependents"] == true => Propagation::Orphan,
        "" | "Background" => Propagation::Background,
        "Foreground" => Propagation::Foreground,
        "Orphan" => Propagation::Orphan,
        other => {
            return Err(ApiError::BadRequest(format!(
                "invalid propagationPolicy {other:?}: must be Background, Foreground or Orphan"
            )));
        }
    };
    let grace = body["gracePeriodSeconds"]
        .as_u64()
        .and_then(|grace| u32::try_from(grace).ok());
    Ok(DeleteOptions {
        grace_period_seconds: grace.or(call.query.grace_period_seconds),
        propagation,
        uid: text(&body["preconditions"]["uid"]),
        resource_version: text(&body["preconditions"]["resourceVersion"]),
        dry_run: call.query.dry_run || body["dryRun"][0] == "All",
    })
}
