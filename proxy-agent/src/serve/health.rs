//! `/healthz`: should load balancers send clients to this node? `/livez`: does the agent work?
//! `/readyz`: does the node's network work?
//!
//! The first two as kube-proxy says it (`pkg/proxy/healthcheck/proxy_health.go`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use jiff::Timestamp;

use super::metrics::Metrics;

/// Changes that wait longer than this make the agent unhealthy: kube-proxy's, twice its sync
/// period.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the agent fares.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Facts>);

#[derive(Clone, Debug, Default)]
struct Facts {
    /// Since when a pass is due that has not come to its end.
    pending_since: Option<SystemTime>,
    last_applied: Option<SystemTime>,
    node_leaving: bool,
    /// What keeps the node from working; a sentence each.
    waiting: Vec<String>,
}

impl Health {
    /// A pass is due.
    pub(super) fn queued(&self, now: SystemTime) {
        self.with(|facts| _ = facts.pending_since.get_or_insert(now));
    }

    /// Everything that was due is done.
    pub(super) fn applied(&self, now: SystemTime) {
        self.with(|facts| {
            facts.pending_since = None;
            facts.last_applied = Some(now);
        });
    }

    /// Whether the node is about to go.
    pub(super) fn node(&self, leaving: bool) {
        self.with(|facts| facts.node_leaving = leaving);
    }

    /// What keeps the node from working.
    pub(super) fn waiting(&self, waiting: Vec<String>) {
        self.with(|facts| facts.waiting = waiting);
    }

    /// Whether the agent keeps up, whatever becomes of the node.
    pub(super) fn is_healthy(&self, now: SystemTime) -> bool {
        let pending = self.with(|facts| facts.pending_since);
        pending.is_none_or(|since| now.duration_since(since).unwrap_or_default() < PATIENCE)
    }

    /// The code and body of `/healthz`.
    fn healthz(&self, now: SystemTime) -> (StatusCode, String) {
        let eligible = !self.with(|facts| facts.node_leaving);
        let healthy = self.is_healthy(now) && eligible;
        let body = format!(
            "{}, \"nodeEligible\": {eligible}}}",
            self.times(healthy, now)
        );
        (code(healthy), body)
    }

    /// The code and body of `/livez`.
    fn livez(&self, now: SystemTime) -> (StatusCode, String) {
        let healthy = self.is_healthy(now);
        (code(healthy), format!("{}}}", self.times(healthy, now)))
    }

    /// The code and body of `/readyz`: ready from the first whole pass on, unless the node cannot
    /// work for a reason that is not the agent's.
    fn readyz(&self, now: SystemTime) -> (StatusCode, String) {
        let healthy = self.is_healthy(now);
        let (passed, waiting) =
            self.with(|facts| (facts.last_applied.is_some(), facts.waiting.clone()));
        let ready = healthy && passed && waiting.is_empty();
        let body = serde_json::json!({ "ready": ready, "passed": passed, "waiting": waiting });
        (code(ready), body.to_string())
    }

    /// While all is well the last update is now, as it has always been with kube-proxy.
    fn times(&self, healthy: bool, now: SystemTime) -> String {
        let last = match healthy {
            true => Some(now),
            false => self.with(|facts| facts.last_applied),
        };
        let last = written(last.unwrap_or(SystemTime::UNIX_EPOCH));
        format!(
            "{{\"lastUpdated\": \"{last}\",\"currentTime\": \"{}\"",
            written(now)
        )
    }

    fn with<T>(&self, look: impl FnOnce(&mut Facts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn written(at: SystemTime) -> String {
    Timestamp::try_from(at).map_or_else(|_| String::new(), |at| at.to_string())
}

pub(super) fn code(good: bool) -> StatusCode {
    match good {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The headers of every answer in JSON. A connection is for one answer: none outlives its server.
pub(super) const JSON: [(HeaderName, &str); 3] = [
    (header::CONTENT_TYPE, "application/json"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONNECTION, "close"),
];

/// `/healthz`, `/livez` and `/readyz`.
pub(super) fn routes(health: &Arc<Health>, metrics: &Arc<Metrics>) -> Router {
    type Both = (Arc<Health>, Arc<Metrics>);
    async fn healthz(State((health, metrics)): State<Both>) -> impl IntoResponse {
        let (code, body) = health.healthz(SystemTime::now());
        metrics.healthz(code);
        (code, JSON, body)
    }
    async fn livez(State((health, metrics)): State<Both>) -> impl IntoResponse {
        let (code, body) = health.livez(SystemTime::now());
        metrics.livez(code);
        (code, JSON, body)
    }
    async fn readyz(State((health, _)): State<Both>) -> impl IntoResponse {
        let (code, body) = health.readyz(SystemTime::now());
        (code, JSON, body)
    }
    Router::new()
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz))
        .route("/livez", get(livez))
        .with_state((health.clone(), metrics.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn stale_is_what_waits_a_minute() {
        let health = Health::default();
        assert!(health.is_healthy(at(1000)), "while it starts");
        health.queued(at(1000));
        health.queued(at(1050));
        assert!(health.is_healthy(at(1059)));
        assert!(!health.is_healthy(at(1060)), "the oldest counts");
        health.applied(at(1061));
        assert!(health.is_healthy(at(9000)), "nothing is due");
    }

    #[test]
    fn a_node_that_leaves_is_unhealthy_and_alive() {
        let health = Health::default();
        health.applied(at(5));
        health.node(true);
        let (code, body) = health.healthz(at(9));
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            body,
            r#"{"lastUpdated": "1970-01-01T00:00:05Z","currentTime": "1970-01-01T00:00:09Z", "nodeEligible": false}"#
        );
        assert_eq!(health.livez(at(9)).0, StatusCode::OK);
        health.node(false);
        let (code, body) = health.healthz(at(9));
        assert_eq!(code, StatusCode::OK);
        let fields: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(fields["lastUpdated"], fields["currentTime"]);
        assert_eq!(fields["nodeEligible"], true);
    }

    #[test]
    fn a_node_is_ready_once_a_pass_is_done_and_nothing_is_waited_for() {
        let health = Health::default();
        let ready = || health.readyz(at(50)).0 == StatusCode::OK;
        assert!(!ready(), "before the first pass");
        health.queued(at(10));
        health.applied(at(20));
        assert!(ready());
        health.waiting(vec!["no pod CIDR".into()]);
        let (code, body) = health.readyz(at(50));
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("no pod CIDR"), "{body}");
        health.waiting(Vec::new());
        assert!(ready());
        health.queued(at(21));
        assert!(ready(), "a change is on its way");
        assert!(health.readyz(at(100)).0 != StatusCode::OK, "and stuck");
    }

    #[test]
    fn a_stale_agent_is_neither() {
        let health = Health::default();
        health.applied(at(5));
        health.queued(at(10));
        for (code, body) in [health.healthz(at(100)), health.livez(at(100))] {
            assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
            assert!(
                body.starts_with(r#"{"lastUpdated": "1970-01-01T00:00:05Z""#),
                "{body}"
            );
        }
    }
}
