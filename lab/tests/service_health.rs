//! Health and status: what load balancers, probes and dashboards ask of a node, by HTTP.

mod stage;

use std::net::SocketAddr;

use lab::store::Kind;
use serde_json::{Value, json};
use stage::askers::From;
use stage::cast::{Cast, End, Row};
use stage::{PATIENCE, told};

/// These change the lab's node1 or its Services alone, each its own.
const ROWS: [Row; 3] = [
    ("healthCheckNodePort", health_check_node_port),
    ("healthz and livez", healthz),
    ("metrics and proxyMode", metrics),
];

#[test]
fn every_row_about_health() {
    if let Some(cast) = Cast::new("rows-health") {
        cast.show(&ROWS);
    }
}

/// The status and body of a GET from a place.
fn get(cast: &Cast, from: From, url: &str) -> Result<(u16, String), String> {
    let argv = ["curl", "-s", "-m", "2", "-w", "\n%{http_code}", url];
    let asked = cast.command(from, &argv).output().expect("it runs");
    if !asked.status.success() {
        return Err(told(&asked));
    }
    let text = String::from_utf8(asked.stdout).expect("text");
    let (body, code) = text.rsplit_once('\n').expect("a code");
    Ok((code.parse().expect("a number"), body.to_owned()))
}

fn until(
    cast: &Cast,
    from: From,
    url: &str,
    holds: impl Fn(&Result<(u16, String), String>) -> bool,
) {
    let looked = || Ok(holds(&get(cast, from, url)).then_some(()));
    let waited = cast.lab.wait(url, PATIENCE, looked);
    assert!(waited.is_ok(), "{url}: {:?}", get(cast, from, url));
}

/// Ready endpoints count, those that drain do not, whatever traffic they take; and the port comes
/// and goes with the policy.
fn health_check_node_port(cast: &Cast) {
    const PORT: u16 = 30_140;
    let local = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": PORT});
    cast.service_at("checked", Some(30_141), local.clone());
    let says = |node: &str, endpoints: u64| {
        for at in cast.at(node, PORT) {
            let url = format!("http://{at}/");
            until(cast, From::Outside, &url, |got| {
                let expected = json!({
                    "service": {"namespace": "default", "name": "checked"},
                    "localEndpoints": endpoints, "serviceProxyHealthy": true,
                });
                let code = if endpoints == 0 { 503 } else { 200 };
                let body = |text: &str| serde_json::from_str::<Value>(text).ok();
                matches!(got, Ok((found, text)) if *found == code && body(text) == Some(expected))
            });
        }
    };
    cast.ends("checked", &[End::ready(1), End::ready(2)]);
    says("node1", 1);
    says("node2", 1);
    says("node3", 0);
    cast.ends("checked", &[End::draining(1), End::ready(2)]);
    says("node1", 0);
    says("node2", 1);
    let at: SocketAddr = cast.at("node1", 30_141)[0];
    cast.until(From::Outside, at, &[1]);
    cast.change(
        "checked",
        json!({"spec": {"externalTrafficPolicy": "Cluster", "healthCheckNodePort": null}}),
    );
    for at in cast.at("node2", PORT) {
        until(
            cast,
            From::Outside,
            &format!("http://{at}/"),
            Result::is_err,
        );
    }
    cast.change("checked", json!({"spec": local}));
    says("node2", 1);
    cast.lab
        .api()
        .delete(Kind::Service, "default", "checked")
        .expect("deleted");
    for at in cast.at("node2", PORT) {
        until(
            cast,
            From::Outside,
            &format!("http://{at}/"),
            Result::is_err,
        );
    }
}

/// A node that an autoscaler is about to delete is to get no new clients, and is alive.
fn healthz(cast: &Cast) {
    let node = cast.lab.node_addresses("node3")[0];
    let at = |path: &str| format!("http://{}/{path}", SocketAddr::new(node, 10_256));
    let code = |path: &str, code: u16| {
        until(
            cast,
            From::Outside,
            &at(path),
            |got| matches!(got, Ok((found, _)) if *found == code),
        );
    };
    code("healthz", 200);
    code("livez", 200);
    for path in ["healthz", "livez"] {
        let (_, body) = get(cast, From::Outside, &at(path)).expect("an answer");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert!(body["lastUpdated"].is_string(), "{body}");
    }
    let taint = json!({"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"});
    let taints = |taints: Value| {
        let patch = json!({"spec": {"taints": taints}});
        cast.lab
            .api()
            .patch(Kind::Node, ("", "node3"), &patch)
            .expect("patched");
    };
    taints(json!([taint]));
    code("healthz", 503);
    code("livez", 200);
    taints(json!([]));
    code("healthz", 200);
}

/// kube-proxy's names where the thing is the same, and what the programs drop, by reason.
fn metrics(cast: &Cast) {
    let local = "http://127.0.0.1:10249";
    let mode = get(cast, From::Node("node2"), &format!("{local}/proxyMode"));
    assert_eq!(mode, Ok((200, "ebpf".to_owned())));
    let url = format!("{local}/metrics");
    let value = |name: &str| -> f64 {
        let (_, text) = get(cast, From::Node("node2"), &url).expect("an answer");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.unwrap_or_else(|| panic!("no {name} in {text}")).trim();
        number.parse().expect("a number")
    };
    for name in [
        "kubeproxy_sync_proxy_rules_duration_seconds_count",
        "kubeproxy_network_programming_duration_seconds_count",
        "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
        "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
        "kubeproxy_sync_proxy_rules_service_changes_total",
        "kubeproxy_sync_proxy_rules_endpoint_changes_total",
        "flatnet_map_size{map=\"frontends\"}",
        "flatnet_map_size{map=\"flows\"}",
        "flatnet_flows{protocol=\"tcp\",state=\"established\"}",
    ] {
        value(name);
    }
    let no_local =
        "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"internal\"}";
    let dropped = "flatnet_counters_total{reason=\"no-local-endpoint\"}";
    let refused = "flatnet_counters_total{reason=\"no-endpoint\"}";
    let before = [no_local, dropped, refused].map(value);
    cast.service("counted", json!({"internalTrafficPolicy": "Local"}));
    let [at, _] = cast.frontends("counted")[..] else {
        panic!("two families")
    };
    cast.until_not("udp", From::Pod("node2"), at, true);
    cast.ends("counted", &[End::ready(1)]);
    cast.until_not("udp", From::Pod("node2"), at, false);
    let after = [no_local, dropped, refused].map(value);
    for (before, after) in before.into_iter().zip(after) {
        assert!(after > before, "{before} {after}");
    }
}
