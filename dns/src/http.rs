//! `/health`: the process lives. `/ready`: it knows the cluster and is not about to stop.

use std::io;
use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use cluster_watch::Feed;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Serves on `address`, not ready any more once `draining` is cancelled. Returns the bound address
/// and the task, which ends by itself only if the listener fails.
pub(crate) async fn serve(
    address: SocketAddr,
    feed: Feed,
    draining: CancellationToken,
) -> anyhow::Result<(SocketAddr, JoinHandle<io::Result<()>>)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let bound = listener.local_addr()?;
    let app = Router::new()
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .with_state((feed, draining));
    let served = axum::serve(listener, app);
    Ok((bound, tokio::spawn(served.into_future())))
}

async fn ready(State((feed, draining)): State<(Feed, CancellationToken)>) -> (StatusCode, String) {
    if draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    if !feed.is_synced() {
        let text = "waiting for the first list of Services and EndpointSlices\n".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    let age = feed.age().map_or(0, |age| age.as_secs());
    (
        StatusCode::OK,
        format!("ready, API server heard of {age} s ago\n"),
    )
}
