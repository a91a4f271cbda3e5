//! The scale subresource of Deployments, as `autoscaling/v1` Scale.

use super::call::Call;
use super::patch::Patch;
use super::{decode, read, respond, schema};
use crate::store::object::{self, str_of};
use crate::store::{ApiError, Key, Kind, Scope, WriteOptions};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

/// GET of a Deployment's scale.
pub(super) fn get(call: &Call, key: &Key) -> Result<Response, ApiError> {
    let deployment = read::found(call, Kind::Deployment, key)?;
    Ok(respond::json_response(
        StatusCode::OK,
        &of(&deployment),
        call.query.pretty,
    ))
}

/// PUT of a Deployment's scale.
pub(super) fn replace(call: &Call, key: &Key) -> Result<Response, ApiError> {
    let scale = decode::scale(decode::body(call)?, call.query.field_validation)?.object;
    write(call, key, |_| Ok(scale))
}

/// PATCH of a Deployment's scale.
pub(super) fn patch(call: &Call, key: &Key) -> Result<Response, ApiError> {
    let patch = Patch::read(&call.media_type, &call.body, &call.query.field_manager)?;
    write(call, key, |current| {
        let scale = patch.apply(schema::scale(), current)?;
        decode::scale(scale, call.query.field_validation).map(|decoded| decoded.object)
    })
}

fn write(
    call: &Call,
    key: &Key,
    edit: impl FnOnce(&Value) -> Result<Value, ApiError>,
) -> Result<Response, ApiError> {
    let options = WriteOptions {
        scope: Scope::Main,
        dry_run: call.query.dry_run,
    };
    let stored = call
        .api
        .store
        .change(Kind::Deployment, key, options, |deployment| {
            let scale = edit(&of(deployment))?;
            let mut next = deployment.clone();
            next["spec"]["replicas"] = scale["spec"]["replicas"]
                .as_i64()
                .unwrap_or_default()
                .into();
            // Whoever says which version they saw means the Deployment's.
            next["metadata"]["resourceVersion"] =
                str_of(&scale["metadata"]["resourceVersion"]).into();
            Ok(next)
        })?;
    Ok(respond::json_response(
        StatusCode::OK,
        &of(&stored),
        call.query.pretty,
    ))
}

/// The scale of a Deployment.
fn of(deployment: &Value) -> Value {
    let metadata = &deployment["metadata"];
    let count = |value: &Value| value.as_i64().unwrap_or_default();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": object::resource_version(deployment),
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": count(&deployment["spec"]["replicas"])},
        "status": {
            "replicas": count(&deployment["status"]["replicas"]),
            "selector": selector_text(&deployment["spec"]["selector"]),
        },
    })
}

/// A label selector as the text a query would carry.
fn selector_text(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<String> = labels
        .map(|(key, value)| format!("{key}={}", str_of(value)))
        .collect();
    for expression in object::items(&selector["matchExpressions"]) {
        let key = str_of(&expression["key"]);
        let values: Vec<&str> = object::items(&expression["values"])
            .iter()
            .map(str_of)
            .collect();
        terms.push(match str_of(&expression["operator"]) {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_tells_count_and_selector() {
        let deployment = json!({
            "metadata": {"name": "web", "namespace": "default", "resourceVersion": "7"},
            "spec": {"replicas": 3, "selector": {
                "matchLabels": {"app": "web"},
                "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["a", "b"]},
                    {"key": "zone", "operator": "DoesNotExist"},
                ],
            }},
            "status": {"replicas": 2},
        });
        let scale = of(&deployment);
        assert_eq!(scale["spec"]["replicas"], 3);
        assert_eq!(scale["status"]["replicas"], 2);
        assert_eq!(scale["status"]["selector"], "app=web,tier in (a,b),!zone");
        assert_eq!(scale["metadata"]["resourceVersion"], "7");
    }
}
