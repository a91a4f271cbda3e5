//! `/health`: the process lives. `/ready`: it knows the cluster and is not about to stop.
//! `/metrics`: what it measured.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// The format of Prometheus's text.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves on `address`, not ready any more once `draining` is cancelled. Returns the bound address
/// and the task, which ends by itself only if the listener fails.
pub(crate) async fn serve(
    address: SocketAddr,
    server: Arc<Server>,
    draining: CancellationToken,
) -> anyhow::Result<(SocketAddr, JoinHandle<io::Result<()>>)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let bound = listener.local_addr()?;
    let app = Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state((server, draining));
    let served = axum::serve(listener, app);
    Ok((bound, tokio::spawn(served.into_future())))
}

type Shared = State<(Arc<Server>, CancellationToken)>;

async fn ready(State((server, draining)): Shared) -> (StatusCode, String) {
    if draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    if !server.feed.is_synced() {
        let text = "waiting for the first list of Services and EndpointSlices\n".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    let age = server.feed.age().map_or(0, |age| age.as_secs());
    (
        StatusCode::OK,
        format!("ready, API server heard of {age} s ago\n"),
    )
}

async fn metrics(State((server, _)): Shared) -> impl IntoResponse {
    let text = server
        .metrics
        .text(server.feed.age(), server.upstream.cached());
    ([(header::CONTENT_TYPE, TEXT)], text)
}
