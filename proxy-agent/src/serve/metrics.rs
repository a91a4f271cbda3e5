//! `/metrics` and `/proxyMode`. What kube-proxy measures too has its name
//! (`pkg/proxy/metrics/metrics.go`).

mod names;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use cluster_model::Changes;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::Fill;
use super::flows::FlowMetrics;
use super::tally::Without;
use crate::kernel::pins::Pins;
use crate::kernel::walk::Use;

pub(super) type Labels = [(&'static str, String); 1];
type Seconds = Gauge<f64, AtomicU64>;

/// What a pass looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everything.
    Full,
    /// The Services that changed.
    Changes,
}

/// Everything that is measured.
pub(super) struct Metrics {
    registry: Registry,
    sync: Histogram,
    full: Histogram,
    partial: Histogram,
    last_applied: Seconds,
    last_queued: Seconds,
    programming: Histogram,
    endpoints_pending: Gauge,
    endpoints_total: Counter,
    services_pending: Gauge,
    services_total: Counter,
    without_local: Family<Labels, Gauge>,
    healthz: Family<Labels, Counter>,
    livez: Family<Labels, Counter>,
    entries: Family<Labels, Gauge>,
    sizes: Family<Labels, Gauge>,
    contested: Gauge,
    unplaced: Gauge,
    repairs: Family<Labels, Counter>,
    audits: Family<Labels, Counter>,
    flows: FlowMetrics,
}

impl Metrics {
    pub(super) fn new(pins: Pins) -> Self {
        let passes = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let (entries, sizes) = (Family::default(), Family::default());
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("flatnet");
        let flows = FlowMetrics::register(own, entries.clone(), sizes.clone());
        let mut all = Self {
            registry,
            sync: passes(),
            full: passes(),
            partial: passes(),
            last_applied: Seconds::default(),
            last_queued: Seconds::default(),
            programming: Histogram::new(programming_buckets()),
            endpoints_pending: Gauge::default(),
            endpoints_total: Counter::default(),
            services_pending: Gauge::default(),
            services_total: Counter::default(),
            without_local: Family::default(),
            healthz: Family::default(),
            livez: Family::default(),
            entries,
            sizes,
            contested: Gauge::default(),
            unplaced: Gauge::default(),
            repairs: Family::default(),
            audits: Family::default(),
            flows,
        };
        all.without_local(Without::default());
        all.register_kube_proxys();
        all.register_changes();
        all.register_own(pins);
        all
    }

    pub(super) fn queued(&self, changes: &Changes, now: SystemTime) {
        self.last_queued.set(unix_seconds(now));
        self.endpoints_total.inc_by(changes.slices);
        self.services_total.inc_by(changes.services);
        self.endpoints_pending.inc_by(changes.slices as i64);
        self.services_pending.inc_by(changes.services as i64);
    }

    pub(super) fn applied(&self, kind: Kind, took: Duration, now: SystemTime) {
        let of_kind = match kind {
            Kind::Full => &self.full,
            Kind::Changes => &self.partial,
        };
        self.sync.observe(took.as_secs_f64());
        of_kind.observe(took.as_secs_f64());
        self.last_applied.set(unix_seconds(now));
        self.endpoints_pending.set(0);
        self.services_pending.set(0);
    }

    pub(super) fn programmed(&self, late: Duration) {
        self.programming.observe(late.as_secs_f64());
    }

    pub(super) fn without_local(&self, without: Without) {
        let Without { internal, external } = without;
        for (policy, count) in [("internal", internal), ("external", external)] {
            let labels = [("traffic_policy", policy.to_owned())];
            self.without_local.get_or_create(&labels).set(count.into());
        }
    }

    pub(super) fn fill(&self, fill: Fill) {
        let frontends = Use {
            used: fill.frontends as u64,
            size: fill.room.into(),
        };
        self.flows.bounded_table("frontends", frontends);
        let endpoints = Use {
            used: fill.endpoints.into(),
            size: fill.slots.into(),
        };
        self.flows.bounded_table("endpoints", endpoints);
        self.contested
            .set(i64::try_from(fill.contested).unwrap_or(i64::MAX));
        self.unplaced
            .set(i64::try_from(fill.unplaced).unwrap_or(i64::MAX));
    }

    pub(super) fn repaired(&self, what: &str, count: usize) {
        let labels = [("what", what.to_owned())];
        self.repairs.get_or_create(&labels).inc_by(count as u64);
    }

    pub(super) fn audited(&self, held: bool) {
        let found = if held { "as-written" } else { "different" };
        let labels = [("found", found.to_owned())];
        self.audits.get_or_create(&labels).inc();
    }

    pub(super) const fn flows(&self) -> &FlowMetrics {
        &self.flows
    }

    pub(super) fn healthz(&self, code: StatusCode) {
        count(&self.healthz, code);
    }

    pub(super) fn livez(&self, code: StatusCode) {
        count(&self.livez, code);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        _ = encode(&mut text, &self.registry);
        text
    }
}

fn count(answers: &Family<Labels, Counter>, code: StatusCode) {
    let labels = [("code", code.as_str().to_owned())];
    answers.get_or_create(&labels).inc();
}

fn unix_seconds(at: SystemTime) -> f64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// kube-proxy's: 0.25 s, 0.5 s, each second to a minute, then coarser to five minutes.
fn programming_buckets() -> impl Iterator<Item = f64> {
    let linear = |first: u32, step: u32, count: u32| (0..count).map(move |n| first + n * step);
    let seconds = linear(1, 1, 59)
        .chain(linear(60, 5, 12))
        .chain(linear(120, 30, 7));
    [0.25, 0.5].into_iter().chain(seconds.map(f64::from))
}

/// `/metrics` and `/proxyMode`.
pub(super) fn routes(metrics: &Arc<Metrics>) -> Router {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    async fn text(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
        ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.text())
    }
    Router::new()
        .route("/metrics", get(text))
        .route("/proxyMode", get(async || "ebpf"))
        .with_state(metrics.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_kube_proxys_names_and_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let metrics = Metrics::new(Pins::at(folder.path()));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let changes = Changes {
            services: 2,
            slices: 3,
            triggered: Vec::new(),
        };
        metrics.queued(&changes, now);
        metrics.applied(Kind::Full, Duration::from_millis(3), now);
        metrics.queued(&changes, now);
        metrics.programmed(Duration::from_millis(300));
        metrics.without_local(Without {
            internal: 4,
            external: 0,
        });
        metrics.healthz(StatusCode::OK);
        metrics.fill(Fill {
            frontends: 7,
            room: 70,
            endpoints: 8,
            slots: 9,
            contested: 1,
            unplaced: 2,
        });
        let text = metrics.text();
        for line in [
            "kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.004\"} 1",
            "kubeproxy_sync_full_proxy_rules_duration_seconds_count 1",
            "kubeproxy_sync_partial_proxy_rules_duration_seconds_count 0",
            "kubeproxy_sync_proxy_rules_last_timestamp_seconds 1000.0",
            "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds 1000.0",
            "kubeproxy_network_programming_duration_seconds_bucket{le=\"0.5\"} 1",
            "kubeproxy_network_programming_duration_seconds_bucket{le=\"300.0\"} 1",
            "kubeproxy_sync_proxy_rules_endpoint_changes_pending 3",
            "kubeproxy_sync_proxy_rules_endpoint_changes_total 6",
            "kubeproxy_sync_proxy_rules_service_changes_pending 2",
            "kubeproxy_sync_proxy_rules_service_changes_total 4",
            "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"internal\"} 4",
            "kubeproxy_proxy_healthz_total{code=\"200\"} 1",
            "flatnet_map_entries{map=\"frontends\"} 7",
            "flatnet_map_size{map=\"frontends\"} 70",
            "flatnet_map_entries{map=\"endpoints\"} 8",
            "flatnet_map_size{map=\"endpoints\"} 9",
            "flatnet_contested_frontends 1",
            "flatnet_unplaced_frontends 2",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no {line} in:\n{text}"
            );
        }
    }
}
