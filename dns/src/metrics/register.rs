//! The names of the metrics, and what each is.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{Labels, Metrics, SERVER};

impl Metrics {
    pub(super) fn register(&mut self) {
        self.register_server();
        self.register_upstream();
        self.register_cluster();
    }

    /// The library ends a counter's name in `_total` itself.
    fn register_server(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("coredns");
        registry.register("dns_requests", "Questions", self.requests.clone());
        registry.register("dns_responses", "Answers", self.responses.clone());
        let server = SERVER.map(|(name, value)| (name.into(), value.into()));
        let registry = registry.sub_registry_with_labels(server.into_iter());
        registry.register(
            "dns_request_duration_seconds",
            "From a question's arrival to its answer",
            self.durations.clone(),
        );
    }

    fn register_upstream(&mut self) {
        let registry = self.registry.sub_registry_with_prefix("coredns");
        let counters = [
            ("cache_hits", "Answers from the cache", &self.cache_hits),
            (
                "forward_requests",
                "Questions to upstreams",
                &self.forward_requests,
            ),
            (
                "forward_responses",
                "Answers of upstreams",
                &self.forward_responses,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "proxy_request_duration_seconds",
            "How long upstreams take",
            self.forward_durations.clone(),
        );
        registry.register(
            "forward_max_concurrent_rejects",
            "Questions not asked because too many were on their way",
            self.forward_rejects.clone(),
        );
        let server = SERVER.map(|(name, value)| (name.into(), value.into()));
        let registry = registry.sub_registry_with_labels(server.into_iter());
        registry.register(
            "cache_misses",
            "Questions not in the cache",
            self.cache_misses.clone(),
        );
        registry.register(
            "cache_served_stale",
            "Answers past their time, while upstreams fail",
            self.served_stale.clone(),
        );
        registry.register(
            "cache_entries",
            "Answers in the cache",
            self.cache_entries.clone(),
        );
    }

    fn register_cluster(&mut self) {
        self.registry.register(
            "coredns_kubernetes_dns_programming_duration_seconds",
            "From the change of a pod or Service until answers say it",
            self.programming.clone(),
        );
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        let info = Family::<Labels, Gauge>::default();
        info.get_or_create(&version).set(1);
        self.registry
            .register("coredns_build_info", "The version", info);
        let registry = self.registry.sub_registry_with_prefix("flatnet_dns");
        registry.register(
            "data_age_seconds",
            "Time since the API server was last heard of; -1 before it was",
            self.age.clone(),
        );
        registry.register(
            "cache_bytes",
            "Memory of the cache",
            self.cache_bytes.clone(),
        );
        registry.register(
            "tcp_connections",
            "Open TCP connections of clients",
            self.tcp_connections.clone(),
        );
    }
}
