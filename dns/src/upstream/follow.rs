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

/// Keeps the upstreams as the sources say.
pub(crate) struct Follow {
    upstream: Arc<Upstream>,
    sources: Sources,
    known: ResolvConf,
    /// When loops are still to be searched for, after `changed`.
    probes: Vec<Duration>,
    changed: Instant,
}

impl Follow {
    /// Reads the sources for the first time. To be called before the first question can come: who
    /// asks a server that does not know its upstreams is refused.
    pub(crate) async fn start(upstream: Arc<Upstream>, sources: Sources) -> Self {
        let read = tokio::fs::read_to_string(&sources.file).await;
        let known = read.map_or_else(
            |error| {
                tracing::warn!(file = %sources.file.display(), %error, "not read");
                ResolvConf::default()
            },
            |text| ResolvConf::parse(&text),
        );
        apply(&upstream, &sources, &known);
        Self {
            upstream,
            sources,
            known,
            probes: PROBES.to_vec(),
            changed: Instant::now(),
        }
    }

    /// Follows them from then on. Never ends.
    pub(crate) async fn run(mut self) {
        loop {
            let due = |at: &Duration| self.changed.elapsed() >= *at;
            while self.probes.first().is_some_and(due) {
                self.probes.remove(0);
                self.upstream.probe().await;
            }
            tokio::time::sleep(LOOK).await;
            self.look().await;
        }
    }

    async fn look(&mut self) {
        // While the file is being replaced it cannot be read; what it said last holds.
        let Ok(text) = tokio::fs::read_to_string(&self.sources.file).await else {
            return;
        };
        let read = ResolvConf::parse(&text);
        if self.known != read {
            apply(&self.upstream, &self.sources, &read);
            self.known = read;
            self.probes = PROBES.to_vec();
            self.changed = Instant::now();
        }
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
