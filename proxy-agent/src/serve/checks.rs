//! A port for each Service with a `healthCheckNodePort`: has this node endpoints of it?
//!
//! As kube-proxy answers (`pkg/proxy/healthcheck/service_health.go`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use cluster_model::view::{is_ours, local_ready};
use cluster_model::{ClusterIndex, ServiceName};
use serde_json::json;

use super::health::{Health, JSON, code};
use super::listen::Listener;

const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");

/// What is to be told of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Check {
    port: u16,
    /// Ready endpoints on this node.
    endpoints: usize,
}

/// What is to be told of these Services, of those that have a port for it.
pub(super) fn of<'a>(
    index: &ClusterIndex,
    services: impl Iterator<Item = &'a ServiceName>,
    node: &str,
) -> BTreeMap<ServiceName, Check> {
    let check = |name: &ServiceName| {
        let service = index.service(name).filter(|service| is_ours(service))?;
        let check = Check {
            port: service.health_check_port?,
            endpoints: local_ready(index, name, node),
        };
        Some((name.clone(), check))
    };
    services.filter_map(check).collect()
}

/// The servers.
pub(super) struct Checks {
    health: Arc<Health>,
    open: BTreeMap<ServiceName, Open>,
}

struct Open {
    port: u16,
    told: Arc<Told>,
    listener: Listener,
}

/// What a server tells.
struct Told {
    service: ServiceName,
    endpoints: AtomicUsize,
    health: Arc<Health>,
}

impl Checks {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            open: BTreeMap::new(),
        }
    }

    /// These are all that there are.
    pub(super) fn replace(&mut self, checks: BTreeMap<ServiceName, Check>) {
        self.open.retain(|service, _| checks.contains_key(service));
        for (service, check) in checks {
            self.set(service, check);
        }
    }

    /// These are what the `changed` Services have now.
    pub(super) fn change<'a>(
        &mut self,
        changed: impl Iterator<Item = &'a ServiceName>,
        checks: BTreeMap<ServiceName, Check>,
    ) {
        for gone in changed.filter(|service| !checks.contains_key(*service)) {
            self.open.remove(gone);
        }
        for (service, check) in checks {
            self.set(service, check);
        }
    }

    /// Those that cannot be listened at, and why.
    pub(super) fn unheard(&self) -> Vec<(ServiceName, u16, String)> {
        let each = self.open.iter();
        each.filter_map(|(service, open)| {
            Some((service.clone(), open.port, open.listener.trouble()?))
        })
        .collect()
    }

    fn set(&mut self, service: ServiceName, check: Check) {
        let Check { port, endpoints } = check;
        if let Some(open) = self.open.get(&service).filter(|open| open.port == port) {
            open.told.endpoints.store(endpoints, Ordering::Relaxed);
            return;
        }
        let told = Arc::new(Told {
            service: service.clone(),
            endpoints: AtomicUsize::new(endpoints),
            health: self.health.clone(),
        });
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        tracing::info!(%service, port, "health check");
        let open = Open {
            port,
            listener: Listener::start(address, routes(told.clone())),
            told,
        };
        self.open.insert(service, open);
    }
}

/// One answer, whatever the path.
fn routes(told: Arc<Told>) -> Router {
    async fn answer(State(told): State<Arc<Told>>) -> impl IntoResponse {
        let (code, body) = told.answer(SystemTime::now());
        let weight = told.endpoints.load(Ordering::Relaxed).to_string();
        (code, JSON, [(WEIGHT, weight)], body)
    }
    Router::new().fallback(answer).with_state(told)
}

impl Told {
    fn answer(&self, now: SystemTime) -> (StatusCode, String) {
        let endpoints = self.endpoints.load(Ordering::Relaxed);
        let healthy = self.health.is_healthy(now);
        let body = json!({
            "service": {"namespace": &*self.service.namespace, "name": &*self.service.name},
            "localEndpoints": endpoints,
            "serviceProxyHealthy": healthy,
        });
        (code(endpoints != 0 && healthy), body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cluster_model::Protocol::Tcp;
    use cluster_model::testing::{mk_endpoint, mk_index, mk_service, mk_slice};
    use serde_json::Value;

    use super::*;

    fn web() -> ServiceName {
        ServiceName::new("shop", "web")
    }

    fn told(endpoints: usize) -> Told {
        Told {
            service: web(),
            endpoints: AtomicUsize::new(endpoints),
            health: Arc::default(),
        }
    }

    #[test]
    fn the_answer_is_kube_proxys() {
        let now = SystemTime::now();
        let (code, body) = told(2).answer(now);
        assert_eq!(code, StatusCode::OK);
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            body,
            json!({
                "service": {"namespace": "shop", "name": "web"},
                "localEndpoints": 2, "serviceProxyHealthy": true,
            })
        );
        assert_eq!(told(0).answer(now).0, StatusCode::SERVICE_UNAVAILABLE);
        let stale = told(1);
        stale.health.queued(now);
        let (code, body) = stale.answer(now + Duration::from_secs(60));
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("\"serviceProxyHealthy\":false"), "{body}");
    }

    #[test]
    fn only_services_that_ask_are_checked() {
        let service = mk_service("shop", "web")
            .port("", Tcp, 80)
            .health_check(32000);
        let other = mk_service("shop", "other").port("", Tcp, 80);
        let foreign = mk_service("shop", "foreign")
            .health_check(32001)
            .other_proxy();
        let slice = mk_slice("shop", "web", "s").endpoint(mk_endpoint("10.244.1.2").on("n1"));
        let index = mk_index([service, other, foreign], [slice]);
        let all = || index.services().map(|service| &service.name);
        let check = |endpoints| Check {
            port: 32000,
            endpoints,
        };
        assert_eq!(of(&index, all(), "n1"), BTreeMap::from([(web(), check(1))]));
        assert_eq!(of(&index, all(), "n2"), BTreeMap::from([(web(), check(0))]));
    }
}
