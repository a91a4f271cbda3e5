//! Who answers which request.

use super::accept::Representation;
use super::call::Call;
use super::path::Target;
use super::respond::{document, failure, text};
use super::{Api, discovery, follow, openapi, read, remove, scale, write};
use crate::store::{ApiError, Key, Kind, Scope};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;

/// Answers every request there is.
pub(super) async fn handle(State(api): State<Api>, request: Request) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let answer = match Call::read(api, request).await {
        Ok(call) => answer(&call),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| {
        tracing::debug!(%method, %uri, %error, "refused");
        failure(&error)
    })
}

fn answer(call: &Call) -> Result<Response, ApiError> {
    match &call.target {
        Target::Collection { kind, namespace } => collection(call, *kind, namespace.as_deref()),
        Target::Object {
            kind,
            key,
            subresource,
        } => object(call, *kind, key, subresource),
        _ if call.method != Method::GET => Err(ApiError::MethodNotAllowed),
        root => describe(call, root),
    }
}

fn collection(call: &Call, kind: Kind, namespace: Option<&str>) -> Result<Response, ApiError> {
    match call.method {
        Method::GET if call.newer_events => Err(ApiError::NotImplemented(
            "the lab takes Events of events.k8s.io/v1 and lists them as v1".to_owned(),
        )),
        Method::GET if call.query.watch => follow::watch(call, kind, namespace, None),
        Method::GET => read::list(call, kind, namespace),
        Method::POST => write::create(call, kind, namespace),
        Method::DELETE => remove::collection(call, kind, namespace),
        _ => Err(ApiError::MethodNotAllowed),
    }
}

fn object(call: &Call, kind: Kind, key: &Key, part: &str) -> Result<Response, ApiError> {
    match (&call.method, part) {
        (&Method::GET, "") if call.query.watch => {
            let namespace = Some(key.namespace.as_str()).filter(|_| kind.namespaced());
            follow::watch(call, kind, namespace, Some(&key.name))
        }
        (&Method::GET, "" | "status") => read::get(call, kind, key),
        (&Method::PUT, "") => write::replace(call, kind, key, Scope::Main),
        (&Method::PUT, "status") => write::replace(call, kind, key, Scope::Status),
        (&Method::PATCH, "") => write::patch(call, kind, key, Scope::Main),
        (&Method::PATCH, "status") => write::patch(call, kind, key, Scope::Status),
        (&Method::DELETE, "") => remove::object(call, kind, key),
        (&Method::GET, "scale") => scale::get(call, key),
        (&Method::PUT, "scale") => scale::replace(call, key),
        (&Method::PATCH, "scale") => scale::patch(call, key),
        (&Method::POST, "binding") => write::bind(call, key),
        _ => Err(ApiError::MethodNotAllowed),
    }
}

/// What the server says about itself.
fn describe(call: &Call, root: &Target) -> Result<Response, ApiError> {
    let aggregated = call.representation == Representation::AggregatedDiscovery;
    let body = match root {
        Target::Health => return Ok(text(StatusCode::OK, "ok")),
        Target::Version => Some(discovery::version()),
        Target::CoreGroup if aggregated => Some(discovery::aggregated_core()),
        Target::CoreGroup => Some(discovery::core_versions()),
        Target::Groups if aggregated => Some(discovery::aggregated_groups()),
        Target::Groups => Some(discovery::group_list()),
        Target::Group(group) => discovery::group(group),
        Target::Resources { group, version } => discovery::resources(group, version),
        Target::OpenApiIndex => Some(openapi::index()),
        Target::OpenApi(path) => openapi::document(path),
        Target::Collection { .. } | Target::Object { .. } => None,
    };
    let media_type = match root {
        Target::CoreGroup | Target::Groups if aggregated => super::accept::AGGREGATED,
        _ => "application/json",
    };
    body.map(|body| document(&body, media_type))
        .ok_or(ApiError::UnknownPath)
}
