//! Start and stop, to be read from top to bottom.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use cluster_model::ServiceKind;
use cluster_watch::{Dirty, Feed, Selection};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::http;
use crate::listen::{Capacity, Listeners};
use crate::metrics::Metrics;
use crate::server::Server;
use crate::upstream::Upstream;
use crate::upstream::follow::Follow;
use crate::zone::{PodNames, Zone};

/// Runs the server until it is told to stop.
///
/// # Errors
/// When it cannot start, or a socket fails for good.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let capacity = capacity(&args);
    let (listen, drain) = (args.listen.clone(), args.drain);
    let (http, metrics) = (args.http, args.metrics);
    let sources = args.upstream.sources(listen.clone());
    let server = Arc::new(server(args).await?);

    let zone = server.zone.apex();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), %zone, ?capacity, "flatnet-dns");
    let upstreams = Follow::start(server.upstream.clone(), sources).await;
    let listeners = Listeners::bind(&listen, &server, capacity)?;
    for (protocol, address) in listeners.addresses() {
        tracing::info!(%address, "listening for DNS over {protocol}");
    }
    let draining = CancellationToken::new();
    let (address, mut http) = http::serve(http, server.clone(), draining.clone()).await?;
    tracing::info!(%address, "listening for HTTP: /health, /ready, /metrics");
    let (address, mut metrics) = http::serve(metrics, server.clone(), draining.clone()).await?;
    tracing::info!(%address, "listening for HTTP: the same");

    tokio::select! {
        told = told_to_stop() => told?,
        ended = &mut http => ended.context("HTTP server")?.context("HTTP listener")?,
        ended = &mut metrics => ended.context("HTTP server")?.context("HTTP listener")?,
        () = upstreams.run() => {}
        () = follow_feed(&server) => {}
    }

    // Not ready any more, but still answering: whoever balances over us learns of it only now.
    draining.cancel();
    tracing::info!(seconds = drain.as_secs_f32(), "draining");
    tokio::time::sleep(drain).await;
    listeners.close().await;
    http.abort();
    metrics.abort();
    tracing::info!("stopped");
    Ok(())
}

fn capacity(args: &Args) -> Capacity {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Capacity {
        threads: args.threads.map_or_else(cores, usize::from),
        connections: usize::from(args.tcp_connections),
    }
}

async fn server(args: Args) -> anyhow::Result<Server> {
    let Args {
        api_server,
        kubeconfig,
        zone,
        ttl,
        dns_service,
        pods,
        autopath,
        upstream,
        ..
    } = args;
    let client = cluster_watch::client(api_server.as_deref(), kubeconfig.as_deref()).await?;
    let needed = Selection {
        nodes: false,
        headless: true,
        service_cidrs: false,
        pods: autopath || pods == PodNames::Verified,
    };
    let metrics = Arc::new(Metrics::new());
    Ok(Server {
        feed: cluster_watch::spawn(client, needed),
        zone: Zone::new(zone, ttl, serial(), dns_service).with_pod_names(pods),
        upstream: Arc::new(Upstream::new(upstream.limits(), metrics.clone())),
        metrics,
        autopath,
    })
}

/// Waits for SIGTERM or SIGINT.
async fn told_to_stop() -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("SIGTERM handler")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("SIGINT handler")?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}

/// The zone's serial: the time of the start in seconds, as there are no transfers to number.
fn serial() -> u32 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    // Serials wrap (RFC 1982).
    u32::try_from(now.as_secs() & u64::from(u32::MAX)).unwrap_or_default()
}

/// Says when the server starts to know the cluster, then how much changes. Never ends.
async fn follow_feed(server: &Server) {
    let feed = &server.feed;
    feed.synced().await;
    let services = feed.read().services().count();
    tracing::info!(services, "synced");
    // What was there before we were says nothing about how fast we are.
    feed.take_changes();
    loop {
        let dirty = feed.changed().await;
        tracing::debug!(services = dirty.services.len(), "changed");
        measure(server, feed, &dirty);
    }
}

/// Measures how long ago that happened which answers say since now. As CoreDNS does, for headless
/// Services alone: those of a cluster IP do not change with their endpoints.
fn measure(server: &Server, feed: &Feed, dirty: &Dirty) {
    let now = SystemTime::now();
    let index = feed.read();
    for name in &dirty.services {
        let service = index.service(name);
        if service.is_none_or(|service| service.kind != ServiceKind::Headless) {
            continue;
        }
        let told = index
            .slices(name)
            .iter()
            .filter_map(|slice| slice.triggered);
        for at in told.filter(|at| dirty.changes.triggered.contains(at)) {
            let took = now.duration_since(at).unwrap_or_default();
            server.metrics.programmed(took);
        }
    }
}
