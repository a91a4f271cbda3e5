//! GET: one object, or a list.

use super::call::Call;
use super::respond;
use crate::store::{ApiError, Key, Kind, List};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use std::sync::Arc;

/// GET of one object.
pub(super) fn get(call: &Call, kind: Kind, key: &Key) -> Result<Response, ApiError> {
    let object = found(call, kind, key)?;
    Ok(respond::object(call, kind, StatusCode::OK, &object))
}

/// The object, or that it is not there.
pub(super) fn found(call: &Call, kind: Kind, key: &Key) -> Result<Arc<Value>, ApiError> {
    let missing = || ApiError::NotFound {
        resource: kind.qualified_resource(),
        name: key.name.clone(),
    };
    call.api
        .store
        .get(kind, &key.namespace, &key.name)
        .ok_or_else(missing)
}

/// GET of a collection.
pub(super) fn list(call: &Call, kind: Kind, namespace: Option<&str>) -> Result<Response, ApiError> {
    let list = selected(call, kind, namespace)?;
    check_version(call, list.resource_version)?;
    Ok(respond::list(
        call,
        kind,
        &list.items,
        list.resource_version,
    ))
}

/// The objects of a collection that the selectors of the request let through.
pub(super) fn selected(call: &Call, kind: Kind, namespace: Option<&str>) -> Result<List, ApiError> {
    let (labels, fields) = (&call.query.labels, &call.query.fields);
    fields.check(kind)?;
    let mut list = call.api.store.list(kind, namespace);
    list.items
        .retain(|object| labels.matches(&object["metadata"]["labels"]) && fields.matches(object));
    Ok(list)
}

/// Only the present can be listed: the past is gone, and the future (of an earlier life of the lab)
/// will not come.
fn check_version(call: &Call, now: u64) -> Result<(), ApiError> {
    if call.query.continues {
        let text = "The provided continue parameter is too old to display a consistent list \
                    result. You must start a new list without the continue parameter.";
        return Err(ApiError::Expired(text.to_owned()));
    }
    let Some(asked) = version(&call.query.resource_version)? else {
        return Ok(());
    };
    let exact = call.query.resource_version_match == "Exact";
    if asked > now || (exact && asked != now) {
        return Err(ApiError::Expired(format!(
            "too old resource version: {asked} ({now})"
        )));
    }
    Ok(())
}

/// A resource version from a query; none is "any".
pub(super) fn version(text: &str) -> Result<Option<u64>, ApiError> {
    match text {
        "" | "0" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            ApiError::BadRequest(format!("Invalid value: {text:?}: invalid resource version"))
        }),
    }
}
