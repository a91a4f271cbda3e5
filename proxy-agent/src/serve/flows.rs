//! What is measured of conversations and of the maps' room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use proxy_abi::protocol;

use super::metrics::Labels;
use crate::kernel::walk::Use;
use crate::pass::flows::Swept;
use crate::plan::flows::{State, protocol_name};

type Flows = Family<[(&'static str, &'static str); 2], Gauge>;

/// Protocols that are told also while there is no conversation of theirs.
const PROTOCOLS: [u8; 4] = [protocol::TCP, protocol::UDP, protocol::SCTP, protocol::ICMP];

/// The metrics. A clone is the same ones.
#[derive(Clone)]
pub struct FlowMetrics {
    flows: Flows,
    removed: Family<Labels, Counter>,
    clients_removed: Counter,
    sweeps: Histogram,
    entries: Family<Labels, Gauge>,
    sizes: Family<Labels, Gauge>,
    bounded: Bounded,
}

/// Tables that refuse what is new when they are full: entries used, entries that fit.
type Bounded = Arc<Mutex<BTreeMap<String, (u64, u64)>>>;

impl FlowMetrics {
    /// Registers what is new; `entries` and `sizes` are those of all maps.
    pub(super) fn register(
        registry: &mut Registry,
        entries: Family<Labels, Gauge>,
        sizes: Family<Labels, Gauge>,
    ) -> Self {
        let metrics = Self {
            flows: Flows::default(),
            removed: Family::default(),
            clients_removed: Counter::default(),
            sweeps: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            entries,
            sizes,
            bounded: Bounded::default(),
        };
        let flows = metrics.flows.clone();
        registry.register("flows", "Conversations, by protocol and state", flows);
        let removed = metrics.removed.clone();
        registry.register("flows_removed", "Conversations forgotten", removed);
        registry.register(
            "affinity_removed",
            "Clients forgotten whose Service port keeps none any more",
            metrics.clients_removed.clone(),
        );
        registry.register(
            "flow_sweep_duration_seconds",
            "Duration of a look at all conversations",
            metrics.sweeps.clone(),
        );
        metrics
    }

    /// A look at all conversations has ended.
    pub fn swept(&self, swept: &Swept) {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        let zeros = PROTOCOLS.into_iter().flat_map(|protocol| {
            let each = State::ALL.into_iter();
            each.map(move |state| ((protocol, state), &0))
        });
        for ((protocol, state), count) in
            zeros.chain(swept.counts.iter().map(|(place, count)| (*place, count)))
        {
            let labels = [
                ("protocol", protocol_name(protocol)),
                ("state", state.name()),
            ];
            *counts.entry(labels).or_default() += count;
        }
        for (labels, count) in counts {
            self.flows.get_or_create(&labels).set(whole(count));
        }
        for (reason, count) in &swept.removed {
            let labels = [("reason", reason.name().to_owned())];
            self.removed.get_or_create(&labels).inc_by(*count);
        }
        self.clients_removed.inc_by(swept.clients);
        self.sweeps.observe(swept.took.as_secs_f64());
    }

    /// How full a map is that refuses what is new when it is full.
    pub fn bounded_table(&self, map: &str, fill: Use) {
        self.table(map, fill);
        let mut bounded = self.bounded.lock().unwrap_or_else(PoisonError::into_inner);
        bounded.insert(map.to_owned(), (fill.used, fill.size));
    }

    /// How full those are.
    #[must_use]
    pub fn bounded(&self) -> BTreeMap<String, (u64, u64)> {
        let bounded = self.bounded.lock();
        bounded.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How full a map is.
    pub fn table(&self, map: &str, fill: Use) {
        let labels = [("map", map.to_owned())];
        self.entries.get_or_create(&labels).set(whole(fill.used));
        self.sizes.get_or_create(&labels).set(whole(fill.size));
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::plan::flows::Reason;

    #[test]
    fn flows_are_told_by_protocol_and_state() {
        let mut registry = Registry::default();
        let metrics = FlowMetrics::register(&mut registry, Family::default(), Family::default());
        let mut swept = Swept {
            counts: BTreeMap::from([
                ((protocol::ICMP, State::Established), 1),
                ((protocol::ICMP6, State::Established), 2),
                ((protocol::TCP, State::Opening), 4),
            ]),
            removed: BTreeMap::from([(Reason::EndpointGone, 5)]),
            clients: 6,
            took: Duration::from_millis(3),
            ..Swept::default()
        };
        metrics.swept(&swept);
        swept.counts.remove(&(protocol::TCP, State::Opening));
        metrics.swept(&swept);
        metrics.table("flows", Use { used: 7, size: 8 });
        let mut text = String::new();
        encode(&mut text, &registry).expect("text");
        for line in [
            "flows{protocol=\"icmp\",state=\"established\"} 3",
            "flows{protocol=\"tcp\",state=\"opening\"} 0",
            "flows{protocol=\"sctp\",state=\"closed\"} 0",
            "flows_removed_total{reason=\"endpoint_gone\"} 10",
            "affinity_removed_total 12",
            "flow_sweep_duration_seconds_count 2",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no {line} in:\n{text}"
            );
        }
    }
}
