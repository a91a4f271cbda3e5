//! What is measured, under the names that CoreDNS has for it, so that dashboards go on working.
//!
//! A question moves atomic counters that were looked up once; labels are formatted when somebody
//! asks.

mod register;

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::wire::stored::StoredKind;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Udp,
    Tcp,
}

/// Who had the answer, as the label `plugin` calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Cluster,
    Cache,
    Upstream,
    /// Nobody: the question was no good.
    Nobody,
}

/// The types that are counted by name; all others are `other`.
const TYPES: [RecordType; 14] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::SRV,
    RecordType::PTR,
    RecordType::CNAME,
    RecordType::TXT,
    RecordType::MX,
    RecordType::NS,
    RecordType::SOA,
    RecordType::HTTPS,
    RecordType::DS,
    RecordType::DNSKEY,
    RecordType::ANY,
    RecordType::AXFR,
];

/// The codes that are counted by name.
const CODES: [(ResponseCode, &str); 7] = [
    (ResponseCode::NoError, "NOERROR"),
    (ResponseCode::NXDomain, "NXDOMAIN"),
    (ResponseCode::ServFail, "SERVFAIL"),
    (ResponseCode::Refused, "REFUSED"),
    (ResponseCode::FormErr, "FORMERR"),
    (ResponseCode::NotImp, "NOTIMP"),
    (ResponseCode::BADVERS, "BADVERS"),
];

const SOURCES: [&str; 4] = ["kubernetes", "cache", "forward", ""];

/// The labels that every metric of the server itself has.
const SERVER: [(&str, &str); 3] = [("server", "dns://:53"), ("zone", "."), ("view", "")];

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;

/// Counters of one family by number, each looked up once.
#[derive(Debug)]
struct Slots<const N: usize>([OnceLock<Counter>; N]);

impl<const N: usize> Slots<N> {
    fn inc(&self, at: usize, family: &Counters, labels: impl FnOnce() -> Labels) {
        if let Some(slot) = self.0.get(at) {
            let counter = || family.get_or_create(&labels()).clone();
            slot.get_or_init(counter).inc();
        }
    }
}

impl<const N: usize> Default for Slots<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}

/// Everything that is measured.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Counters,
    request_slots: Slots<{ 2 * 2 * (TYPES.len() + 1) }>,
    responses: Counters,
    response_slots: Slots<{ SOURCES.len() * (CODES.len() + 1) }>,
    durations: Histogram,
    cache_hits: Counters,
    hit_slots: Slots<3>,
    cache_misses: Counter,
    served_stale: Counter,
    cache_entries: Gauge,
    cache_bytes: Gauge,
    forward_rejects: Counter,
    forward_requests: Counters,
    forward_responses: Counters,
    forward_durations: Family<Labels, Histogram, fn() -> Histogram>,
    tcp_connections: Gauge,
    programming: Family<Labels, Histogram, fn() -> Histogram>,
    age: Gauge<f64, AtomicU64>,
}

/// CoreDNS's buckets.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}

/// CoreDNS's buckets for programming: a millisecond to half an hour.
fn programming() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 20))
}

fn labels(more: &[(&'static str, &str)]) -> Labels {
    let all = SERVER.iter().chain(more);
    all.map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut all = Self {
            registry: Registry::default(),
            requests: Counters::default(),
            request_slots: Slots::default(),
            responses: Counters::default(),
            response_slots: Slots::default(),
            durations: durations(),
            cache_hits: Counters::default(),
            hit_slots: Slots::default(),
            cache_misses: Counter::default(),
            served_stale: Counter::default(),
            cache_entries: Gauge::default(),
            cache_bytes: Gauge::default(),
            forward_rejects: Counter::default(),
            forward_requests: Counters::default(),
            forward_responses: Counters::default(),
            forward_durations: Family::new_with_constructor(durations),
            tcp_connections: Gauge::default(),
            programming: Family::new_with_constructor(programming),
            age: Gauge::default(),
        };
        all.register();
        all
    }

    /// A question came.
    pub(crate) fn asked(&self, protocol: Protocol, v6: bool, kind: RecordType) {
        let slot = TYPES.iter().position(|known| *known == kind);
        let slot = slot.unwrap_or(TYPES.len());
        let tcp = protocol == Protocol::Tcp;
        let at = (slot * 2 + usize::from(tcp)) * 2 + usize::from(v6);
        self.request_slots.inc(at, &self.requests, || {
            let kind = TYPES
                .get(slot)
                .map_or("other".to_owned(), ToString::to_string);
            labels(&[
                ("proto", if tcp { "tcp" } else { "udp" }),
                ("family", if v6 { "2" } else { "1" }),
                ("type", &kind),
            ])
        });
    }

    /// An answer goes out, `took` after its question came.
    pub(crate) fn answered(&self, source: Source, code: ResponseCode, took: Duration) {
        let slot = CODES.iter().position(|(known, _)| *known == code);
        let slot = slot.unwrap_or(CODES.len());
        let source = match source {
            Source::Cluster => 0,
            Source::Cache => 1,
            Source::Upstream => 2,
            Source::Nobody => 3,
        };
        let at = slot * SOURCES.len() + source;
        self.response_slots.inc(at, &self.responses, || {
            let code = CODES.get(slot).map_or("other", |(_, name)| name);
            labels(&[("rcode", code), ("plugin", SOURCES[source])])
        });
        self.durations.observe(took.as_secs_f64());
    }

    pub(crate) fn cache_hit(&self, kind: StoredKind) {
        let (at, name) = match kind {
            StoredKind::Records => (0, "success"),
            StoredKind::Denial => (1, "denial"),
            StoredKind::Failure => (2, "failure"),
        };
        let labels = || labels(&[("type", name)]);
        self.hit_slots.inc(at, &self.cache_hits, labels);
    }

    pub(crate) fn cache_miss(&self) {
        self.cache_misses.inc();
    }

    pub(crate) fn served_stale(&self) {
        self.served_stale.inc();
    }

    pub(crate) fn forward_rejected(&self) {
        self.forward_rejects.inc();
    }

    /// An upstream answered with `code`, or not at all, after `took`.
    pub(crate) fn forwarded(&self, to: SocketAddr, code: Option<ResponseCode>, took: Duration) {
        let to = ("to", to.to_string());
        self.forward_requests.get_or_create(&vec![to.clone()]).inc();
        let known = |code: ResponseCode| CODES.iter().find(|(known, _)| *known == code);
        let name = code.and_then(known).map_or("other", |(_, name)| name);
        let rcode = ("rcode", name.to_owned());
        if code.is_some() {
            let labels = vec![to.clone(), rcode.clone()];
            self.forward_responses.get_or_create(&labels).inc();
        }
        let labels = vec![("proxy_name", "forward".to_owned()), to, rcode];
        let histogram = self.forward_durations.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    pub(crate) fn connections(&self) -> &Gauge {
        &self.tcp_connections
    }

    /// Answers say since now what happened `took` ago.
    pub(crate) fn programmed(&self, took: Duration) {
        // The one of CoreDNS's kinds that endpoints' changes concern.
        let labels = vec![("service_kind", "headless_with_selector".to_owned())];
        let histogram = self.programming.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    /// Everything as text, with what is only looked at now: the age of the data, and answers and
    /// bytes in the cache.
    pub(crate) fn text(&self, age: Option<Duration>, cached: (usize, u64)) -> String {
        self.age.set(age.map_or(-1.0, |age| age.as_secs_f64()));
        let (entries, bytes) = cached;
        self.cache_entries
            .set(i64::try_from(entries).unwrap_or(i64::MAX));
        self.cache_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
