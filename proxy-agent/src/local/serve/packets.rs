//! Questions about sockets and packets: who listens, one that asks, and what is seen on the way.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use proxy_abi::protocol;
use serde::Deserialize;

use super::{Answer, Shared, failed};
use crate::kernel::trace::Wanted;
use crate::kernel::{clock, pods};
use crate::local::api::{Listener, Probe, Watch, Watched};
use crate::local::sockets;
use crate::local::watch::Sight;

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
    /// The name that a datagram asks for.
    dns: Option<String>,
    /// Bytes that it has.
    #[serde(default)]
    size: u16,
}

async fn probe(State(shared): State<Arc<Shared>>, Query(sent): Query<Sent>) -> Answer<Probe> {
    let question = sockets::question(sent.to, &sent.protocol, sent.dns.as_deref(), sent.size);
    let question = question.map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    let probed = sockets::probe(sent.from, question, &shared.pins, &shared.netlink).await;
    probed.map(Json).map_err(failed)
}

/// What is watched for.
#[derive(Deserialize)]
struct Watching {
    /// With commas between.
    #[serde(default)]
    addresses: String,
    #[serde(default)]
    protocol: String,
    /// With commas between.
    #[serde(default)]
    ports: String,
    /// With commas between.
    #[serde(default)]
    pods: String,
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    drops: bool,
}

async fn watch(
    State(shared): State<Arc<Shared>>,
    Query(watching): Query<Watching>,
) -> Answer<Watch> {
    let wrong = |what: &str| (StatusCode::BAD_REQUEST, format!("which {what}?"));
    let wanted = Wanted {
        addresses: listed(&watching.addresses).ok_or_else(|| wrong("addresses"))?,
        one_end: watching.follow,
        ports: listed(&watching.ports).ok_or_else(|| wrong("ports"))?,
        protocol: match &*watching.protocol {
            "" => None,
            name => Some(number(name).ok_or_else(|| wrong("protocol"))?),
        },
        only_drops: watching.drops,
    };
    let pods = match watching.follow {
        true => pods::pods(&shared.pins)
            .map_err(failed)?
            .into_keys()
            .collect(),
        false => listed(&watching.pods).ok_or_else(|| wrong("pods"))?,
    };
    let spaces = sockets::spaces_of(&pods, &shared.pins, &shared.netlink).await;
    let spaces = spaces.map_err(failed)?;
    let begun = move || {
        shared.watches.start(Sight {
            programs: &shared.options.programs,
            pins: &shared.pins,
            wanted: &wanted,
            spaces,
            sockets: !watching.follow,
        })
    };
    let begun = tokio::task::spawn_blocking(begun).await.map_err(failed)?;
    Ok(Json(Watch {
        id: begun,
        now: clock::real(),
    }))
}

fn listed<T: FromStr>(text: &str) -> Option<Vec<T>> {
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

/// Which watch.
#[derive(Deserialize)]
struct Which {
    id: u64,
    /// Whether it goes on.
    #[serde(default)]
    more: bool,
}

async fn watched(State(shared): State<Arc<Shared>>, Query(which): Query<Which>) -> Answer<Watched> {
    let Which { id, more } = which;
    let taken = tokio::task::spawn_blocking(move || shared.watches.take(id, more)).await;
    let none = || (StatusCode::NOT_FOUND, "there is no such watch".to_owned());
    taken.map_err(failed)?.map(Json).ok_or_else(none)
}
