//! The feed against an API server that lists, watches, breaks off, forgets and goes away.

use std::future::Future;
use std::time::Duration;

use axum::http::StatusCode;

use crate::api::{Api, NODES, SERVICE_CIDRS, SERVICES, SLICES, Welcome};
use cluster_model::{Dirty, ServiceName};
use cluster_watch::{Feed, Selection, client, spawn};
use serde_json::{Value, json};

const AGENT: Selection = Selection {
    nodes: true,
    headless: false,
    service_cidrs: true,
    pods: false,
};
const DNS: Selection = Selection {
    nodes: false,
    headless: true,
    service_cidrs: false,
    pods: false,
};

/// Longer than kube's first back-off (at most 1.6 s, then twice that), shorter than patience.
const PATIENCE: Duration = Duration::from_secs(20);

async fn feed_of(api: &Api, selection: Selection) -> Feed {
    let client = client(Some(&api.url()), None)
        .await
        .expect("a plain http client");
    spawn(client, selection)
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(PATIENCE, future).await;
    outcome.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits for changes until the index answers `wanted`, and returns all that were announced.
async fn until(feed: &Feed, what: &str, wanted: impl Fn(&Feed) -> bool) -> Dirty {
    let mut seen = Dirty::default();
    while !wanted(feed) {
        seen.merge(soon(what, feed.changed()).await);
    }
    seen
}

fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "default", "name": name, "uid": "u", "managedFields": [{}]},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": port}]},
    })
}

fn slice(name: &str, service: &str) -> Value {
    json!({
        "metadata": {
            "namespace": "default", "name": name,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.244.1.2"]}],
        "ports": [{"port": 8080}],
    })
}

fn node(name: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"podCIDR": "10.244.1.0/24"}})
}

fn web() -> ServiceName {
    ServiceName::new("default", "web")
}

/// The port of `default/web`, if there is such a Service.
fn port(feed: &Feed) -> Option<u16> {
    feed.read()
        .service(&web())
        .map(|service| service.ports[0].port)
}

#[tokio::test]
async fn lists_and_follows_every_kind() {
    let api = Api::started();
    api.put(SERVICES, service("web", 80));
    api.put(SLICES, slice("web-1", "web"));
    api.put(NODES, node("n1"));
    let feed = feed_of(&api, AGENT).await;
    soon("first lists", feed.synced()).await;
    assert!(feed.is_synced());
    assert_eq!(port(&feed), Some(80));
    assert_eq!(feed.read().slices(&web()).len(), 1);
    assert_eq!(feed.read().nodes().count(), 1);
    let dirty = soon("what the lists brought", feed.changed()).await;
    assert_eq!((dirty.services.len(), dirty.nodes), (1, true));

    api.put(SERVICES, service("web", 81));
    let dirty = until(&feed, "modified", |feed| port(feed) == Some(81)).await;
    assert_eq!((dirty.services.first(), dirty.nodes), (Some(&web()), false));
    api.delete(SLICES, "default/web-1");
    until(&feed, "slice deleted", |feed| {
        feed.read().slices(&web()).is_empty()
    })
    .await;
    api.delete(SERVICES, "default/web");
    until(&feed, "service deleted", |feed| port(feed).is_none()).await;
    api.delete(NODES, "/n1");
    let dirty = until(&feed, "node deleted", |feed| {
        feed.read().nodes().count() == 0
    })
    .await;
    assert!(dirty.nodes && dirty.services.is_empty());
}

#[tokio::test]
async fn follows_service_cidrs() {
    let api = Api::started();
    let cidr =
        |name: &str, cidr: &str| json!({"metadata": {"name": name}, "spec": {"cidrs": [cidr]}});
    api.put(SERVICE_CIDRS, cidr("kubernetes", "10.96.0.0/16"));
    let feed = feed_of(&api, AGENT).await;
    let held = |feed: &Feed| -> Vec<String> {
        let index = feed.read();
        let cidrs = index.service_cidrs().flat_map(|cidr| &cidr.cidrs);
        cidrs.map(ToString::to_string).collect()
    };
    let dirty = until(&feed, "listed", |feed| held(feed) == ["10.96.0.0/16"]).await;
    assert!(dirty.service_cidrs && !dirty.nodes);
    api.put(SERVICE_CIDRS, cidr("more", "10.196.196.0/24"));
    until(&feed, "added", |feed| held(feed).len() == 2).await;
    api.delete(SERVICE_CIDRS, "/more");
    until(&feed, "deleted", |feed| held(feed).len() == 1).await;
}

