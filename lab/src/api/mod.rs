//! The HTTP face of the store: as much of the Kubernetes API as `kubectl` and kube-rs use.
//!
//! A request walks forward: `path`, `query` and `accept` read it, `dispatch` finds who answers,
//! `read`, `follow`, `write`, `remove` and `scale` ask the store, `respond` writes the answer.
//! There is no authentication: whoever can reach the listener is the administrator of a cluster
//! that is made of this machine's namespaces.
//!
//! Left out, and said so in the answer where somebody might ask for it: logs, exec, port-forward
//! (use `flatnet-lab exec`), answers in protobuf, conflicts between managers of server-side apply, paging (lists are
//! whole).

mod path;

mod accept;
mod field_selector;
mod query;

mod call;
mod event_names;
mod dispatch;

mod discovery;
mod openapi;

mod decode;
mod patch;
mod protobuf;
mod schema;

mod follow;
mod read;
mod remove;
mod scale;
mod write;

mod respond;
mod table;

#[cfg(test)]
mod tests;

use crate::store::Store;
use axum::extract::Extension;
use axum::serve::ListenerExt;
use axum::{Router, routing};
use std::io;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What can be chosen about the API server.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a watch stays silent before it sends a bookmark (to clients that asked for them).
    pub bookmark_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            bookmark_interval: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Clone)]
struct Api {
    store: Store,
    settings: Settings,
}

/// The API of a store; serve it on as many listeners as there are ways to reach it.
pub fn router(store: Store) -> Router {
    router_with(store, Settings::default())
}

/// As [`router`], with other settings.
pub fn router_with(store: Store, settings: Settings) -> Router {
    Router::new()
        .fallback(routing::any(dispatch::handle))
        .with_state(Api { store, settings })
}

/// Serves until `shutdown` is cancelled; then watches end, answers under way are finished, and
/// this returns.
///
/// Fails as accepting connections does.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = router.layer(Extension(Closing(shutdown.clone())));
    // Watch events are small and must not wait for company.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY on an API connection");
        }
    });
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

/// Tells the watches of a listener that it is closing.
#[derive(Debug, Clone)]
struct Closing(CancellationToken);
