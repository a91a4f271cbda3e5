//! One request, read: what the handlers work with.

use super::accept::{self, Representation};
use super::path::{self, Target};
use super::query::Query;
use super::{Api, Closing, event_names};
use crate::store::ApiError;
use axum::body::{self, Bytes};
use axum::extract::{Query as Pairs, Request};
use axum::http::{Method, header};
use tokio_util::sync::CancellationToken;

/// The largest body that is read, as upstream.
const MAX_BODY: usize = 3 * 1024 * 1024;
/// Where Events are written by their newer name.
const NEWER_EVENTS: &str = "/apis/events.k8s.io/v1/";

/// A request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) api: Api,
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) query: Query,
    pub(super) representation: Representation,
    /// Of the body, in lower case and without parameters; empty if not given.
    pub(super) media_type: String,
    pub(super) body: Bytes,
    /// Whether it speaks of Events as `events.k8s.io/v1`; the body no longer does.
    pub(super) newer_events: bool,
    /// Cancelled when the listener closes.
    pub(super) closing: CancellationToken,
}

impl Call {
    /// Reads a request to its end.
    pub(super) async fn read(api: Api, request: Request) -> Result<Call, ApiError> {
        let target = path::parse(request.uri().path())?;
        let newer_events = request.uri().path().starts_with(NEWER_EVENTS);
        let pairs: Pairs<Vec<(String, String)>> = Pairs::try_from_uri(request.uri())
            .map_err(|error| ApiError::BadRequest(error.body_text()))?;
        let query = Query::read(&pairs)?;
        let representation = accept::negotiate(&header_text(&request, &header::ACCEPT))?;
        let content_type = header_text(&request, &header::CONTENT_TYPE);
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let media_type = media_type.to_ascii_lowercase();
        let closing = request
            .extensions()
            .get::<Closing>()
            .map(|closing| closing.0.clone());
        let method = request.method().clone();
        let body = body::to_bytes(request.into_body(), MAX_BODY)
            .await
            .map_err(|_| ApiError::TooLarge(MAX_BODY))?;
        let closing = closing.unwrap_or_default();
        let body = if newer_events {
            core_event(body)?
        } else {
            body
        };
        Ok(Call {
            api,
            method,
            target,
            query,
            representation,
            media_type,
            body,
            newer_events,
            closing,
        })
    }
}

/// An Event, or a patch of one, as the core group has it.
fn core_event(body: Bytes) -> Result<Bytes, ApiError> {
    if body.is_empty() {
        return Ok(body);
    }
    let mut event = serde_json::from_slice(&body)
        .map_err(|error| ApiError::BadRequest(format!("an Event is taken as JSON: {error}")))?;
    event_names::to_core(&mut event);
    Ok(event.to_string().into())
}

/// All values of a header, joined as a list.
fn header_text(request: &Request, name: &header::HeaderName) -> String {
    let values = request.headers().get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .collect::<Vec<_>>()
        .join(",")
}