/// A server before Kubernetes 1.33, and a role of before ServiceCIDRs were read.
#[tokio::test]
async fn does_without_service_cidrs_where_there_are_none() {
    for code in [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN] {
        let api = Api::started();
        api.miss(SERVICE_CIDRS, code);
        let feed = feed_of(&api, AGENT).await;
        soon("the rest", feed.synced()).await;
        assert!(feed.age().is_some(), "what is missing has no age");
        api.put(SERVICES, service("web", 80));
        until(&feed, "a change", |feed| port(feed) == Some(80)).await;
        assert_eq!(api.requests(SERVICE_CIDRS).len(), 1, "asked for seldom");
    }
}

#[tokio::test]
async fn is_synced_only_when_every_kind_is_listed() {
    let api = Api::started();
    api.put(SERVICES, service("web", 80));
    api.fail(SLICES, true);
    let feed = feed_of(&api, DNS).await;
    until(&feed, "services", |feed| port(feed) == Some(80)).await;
    assert!(!feed.is_synced());
    assert_eq!(feed.age(), None, "slices were never heard of");

    api.fail(SLICES, false);
    soon("slices", feed.synced()).await;
    assert!(feed.age().is_some());
    assert!(api.requests(NODES).is_empty(), "DNS has no use for nodes");
}

#[tokio::test]
async fn headless_slices_are_left_out_by_the_server() {
    let api = Api::started();
    soon("agent", feed_of(&api, AGENT).await.synced()).await;
    let selector = "labelSelector=%21service.kubernetes.io%2Fheadless";
    let lists = api.requests("LIST");
    assert_eq!(lists.len(), 4, "{lists:?}");
    assert_eq!(
        lists.iter().filter(|list| list.contains(selector)).count(),
        1,
        "{lists:?}"
    );

    let api = Api::started();
    soon("dns", feed_of(&api, DNS).await.synced()).await;
    assert!(api.requests("labelSelector").is_empty());
}

#[tokio::test]
async fn goes_on_after_a_cut_where_it_was() {
    let api = Api::started();
    let feed = feed_of(&api, AGENT).await;
    soon("first lists", feed.synced()).await;
    api.put(SERVICES, service("web", 80));
    until(&feed, "before the cut", |feed| port(feed) == Some(80)).await;

    api.cut(Welcome::Events);
    api.put(SERVICES, service("web", 81));
    until(&feed, "after the cut", |feed| port(feed) == Some(81)).await;
    assert_eq!(api.requests("LIST").len(), 4, "nothing was listed again");
}

#[tokio::test]
async fn a_bookmark_is_where_it_goes_on() {
    let api = Api::started();
    let feed = feed_of(&api, DNS).await;
    soon("first lists", feed.synced()).await;
    // An event behind the bookmark tells us that the bookmark was read.
    let version = api.bookmark(SERVICES);
    api.put(SERVICES, service("web", 80));
    until(&feed, "the event", |feed| port(feed) == Some(80)).await;
    let version = version.max(api.bookmark(SERVICES));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(feed.age().is_some());

    api.cut(Welcome::Events);
    api.put(SERVICES, service("web", 81));
    until(&feed, "after the cut", |feed| port(feed) == Some(81)).await;
    let wanted = format!("resourceVersion={version}");
    assert!(
        api.requests(SERVICES)
            .iter()
            .any(|r| r.starts_with("WATCH") && r.contains(&wanted)),
        "{wanted} in {:?}",
        api.requests(SERVICES)
    );
}

