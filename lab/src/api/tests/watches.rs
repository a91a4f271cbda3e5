//! Watches as kubectl and kube-rs use them.

use super::{Client, Events, MAPS, TABLE, config_map, labelled};
use crate::store::Config;
use serde_json::{Value, json};

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"]
        .as_str()
        .expect("a version")
        .to_owned()
}

fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn list_then_watch_misses_nothing_and_repeats_nothing() {
    let client = Client::new();
    client.post(MAPS, &config_map("a")).await;
    let since = version(&client.get(&format!("{MAPS}?limit=500")).await.body);
    client.post(MAPS, &config_map("b")).await;
    let uri = format!("{MAPS}?watch=true&timeoutSeconds=290&allowWatchBookmarks=true");
    let mut events = client
        .watch(&format!("{uri}&resourceVersion={since}"))
        .await;
    assert_eq!(events.change().await, event("ADDED", "b"));
    client
        .patch(
            &format!("{MAPS}/a"),
            "merge-patch",
            &json!({"data": {"k": "w"}}),
        )
        .await;
    assert_eq!(events.change().await, event("MODIFIED", "a"));
    client.delete(&format!("{MAPS}/b"), &json!({})).await;
    assert_eq!(events.change().await, event("DELETED", "b"));
}

/// kube-rs resumes from the last bookmark after a broken connection.
#[tokio::test]
async fn bookmarks_come_by_themselves_and_can_be_resumed_from() {
    let client = Client::new();
    let since = version(&client.get(MAPS).await.body);
    let uri = format!("{MAPS}?watch=1&allowWatchBookmarks=1");
    let mut events = client
        .watch(&format!("{uri}&resourceVersion={since}"))
        .await;
    // Other kinds move on: the bookmark does too, so that this watch never grows old.
    client
        .post("/api/v1/namespaces", &json!({"metadata": {"name": "n"}}))
        .await;
    let bookmark = loop {
        let event = events.next().await.expect("the watch goes on");
        assert_eq!(event["type"], "BOOKMARK");
        assert_eq!(event["object"]["kind"], "ConfigMap");
        if version(&event["object"]) != since {
            break version(&event["object"]);
        }
    };
    drop(events);
    client.post(MAPS, &config_map("a")).await;
    let mut events = client
        .watch(&format!("{uri}&resourceVersion={bookmark}"))
        .await;
    assert_eq!(events.change().await, event("ADDED", "a"));
}

#[tokio::test]
async fn no_bookmarks_unless_asked_for() {
    let client = Client::new();
    let mut events = client
        .watch(&format!("{MAPS}?watch=1&timeoutSeconds=1"))
        .await;
    assert_eq!(events.next().await, None, "the watch ends by its timeout");
}

#[tokio::test]
async fn without_a_version_it_begins_with_what_is_there() {
    for query in ["watch=1", "watch=1&resourceVersion=0"] {
        let client = Client::new();
        client.post(MAPS, &config_map("a")).await;
        let mut events = client.watch(&format!("{MAPS}?{query}")).await;
        assert_eq!(events.change().await, event("ADDED", "a"), "{query}");
    }
}

#[tokio::test]
async fn a_version_too_old_is_an_error_event() {
    let client = Client::with(&Config {
        history: 1,
        ..Config::default()
    });
    let since = version(&client.get(MAPS).await.body);
    let mut slow = client
        .watch(&format!("{MAPS}?watch=1&resourceVersion={since}"))
        .await;
    for name in ["a", "b", "c"] {
        client.post(MAPS, &config_map(name)).await;
    }
    for version in [since.as_str(), "99999"] {
        let mut events = client
            .watch(&format!("{MAPS}?watch=1&resourceVersion={version}"))
            .await;
        assert_expired(&mut events).await;
    }
    assert_expired(&mut slow).await;
}

async fn assert_expired(events: &mut Events) {
    let event = events.next().await.expect("an event");
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["kind"], "Status");
    assert_eq!(event["object"]["code"], 410);
    assert_eq!(event["object"]["reason"], "Expired");
    assert_eq!(events.next().await, None, "the watch is over");
}

#[tokio::test]
async fn streamed_lists_end_with_a_marked_bookmark() {
    let client = Client::new();
    client.post(MAPS, &config_map("a")).await;
    let uri = format!("{MAPS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true");
    assert_eq!(
        client.get(&uri).await.code,
        422,
        "resourceVersionMatch is missing"
    );
    let mut events = client
        .watch(&format!("{uri}&resourceVersionMatch=NotOlderThan"))
        .await;
    assert_eq!(events.next().await.expect("an event")["type"], "ADDED");
    let end = events.next().await.expect("an event");
    assert_eq!(end["type"], "BOOKMARK");
    let annotations = &end["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn selectors_make_objects_come_and_go() {
    let client = Client::new();
    let since = version(&client.get(MAPS).await.body);
    let selected = format!("{MAPS}?watch=1&resourceVersion={since}&labelSelector=app%3Dweb");
    let mut events = client.watch(&selected).await;
    client.post(MAPS, &labelled("a", "db")).await;
    client.post(MAPS, &labelled("b", "web")).await;
    let relabel = |app: &str| json!({"metadata": {"labels": {"app": app}}});
    client
        .patch(&format!("{MAPS}/a"), "merge-patch", &relabel("web"))
        .await;
    client
        .patch(&format!("{MAPS}/b"), "merge-patch", &relabel("db"))
        .await;
    client.delete(&format!("{MAPS}/b"), &json!({})).await;
    client.delete(&format!("{MAPS}/a"), &json!({})).await;
    let expected = [
        ("ADDED", "b"),
        ("ADDED", "a"),
        ("DELETED", "b"),
        ("DELETED", "a"),
    ];
    for (kind, name) in expected {
        assert_eq!(events.change().await, event(kind, name));
    }
    let mut one = client
        .watch(&format!("{MAPS}/a?watch=1&resourceVersion={since}"))
        .await;
    assert_eq!(
        one.change().await,
        event("ADDED", "a"),
        "a watch on one name"
    );
}

#[tokio::test]
async fn tables_come_row_by_row() {
    let client = Client::new().accepting(TABLE);
    let mut events = client.watch(&format!("{MAPS}?watch=1")).await;
    client.post(MAPS, &config_map("a")).await;
    client.post(MAPS, &config_map("b")).await;
    let first = events.next().await.expect("an event");
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    assert!(first["object"]["columnDefinitions"].is_array());
    let second = events.next().await.expect("an event");
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
    assert!(second["object"]["columnDefinitions"].is_null());
}

#[tokio::test]
async fn closing_the_listener_ends_its_watches() {
    let client = Client::new();
    let mut events = client.watch(&format!("{MAPS}?watch=1")).await;
    client.closing.cancel();
    assert_eq!(events.next().await, None);
}
