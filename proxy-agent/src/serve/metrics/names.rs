//! What each measurement is called, and what it says.

use super::Metrics;
use crate::kernel::pins::Pins;
use crate::serve::kernel::Counters;

impl Metrics {
    /// The library ends a counter's name in `_total` itself.
    pub(super) fn register_kube_proxys(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("kubeproxy");
        let durations = [
            (
                "sync_proxy_rules_duration_seconds",
                "Duration of a pass",
                &self.sync,
            ),
            (
                "sync_full_proxy_rules_duration_seconds",
                "Duration of a pass over the node, and over all Services where that was due",
                &self.full,
            ),
            (
                "sync_partial_proxy_rules_duration_seconds",
                "Duration of a pass for changed Services",
                &self.partial,
            ),
            (
                "network_programming_duration_seconds",
                "From the change of a pod or Service until the maps say it",
                &self.programming,
            ),
        ];
        for (name, help, metric) in durations {
            registry.register(name, help, metric.clone());
        }
        let times = [
            (
                "sync_proxy_rules_last_timestamp_seconds",
                "When a pass last succeeded",
                &self.last_applied,
            ),
            (
                "sync_proxy_rules_last_queued_timestamp_seconds",
                "When a pass was last due",
                &self.last_queued,
            ),
        ];
        for (name, help, metric) in times {
            registry.register(name, help, metric.clone());
        }
        registry.register(
            "sync_proxy_rules_no_local_endpoints_total",
            "Service ports with a Local traffic policy, endpoints, and none of them on this node",
            self.without_local.clone(),
        );
        for (name, metric) in [
            ("proxy_healthz", &self.healthz),
            ("proxy_livez", &self.livez),
        ] {
            registry.register(name, "Answers by status code", metric.clone());
        }
    }

    pub(super) fn register_changes(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("kubeproxy");
        let pending = [
            (
                "sync_proxy_rules_endpoint_changes_pending",
                "EndpointSlice changes not yet applied",
                &self.endpoints_pending,
            ),
            (
                "sync_proxy_rules_service_changes_pending",
                "Service changes not yet applied",
                &self.services_pending,
            ),
        ];
        for (name, help, metric) in pending {
            registry.register(name, help, metric.clone());
        }
        let totals = [
            (
                "sync_proxy_rules_endpoint_changes",
                "EndpointSlice changes",
                &self.endpoints_total,
            ),
            (
                "sync_proxy_rules_service_changes",
                "Service changes",
                &self.services_total,
            ),
        ];
        for (name, help, metric) in totals {
            registry.register(name, help, metric.clone());
        }
    }

    pub(super) fn register_own(&mut self, pins: Pins) {
        let registry = self.registry.sub_registry_with_prefix("flatnet");
        registry.register(
            "map_entries",
            "Entries in use, by map",
            self.entries.clone(),
        );
        registry.register("map_size", "Entries that fit, by map", self.sizes.clone());
        registry.register(
            "contested_frontends",
            "Frontends that a Service wants and another has",
            self.contested.clone(),
        );
        registry.register(
            "unplaced_frontends",
            "Frontends for which the maps have no room: their Services do not answer there",
            self.unplaced.clone(),
        );
        registry.register(
            "repairs",
            "What somebody else had changed and an audit put right, by what it was",
            self.repairs.clone(),
        );
        registry.register(
            "audits",
            "Audits of the maps of Services, by what they found; one that finds them different is \
             followed by a full pass",
            self.audits.clone(),
        );
        self.registry.register_collector(Box::new(Counters(pins)));
    }
}
