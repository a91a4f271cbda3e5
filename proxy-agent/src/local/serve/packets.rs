//! Questions about sockets and packets: who listens, one that asks, and what is seen on the way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use proxy_abi::protocol;
use serde::Deserialize;

use super::{Answer, Shared, failed};
use crate::kernel::capture::Wanted;
use crate::local::api::{Listener, Probe, Watch, Watched};
use crate::local::sockets;

/// Their routes.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/listener", get(listener))
        .route("/v1/probe", post(probe))
        .route("/v1/watch", post(watch))
        .route("/v1/watched", post(watched))
}

/// Whose listener.
#[derive(Deserialize)]
struct Place {
    address: IpAddr,
    port: u16,
    protocol: String,
}

async fn listener(
    State(shared): State<Arc<Shared>>,
    Query(place): Query<Place>,
) -> Answer<Listener> {
    let Some(number) = number(&place.protocol) else {
        return Ok(Json(Listener::default()));
    };
    let at = (place.address, place.port);
    let found = sockets::listener(at, number, &shared.pins, &shared.netlink).await;
    found.map(Json).map_err(failed)
}

/// What is sent.
#[derive(Deserialize)]
struct Sent {
    from: IpAddr,
    to: SocketAddr,
    protocol: String,
}

async fn probe(State(shared): State<Arc<Shared>>, Query(sent): Query<Sent>) -> Answer<Probe> {
    let tcp = sent.protocol == "tcp";
    let probed = sockets::probe(sent.from, sent.to, tcp, &shared.pins, &shared.netlink).await;
    probed.map(Json).map_err(failed)
}

/// What is watched for.
#[derive(Deserialize)]
struct Watching {
    /// With commas between.
    addresses: String,
    protocol: String,
    /// With commas between.
    pods: String,
}

async fn watch(
    State(shared): State<Arc<Shared>>,
    Query(watching): Query<Watching>,
) -> Answer<Watch> {
    let wrong = |what: &str| (StatusCode::BAD_REQUEST, format!("which {what}?"));
    let protocol = number(&watching.protocol).ok_or_else(|| wrong("protocol"))?;
    let addresses = listed(&watching.addresses).ok_or_else(|| wrong("addresses"))?;
    let pods = listed(&watching.pods).ok_or_else(|| wrong("pods"))?;
    let spaces = sockets::spaces_of(&pods, &shared.pins, &shared.netlink).await;
    let spaces = spaces.map_err(failed)?;
    let wanted = Wanted {
        protocol,
        addresses,
    };
    let begun = move || shared.watches.start(spaces, &wanted);
    let begun = tokio::task::spawn_blocking(begun).await.map_err(failed)?;
    Ok(Json(Watch {
        id: begun.map_err(failed)?,
    }))
}

fn listed(text: &str) -> Option<Vec<IpAddr>> {
    let words = text.split(',').filter(|word| !word.is_empty());
    words.map(|word| word.parse().ok()).collect()
}

fn number(protocol: &str) -> Option<u8> {
    match protocol {
        "tcp" => Some(protocol::TCP),
        "udp" => Some(protocol::UDP),
        _ => None,
    }
}

async fn watched(State(shared): State<Arc<Shared>>, Query(watch): Query<Watch>) -> Answer<Watched> {
    let stopped = tokio::task::spawn_blocking(move || shared.watches.stop(watch.id)).await;
    let none = || (StatusCode::NOT_FOUND, "there is no such watch".to_owned());
    stopped.map_err(failed)?.map(Json).ok_or_else(none)
}
