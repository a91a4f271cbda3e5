//! The API server away, and back.

use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use serde_json::json;

use crate::api::{Api, SERVICES, SLICES};
use crate::running::{PATIENCE, Running, WEB, ask, ask_until, get, metric};
use crate::{PEERS, peers, service};

const AGE: &str = "flatnet_dns_data_age_seconds";

/// How long it stays away.
const AWAY: Duration = Duration::from_secs(3);

#[test]
fn answers_go_on_while_the_api_server_is_away_and_follow_it_when_it_is_back() {
    let mut api = Api::stopped();
    api.put(SERVICES, service("web", "10.96.0.1"));
    api.put(SERVICES, service("peers", "None"));
    api.put(SLICES, peers(&["10.244.1.1"]));
    api.start();
    let mut server = Running::start(&api.url());
    let udp = server.address("DNS over UDP");
    let http = server.address("HTTP");
    server.line("synced");
    let web = (
        ResponseCode::NoError,
        vec!["10.96.0.1".parse().expect("an address")],
    );
    assert_eq!(ask(udp, WEB), web);

    api.stop();
    server.line("watch interrupted");
    let gone = Instant::now();
    // What happens meanwhile.
    api.put(SERVICES, service("new", "10.96.0.9"));
    api.put(SLICES, peers(&["10.244.1.2"]));
    api.delete(SERVICES, "default/web");
    let mut age = metric(http, AGE);
    while gone.elapsed() < AWAY {
        std::thread::sleep(AWAY / 10);
        assert_eq!(ask(udp, WEB), web, "it answers from what it knows");
        assert_eq!(
            ask(udp, "new.default.svc.cluster.local.").0,
            ResponseCode::NXDomain
        );
        assert!(get(http, "/ready").starts_with("HTTP/1.1 200"));
        let older = metric(http, AGE);
        assert!(older > age, "{older} after {age}");
        age = older;
    }
    let away = gone.elapsed().as_secs_f64();
    assert!(age > away - 1.0, "{age} s old after {away} s");

    let back = Instant::now();
    api.start();
    let address = |text: &str| [text.parse().expect("an address")];
    let took = ask_until(udp, "new.default.svc.cluster.local.", &address("10.96.0.9"));
    ask_until(udp, PEERS, &address("10.244.1.2"));
    ask_until(udp, WEB, &[]);
    assert_eq!(ask(udp, WEB).0, ResponseCode::NXDomain, "it went meanwhile");
    println!("{age:.1} s old after {away:.1} s; changes {took:.1?} after it was back");
    // Each kind was heard of since; the one that came first may have been silent for seconds.
    let (young, since) = (metric(http, AGE), back.elapsed().as_secs_f64());
    assert!(young < since, "{young} s old {since} s after it was back");
    assert!(server.lives(), "the same process all the time");
}

#[test]
fn a_cold_start_without_the_api_server_fails_and_is_not_ready() {
    let mut api = Api::stopped();
    api.put(SERVICES, service("web", "10.96.0.1"));
    let server = Running::start(&api.url());
    let udp = server.address("DNS over UDP");
    let http = server.address("HTTP");
    server.line("watch interrupted");
    for name in [WEB, "no.default.svc.cluster.local.", "cluster.local."] {
        assert_eq!(ask(udp, name), (ResponseCode::ServFail, vec![]), "{name}");
    }
    assert!(get(http, "/ready").starts_with("HTTP/1.1 503"));
    assert!(
        get(http, "/health").starts_with("HTTP/1.1 200"),
        "but alive"
    );
    assert!((metric(http, AGE) + 1.0).abs() < f64::EPSILON, "of no age");
    api.start();
    server.line("synced");
    assert!(get(http, "/ready").starts_with("HTTP/1.1 200"));
    assert_eq!(ask(udp, WEB).0, ResponseCode::NoError);
    assert!(metric(http, AGE) < PATIENCE.as_secs_f64());
}

#[test]
fn an_endpoint_that_changes_is_answered_and_timed() {
    let api = Api::started();
    api.put(SERVICES, service("peers", "None"));
    api.put(SLICES, peers(&["10.244.1.1"]));
    let server = Running::start(&api.url());
    let udp = server.address("DNS over UDP");
    let http = server.address("HTTP");
    server.line("synced");
    let mut slice = peers(&["10.244.1.1", "10.244.1.2"]);
    let now = k8s_time();
    slice["metadata"]["annotations"] =
        json!({"endpoints.kubernetes.io/last-change-trigger-time": now});
    api.put(SLICES, slice);
    let begun = Instant::now();
    while ask(udp, PEERS).1.len() < 2 {
        assert!(begun.elapsed() < PATIENCE);
    }
    let counted = "coredns_kubernetes_dns_programming_duration_seconds_count\
                   {service_kind=\"headless_with_selector\"}";
    while !get(http, "/metrics").contains(counted) {
        assert!(begun.elapsed() < PATIENCE, "it is measured");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!((metric(http, counted) - 1.0).abs() < f64::EPSILON);
}

/// The time now, as the endpoint slice controller writes it.
fn k8s_time() -> String {
    let date = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
        .output();
    let date = date.expect("date").stdout;
    String::from_utf8_lossy(&date).trim().to_owned()
}