async fn lists_again_when_told(welcome: Welcome) {
    let api = Api::started();
    api.put(SERVICES, service("web", 80));
    api.put(SERVICES, service("old", 80));
    let feed = feed_of(&api, DNS).await;
    soon("first lists", feed.synced()).await;
    feed.changed().await;

    // The server forgets the events meanwhile: only a list can tell that `old` is gone.
    api.delete(SERVICES, "default/old");
    api.put(SERVICES, service("new", 80));
    api.cut(welcome);
    let old = ServiceName::new("default", "old");
    let new = ServiceName::new("default", "new");
    let dirty = until(&feed, "the new list", |feed| {
        feed.read().service(&old).is_none() && feed.read().service(&new).is_some()
    })
    .await;
    assert!(
        !dirty.services.contains(&web()),
        "what stayed equal is no change"
    );
    api.put(SERVICES, service("web", 81));
    until(&feed, "events after the list", |feed| {
        port(feed) == Some(81)
    })
    .await;
}

#[tokio::test]
async fn lists_again_after_a_gone_event() {
    lists_again_when_told(Welcome::GoneEvent).await;
}

#[tokio::test]
async fn lists_again_after_a_gone_status() {
    lists_again_when_told(Welcome::GoneStatus).await;
}

#[tokio::test]
async fn keeps_the_last_state_while_the_server_is_away() {
    let mut api = Api::started();
    api.put(SERVICES, service("web", 80));
    let feed = feed_of(&api, DNS).await;
    soon("first lists", feed.synced()).await;

    api.stop();
    let before = feed.age().expect("heard of");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(feed.age().expect("heard of") > before, "it ages");
    assert!(feed.is_synced());
    assert_eq!(port(&feed), Some(80));

    api.put(SERVICES, service("web", 81));
    api.start();
    until(&feed, "back again", |feed| port(feed) == Some(81)).await;
}

#[tokio::test]
async fn waits_for_a_server_that_is_not_there_yet() {
    let mut api = Api::stopped();
    api.put(SERVICES, service("web", 80));
    let feed = feed_of(&api, AGENT).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!feed.is_synced());
    assert_eq!((port(&feed), feed.age()), (None, None));

    api.start();
    soon("the server came", feed.synced()).await;
    assert_eq!(port(&feed), Some(80));
}

#[tokio::test]
async fn a_malformed_object_costs_itself_alone() {
    let api = Api::started();
    let broken = |name: &str| json!({"metadata": {"namespace": "default", "name": name}, "spec": {"ports": "none"}});
    api.put(SERVICES, broken("a"));
    api.put(SERVICES, service("web", 80));
    api.put(
        SLICES,
        json!({"metadata": {"namespace": "default", "name": "s"}}),
    );
    let feed = feed_of(&api, AGENT).await;
    soon("first lists", feed.synced()).await;
    assert_eq!(feed.read().services().count(), 1);

    api.put(SERVICES, service("later", 80));
    api.put(SERVICES, broken("web"));
    until(&feed, "it broke", |feed| port(feed).is_none()).await;
    api.put(SERVICES, service("web", 82));
    until(&feed, "it was mended", |feed| port(feed) == Some(82)).await;
}

#[tokio::test]
async fn a_slice_follows_its_label() {
    let api = Api::started();
    api.put(SLICES, slice("s", "web"));
    let feed = feed_of(&api, AGENT).await;
    soon("first lists", feed.synced()).await;
    feed.changed().await;

    api.put(SLICES, slice("s", "api"));
    let moved = until(&feed, "moved", |feed| feed.read().slices(&web()).is_empty()).await;
    assert_eq!(moved.services.len(), 2, "{moved:?}");
    let mut unlabelled = slice("s", "api");
    unlabelled["metadata"]["labels"] = json!({});
    api.put(SLICES, unlabelled);
    let api_service = ServiceName::new("default", "api");
    until(&feed, "unlabelled", |feed| {
        feed.read().slices(&api_service).is_empty()
    })
    .await;
}

#[tokio::test]
async fn the_tasks_end_with_the_last_feed() {
    let api = Api::started();
    let feed = feed_of(&api, DNS).await;
    let copy = feed.clone();
    soon("first lists", feed.synced()).await;
    drop(feed);
    api.put(SERVICES, service("web", 80));
    until(&copy, "a copy goes on", |feed| port(feed) == Some(80)).await;
    // One a kind; a request still on its way would look like somebody who came back.
    soon("both watches", async {
        while api.requests("WATCH").len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    drop(copy);
    let watches = api.requests("WATCH").len();
    api.cut(Welcome::Events);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(api.requests("WATCH").len(), watches, "nobody came back");
}
