//! `flatnet-dns`: answers the names of Services and endpoints from the cluster model.
//!
//! question -> lookup -> answer is pure; `listen` puts hickory's server around it, `http` says
//! whether it is ready. Start and stop are read here from top to bottom.

#![forbid(unsafe_code)]

mod args;
mod zone;
mod question;
mod records;
mod answer;
mod handler;
mod listen;
mod http;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use cluster_watch::{Feed, Selection};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::Args;
use crate::handler::Handler;
use crate::listen::Listeners;
use crate::zone::{PodNames, Zone};

#[tokio::main]
async fn main() -> ExitCode {
    let args = match Args::from_command_line() {
        Ok(args) => args,
        Err(exit) => return exit,
    };
    // hickory logs two lines a question at `info`; kube logs what the feed logs already.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("info,hickory_server=warn,kube_client=off,kube_runtime=off")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        api_server,
        kubeconfig,
        zone,
        listen,
        http,
        ttl,
        dns_service,
        drain,
        pods,
    } = args;
    let client = cluster_watch::client(api_server.as_deref(), kubeconfig.as_deref()).await?;
    let needed = Selection {
        nodes: false,
        headless: true,
        pods: pods == PodNames::Verified,
    };
    let feed = cluster_watch::spawn(client, needed);
    let zone = Zone::new(zone, ttl, serial(), dns_service).with_pod_names(pods);

    tracing::info!(version = env!("CARGO_PKG_VERSION"), zone = %zone.apex(), ttl, "flatnet-dns");
    let handler = Handler::new(feed.clone(), Arc::new(zone));
    let mut listeners = Listeners::bind(&listen, handler).await?;
    for (protocol, address) in listeners.addresses() {
        tracing::info!(%address, "listening for DNS over {protocol}");
    }
    let draining = CancellationToken::new();
    let (address, mut http) = http::serve(http, feed.clone(), draining.clone()).await?;
    tracing::info!(%address, "listening for HTTP: /health, /ready");

    tokio::select! {
        told = told_to_stop() => told?,
        ended = listeners.ended() => ended.context("DNS listeners")?,
        ended = &mut http => ended.context("HTTP server")?.context("HTTP listener")?,
        () = follow(&feed) => {}
    }

    // Not ready any more, but still answering: whoever balances over us learns of it only now.
    draining.cancel();
    tracing::info!(seconds = drain.as_secs_f32(), "draining");
    tokio::time::sleep(drain).await;
    listeners.close().await.context("DNS listeners")?;
    http.abort();
    tracing::info!("stopped");
    Ok(())
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
async fn follow(feed: &Feed) {
    feed.synced().await;
    let services = feed.read().services().count();
    tracing::info!(services, "synced");
    loop {
        let dirty = feed.changed().await;
        tracing::debug!(services = dirty.services.len(), "changed");
    }
}
