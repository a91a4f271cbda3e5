//! Where the upstreams come from: flags, or `/etc/resolv.conf`, read again when it changes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::rr::Name;

use super::Upstream;
use super::resolv_conf::ResolvConf;
use super::servers::{Routes, Server};

/// How often the file is looked at. It may be a mounted ConfigMap, whose changes are symbolic
/// links being turned, which watches on the file itself miss.
const LOOK: Duration = Duration::from_secs(5);

/// When loops are searched for after the upstreams changed: at once, and when an upstream that
/// was just starting has started.
const PROBES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(15),
];

/// What the flags say.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// Upstreams in the place of the file's.
    pub(crate) upstreams: Vec<SocketAddr>,
    /// Domains with upstreams of their own.
    pub(crate) stubs: Vec<(Name, Vec<SocketAddr>)>,
    pub(crate) file: PathBuf,
    /// Addresses that are our own, and so nobody to forward to.
    pub(crate) own: Vec<SocketAddr>,
}

/// Keeps the upstreams as the sources say. Never ends.
pub(crate) async fn follow(upstream: Arc<Upstream>, sources: Sources) {
    let mut known: Option<ResolvConf> = None;
    let mut probed: Vec<Duration> = Vec::new();
    let mut changed = Instant::now();
    loop {
        match tokio::fs::read_to_string(&sources.file).await {
            Ok(text) => {
                let read = ResolvConf::parse(&text);
                if known.as_ref() != Some(&read) {
                    apply(&upstream, &sources, &read);
                    known = Some(read);
                    probed = PROBES.to_vec();
                    changed = Instant::now();
                }
            }
            Err(error) if known.is_none() => {
                tracing::warn!(file = %sources.file.display(), %error, "not read");
                let nothing = ResolvConf::default();
                apply(&upstream, &sources, &nothing);
                known = Some(nothing);
                probed = PROBES.to_vec();
            }
            // It is being replaced; what it said last holds.
            Err(_) => {}
        }
        while probed.first().is_some_and(|at| changed.elapsed() >= *at) {
            probed.remove(0);
            upstream.probe().await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn apply(upstream: &Upstream, sources: &Sources, read: &ResolvConf) {
    let now = Instant::now();
    let before = upstream.routes();
    let server = |address: &SocketAddr| {
        // One that looped gets another chance.
        let same = |server: &&Arc<Server>| server.address == *address && !server.is_looping();
        let known = before.all().find(same);
        known
            .cloned()
            .unwrap_or_else(|| Arc::new(Server::new(*address, now)))
    };
    let others = |addresses: &[SocketAddr]| -> Vec<Arc<Server>> {
        let foreign = |address: &&SocketAddr| {
            let own = sources.own.contains(address);
            if own {
                tracing::error!(upstream = %address, "left out: this is our own address");
            }
            !own
        };
        addresses.iter().filter(foreign).map(server).collect()
    };
    let configured = Some(&sources.upstreams).filter(|list| !list.is_empty());
    let default = others(configured.unwrap_or(&read.servers));
    let stubs = sources.stubs.iter();
    let stubs = stubs.map(|(domain, list)| (domain.clone(), others(list)));
    let routes = Routes::new(default, stubs.collect());
    let said: Vec<_> = routes
        .all()
        .map(|server| server.address.to_string())
        .collect();
    tracing::info!(upstreams = %said.join(","), "upstreams");
    upstream.set_routes(routes, &read.search);
}
