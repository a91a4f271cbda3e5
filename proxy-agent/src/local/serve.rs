//! The socket, and what is answered where.

mod packets;

use std::fmt::Display;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use cluster_model::{Service, ServiceName};
use cluster_watch::Feed;
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::api::{Cluster, Flows, Node, Route, Services, Status};
use super::watch::Watches;
use super::{flows, kernel, node, services};
use crate::args::Options;
use crate::kernel::maps::ServiceMaps;
use crate::kernel::pins::Pins;
use crate::kernel::programs;
use crate::kernel::routes::Netlink;
use crate::pass;

/// Pause between two tries to bind.
const RETRY: Duration = Duration::from_secs(2);

/// The server; it ends with this value.
pub struct Local {
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// What questions are answered from.
struct Shared {
    options: Options,
    pins: Pins,
    netlink: Netlink,
    feed: Feed,
    waiting: Mutex<Vec<String>>,
    watches: Watches,
}

type Answer<T> = Result<Json<T>, (StatusCode, String)>;

impl Local {
    /// Starts to answer at the socket that the options name. Must be called within a tokio
    /// runtime.
    #[must_use]
    pub fn start(options: &Options, pins: Pins, netlink: Netlink, feed: Feed) -> Self {
        let shared = Arc::new(Shared {
            options: options.clone(),
            pins,
            netlink,
            feed,
            waiting: Mutex::default(),
            watches: Watches::default(),
        });
        let server = tokio::spawn(keep(options.socket.clone(), routes(shared.clone())));
        Self { shared, server }
    }

    /// The node waits for these now.
    pub fn waits_for(&self, waiting: impl Iterator<Item = String>) {
        let held = self.shared.waiting.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = waiting.collect();
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn keep(path: PathBuf, routes: Router) {
    let mut said = false;
    loop {
        match bind(&path) {
            Ok(listener) => {
                said = false;
                // Ends only if the listener fails.
                let served = axum::serve(listener, routes.clone()).await;
                tracing::warn!("no longer listening on {}: {served:?}", path.display());
            }
            Err(error) if !said => {
                tracing::warn!("cannot listen on {}: {error}", path.display());
                said = true;
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}

/// Binds beside the name and then takes it, so that nobody meets a socket that all may open, nor
/// one that an agent before this left behind.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)?;
    }
    let fresh = path.with_extension(format!("{}", std::process::id()));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&fresh)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
    fs::rename(&fresh, path)?;
    Ok(listener)
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/services", get(service_list))
        .route("/v1/flows", get(flow_list))
        .route("/v1/node", get(node_facts))
        .route("/v1/route", get(route))
        .merge(packets::routes())
        .with_state(shared)
}

async fn status(State(shared): State<Arc<Shared>>) -> Answer<Status> {
    let kernel = kernel::look(&shared.pins, &shared.netlink).await;
    let (services, nodes) = {
        let index = shared.feed.read();
        (index.services().count(), index.nodes().count())
    };
    let waiting = shared.waiting.lock();
    let waiting = waiting.unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Json(Status {
        node: shared.options.node_name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: Cluster {
            synced: shared.feed.is_synced(),
            age_seconds: shared.feed.age().map(|age| age.as_secs_f64()),
            services,
            nodes,
        },
        waiting,
        kernel: kernel.map_err(failed)?,
    }))
}

/// Which Services.
#[derive(Deserialize)]
struct Which {
    namespace: Option<String>,
    name: Option<String>,
    /// Those that answer at this address and port.
    at: Option<SocketAddr>,
}

async fn service_list(
    State(shared): State<Arc<Shared>>,
    Query(which): Query<Which>,
) -> Answer<Services> {
    let here = pass::here(&shared.options, &shared.netlink).await;
    let here = here.map_err(failed)?;
    let maps = match programs::maps_exist(&shared.pins) {
        true => Some(ServiceMaps::open(&shared.pins).map_err(failed)?),
        false => None,
    };
    let asked = |name: &ServiceName| {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        fits(&which.namespace, &name.namespace) && fits(&which.name, &name.name)
    };
    let index = shared.feed.read();
    let answers = |service: &&Service| which.at.is_none_or(|at| services::may_answer(service, at));
    let found = index.services().filter(|service| asked(&service.name));
    let found = found.filter(answers);
    let found = found.map(|one| services::service(&index, one, &here, maps.as_ref()));
    Ok(Json(Services {
        node: shared.options.node_name.clone(),
        services: found.collect::<Result<_, _>>().map_err(failed)?,
    }))
}

/// Which conversations.
#[derive(Deserialize)]
struct Whose {
    address: Option<IpAddr>,
    limit: Option<usize>,
}

async fn flow_list(State(shared): State<Arc<Shared>>, Query(whose): Query<Whose>) -> Answer<Flows> {
    let Whose { address, limit } = whose;
    let node = shared.options.node_name.clone();
    let limit = limit.unwrap_or(usize::MAX);
    // It reads the whole of both tables.
    let read = move || flows::flows(&node, address, limit, &shared.pins);
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(failed)?.map(Json).map_err(failed)
}

async fn node_facts(State(shared): State<Arc<Shared>>) -> Answer<Node> {
    let peers = node::peers(&shared.feed.read());
    let name = &shared.options.node_name;
    let facts = node::node(name, peers, &shared.pins, &shared.netlink).await;
    facts.map(Json).map_err(failed)
}

/// Which packet.
#[derive(Deserialize)]
struct Packet {
    to: IpAddr,
    from: Option<IpAddr>,
    arrives: Option<String>,
}

async fn route(State(shared): State<Arc<Shared>>, Query(packet): Query<Packet>) -> Answer<Route> {
    let Packet { to, from, arrives } = packet;
    let found = node::route(to, from, arrives.as_deref(), &shared.netlink).await;
    found.map(Json).map_err(failed)
}

fn failed(error: impl Display) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
