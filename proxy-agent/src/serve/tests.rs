//! Every path asked over a socket, as probes, load balancers and dashboards do.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use cluster_model::Here;
use cluster_model::Protocol::Tcp;
use cluster_model::testing::{mk_endpoint, mk_index, mk_node, mk_service, mk_slice};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::*;
use crate::kernel::walk::Use;
use crate::pass::flows::Swept;
use crate::pass::wishes;

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

/// The whole answer to a GET, asked until somebody listens.
async fn ask(at: SocketAddr, path: &str) -> String {
    for _ in 0..50 {
        if let Ok(mut stream) = TcpStream::connect(at).await {
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("written");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("text");
            return answer;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("nobody listens on {at}");
}

fn has(answer: &str, parts: &[&str]) {
    for part in parts {
        assert!(answer.contains(part), "no {part} in:\n{answer}");
    }
}

#[tokio::test]
async fn every_path_answers() {
    let (healthz, metrics, check) = (free(), free(), free());
    let options = ServiceOptions {
        healthz_bind_address: Bind(Some(healthz)),
        metrics_bind_address: Bind(Some(metrics)),
        ..ServiceOptions::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Serve::start(&options, Pins::at(folder.path()));
    let service = mk_service("shop", "web")
        .cluster_ip("10.96.0.1")
        .port("", Tcp, 80)
        .load_balancer_ip("192.0.2.7")
        .external_local()
        .health_check(check.port());
    let slice = |node: &str| {
        let end = mk_endpoint("10.244.1.2").on(node);
        mk_slice("shop", "web", "s").port("", Tcp, 80).endpoint(end)
    };
    let mut index = mk_index([service], [slice("n1")]);
    index.apply_node(mk_node("n1"));
    let name = ServiceName::new("shop", "web");
    let wished = |index: &ClusterIndex| wishes(index, [&name].into_iter(), &Here::new("n1"));

    let begun = serve.begin_full(Changes::default());
    serve.tell(Seen::all(&index, "n1", &wished(&index)));
    serve.applied(begun, Fill::default());
    has(
        &ask(healthz, "/healthz").await,
        &["HTTP/1.1 200", "\"nodeEligible\": true"],
    );
    has(
        &ask(healthz, "/livez").await,
        &["HTTP/1.1 200", "currentTime"],
    );
    has(&ask(metrics, "/proxyMode").await, &["HTTP/1.1 200", "ebpf"]);
    let text = ask(metrics, "/metrics").await;
    has(
        &text,
        &["kubeproxy_proxy_healthz_total{code=\"200\"} 1", "# EOF"],
    );
    let there = [
        "HTTP/1.1 200",
        "x-load-balancing-endpoint-weight: 1",
        "\"localEndpoints\":1",
    ];
    has(&ask(check, "/").await, &there);

    // The endpoint moves away.
    index.apply_slice(slice("n2"));
    let begun = serve.begin_changes(index.take_dirty().changes);
    serve.tell(Seen::changed(&index, "n1", &wished(&index)));
    serve.applied(begun, Fill::default());
    let away = [
        "HTTP/1.1 503",
        "x-load-balancing-endpoint-weight: 0",
        "\"localEndpoints\":0",
    ];
    has(&ask(check, "/whatever").await, &away);
    let line = "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"external\"} 1";
    has(&ask(metrics, "/metrics").await, &[line]);

    // The node is about to go, and the Service is gone.
    index.apply_node(mk_node("n1").leaving());
    index.delete_service(&name);
    serve.tell(Seen::all(&index, "n1", &Wishes::new()));
    has(
        &ask(healthz, "/healthz").await,
        &["HTTP/1.1 503", "\"nodeEligible\": false"],
    );
    has(&ask(healthz, "/livez").await, &["HTTP/1.1 200"]);
    sleep(Duration::from_millis(100)).await;
    assert!(
        TcpStream::connect(check).await.is_err(),
        "its port is closed"
    );
}

#[tokio::test]
async fn the_dashboard_asks_for_metrics_that_there_are() {
    let metrics = free();
    let options = ServiceOptions {
        healthz_bind_address: Bind(None),
        metrics_bind_address: Bind(Some(metrics)),
        ..ServiceOptions::default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let serve = Serve::start(&options, Pins::at(folder.path()));
    // What has labels is there from its first value on.
    serve.repaired(&[("link", 1)]);
    serve.flows().swept(&Swept::default());
    serve.flows().table("flows", Use::default());
    let answer = ask(metrics, "/metrics").await;
    let dashboard = include_str!("../../../kind-config/grafana-dashboard.json");
    let ours = |word: &&str| word.starts_with("flatnet_") || word.starts_with("kubeproxy_");
    let words = dashboard.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let mut asked = 0;
    for word in words.filter(ours) {
        asked += 1;
        let name = word.trim_end_matches("_bucket").trim_end_matches("_total");
        let described = answer.contains(&format!("# HELP {name}"));
        assert!(described, "{word} is no metric:\n{answer}");
    }
    assert!(asked >= 10, "{asked}");
}
