//! Which upstreams are asked for a name, and in which order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::rr::Name;

/// How long an upstream that failed comes after the others.
const PENALTY: Duration = Duration::from_secs(10);

/// An upstream.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Milliseconds since `BORN` until which it is avoided.
    avoided_until: AtomicU64,
    born: Instant,
    /// What it forwards comes back to us.
    looping: AtomicBool,
    /// A name that nobody asks for but we: should it be asked of us, the upstream loops.
    pub(crate) probe: Name,
}

impl Server {
    pub(crate) fn new(address: SocketAddr, now: Instant) -> Self {
        let random = || format!("{:016x}", fastrand::u64(..));
        let probe = Name::from_labels([random().as_bytes(), random().as_bytes()]);
        Self {
            address,
            avoided_until: AtomicU64::new(0),
            born: now,
            looping: AtomicBool::new(false),
            probe: probe.unwrap_or_default(),
        }
    }

    /// It failed to answer: the others come first for a while.
    pub(crate) fn failed(&self, now: Instant) {
        let until = self.age(now + PENALTY);
        self.avoided_until.store(until, Ordering::Relaxed);
    }

    /// It answered.
    pub(crate) fn answered(&self) {
        self.avoided_until.store(0, Ordering::Relaxed);
    }

    /// Marks it as looping; says whether that is news.
    pub(crate) fn loops(&self) -> bool {
        !self.looping.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_looping(&self) -> bool {
        self.looping.load(Ordering::Relaxed)
    }

    fn is_avoided(&self, now: Instant) -> bool {
        self.age(now) < self.avoided_until.load(Ordering::Relaxed)
    }

    fn age(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.born).as_millis();
        u64::try_from(age).unwrap_or(u64::MAX)
    }
}

/// Every upstream, and for which names each is.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    pub(crate) default: Vec<Arc<Server>>,
    /// Domains with upstreams of their own, the longest name first.
    stubs: Vec<(Name, Vec<Arc<Server>>)>,
}

impl Routes {
    pub(crate) fn new(default: Vec<Arc<Server>>, mut stubs: Vec<(Name, Vec<Arc<Server>>)>) -> Self {
        stubs.sort_by_key(|(domain, _)| std::cmp::Reverse(domain.num_labels()));
        Self { default, stubs }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Server>> {
        let stubs = self.stubs.iter().flat_map(|(_, servers)| servers);
        self.default.iter().chain(stubs)
    }

    /// The upstreams for the lower-case `name` in the order in which to ask them.
    pub(crate) fn servers(&self, name: &Name, now: Instant) -> Vec<Arc<Server>> {
        let stub = self.stubs.iter().find(|(domain, _)| domain.zone_of(name));
        let servers = stub.map_or(&self.default, |(_, servers)| servers);
        let usable = |server: &&Arc<Server>| !server.is_looping();
        let mut servers: Vec<_> = servers.iter().filter(usable).cloned().collect();
        servers.sort_by_key(|server| server.is_avoided(now));
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(last: u8, now: Instant) -> Arc<Server> {
        Arc::new(Server::new(SocketAddr::from(([192, 0, 2, last], 53)), now))
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect(text)
    }

    #[test]
    fn the_longest_domain_chooses_and_who_failed_comes_last() {
        let now = Instant::now();
        let [a, b, corp, eu] = [1, 2, 3, 4].map(|last| server(last, now));
        let routes = Routes::new(
            vec![a.clone(), b.clone()],
            vec![
                (name("corp.example."), vec![corp]),
                (name("eu.corp.example."), vec![eu]),
            ],
        );
        let asked = |text: &str, now| -> Vec<u8> {
            let servers = routes.servers(&name(text), now);
            servers
                .iter()
                .map(|server| match server.address.ip() {
                    std::net::IpAddr::V4(ip) => ip.octets()[3],
                    std::net::IpAddr::V6(_) => 0,
                })
                .collect()
        };
        assert_eq!(asked("example.com.", now), [1, 2]);
        assert_eq!(asked("notcorp.example.", now), [1, 2]);
        assert_eq!(asked("corp.example.", now), [3]);
        assert_eq!(asked("git.corp.example.", now), [3]);
        assert_eq!(asked("git.eu.corp.example.", now), [4]);

        a.failed(now);
        assert_eq!(asked("example.com.", now), [2, 1]);
        assert_eq!(asked("example.com.", now + PENALTY), [1, 2], "forgiven");
        a.failed(now);
        a.answered();
        assert_eq!(asked("example.com.", now), [1, 2], "it is back");
        assert!(b.loops() && !b.loops(), "news once");
        assert_eq!(asked("example.com.", now), [1]);
        assert_eq!(routes.all().count(), 4);
        assert_ne!(a.probe, b.probe);
    }
}
