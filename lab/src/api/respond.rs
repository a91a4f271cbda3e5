//! Writing answers: objects, lists, tables, statuses.

use super::accept::Representation;
use super::call::Call;
use super::event_names;
use super::table::{self, table};
use crate::store::{ApiError, Kind, clock, object as metadata};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures::Stream;
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

/// One object, as the client wants to see it.
pub(super) fn object(call: &Call, kind: Kind, code: StatusCode, object: &Value) -> Response {
    let shown = match call.representation {
        Representation::Table => {
            let version = json!({"resourceVersion": metadata::resource_version(object)});
            &table(kind, &[object], &version, call.query.include, clock::now())
        }
        Representation::Metadata => &table::metadata_only(object),
        Representation::Objects | Representation::AggregatedDiscovery if call.newer_events => {
            &event_names::from_core(object)
        }
        Representation::Objects | Representation::AggregatedDiscovery => object,
    };
    json_response(code, shown, call.query.pretty)
}

#[derive(Serialize)]
struct ListBody<'a> {
    kind: String,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Value,
    items: Vec<&'a Value>,
}

/// Objects as they stood at a revision, as the client wants to see them.
pub(super) fn list(call: &Call, kind: Kind, items: &[Arc<Value>], revision: u64) -> Response {
    let version = json!({"resourceVersion": revision.to_string()});
    let items: Vec<&Value> = items.iter().map(Arc::as_ref).collect();
    let (code, pretty) = (StatusCode::OK, call.query.pretty);
    match call.representation {
        Representation::Table => {
            let table = table(kind, &items, &version, call.query.include, clock::now());
            json_response(code, &table, pretty)
        }
        Representation::Metadata => {
            let items: Vec<Value> = items.into_iter().map(table::metadata_only).collect();
            let body = json!({"kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1", "metadata": version, "items": items});
            json_response(code, &body, pretty)
        }
        Representation::Objects | Representation::AggregatedDiscovery => {
            let body = ListBody {
                kind: format!("{}List", kind.registration().name),
                api_version: kind.api_version(),
                metadata: version,
                items,
            };
            json_response(code, &body, pretty)
        }
    }
}

/// A deletion that is complete.
pub(super) fn deleted(call: &Call, kind: Kind, object: &Value) -> Response {
    let row = kind.registration();
    let details = json!({"name": metadata::name(object), "group": row.group, "kind": row.plural,
        "uid": metadata::uid(object)});
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Success", "details": details});
    json_response(StatusCode::OK, &status, call.query.pretty)
}

/// A request that failed.
pub(super) fn failure(error: &ApiError) -> Response {
    let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json_response(code, &error.status(), false)
}

/// A document of its own media type.
pub(super) fn document(body: &Value, media_type: &'static str) -> Response {
    typed(StatusCode::OK, body.to_string(), media_type)
}

/// Plain text.
pub(super) fn text(code: StatusCode, body: &'static str) -> Response {
    typed(code, body.to_owned(), "text/plain; charset=utf-8")
}

/// Any body as JSON.
pub(super) fn json_response(code: StatusCode, body: &impl Serialize, pretty: bool) -> Response {
    let written = if pretty {
        serde_json::to_string_pretty(body)
    } else {
        serde_json::to_string(body)
    };
    match written {
        Ok(text) => typed(code, text, "application/json"),
        Err(error) => failure(&ApiError::Internal(error.to_string())),
    }
}

/// A body of JSON lines that come as they come.
pub(super) fn stream(
    chunks: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Response {
    let mut response = Response::new(Body::from_stream(chunks));
    let media_type = HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}

/// Adds upstream's `Warning` headers, which `kubectl` prints.
pub(super) fn warn(mut response: Response, warnings: &[String]) -> Response {
    for warning in warnings {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

fn typed(code: StatusCode, body: String, media_type: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
