//! Bodies of every media type, and bodies that are broken: an answer always comes.

use super::{Client, DEPLOYMENTS, MAPS};
use serde_json::json;

#[tokio::test]
async fn yaml_is_read() {
    let client = Client::new();
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n";
    let answer = client
        .call("POST", MAPS, ("application/yaml", yaml.to_owned()))
        .await;
    assert_eq!((answer.code, &answer.body["data"]["k"]), (201, &json!("v")));
    let uri = format!("{MAPS}/b?fieldManager=x");
    let yaml = yaml.replace("name: a", "name: b");
    let answer = client
        .call("PATCH", &uri, ("application/apply-patch+yaml", yaml))
        .await;
    assert_eq!(answer.code, 201);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let client = Client::new();
    let rows = [
        ("POST", "text/plain", "x", 415),
        ("POST", "application/json", "{", 400),
        ("POST", "application/json; charset=utf-8", "{}", 422),
        ("POST", "application/yaml", "a: [", 400),
        (
            "DELETE",
            "application/json",
            "{\"propagationPolicy\":\"Maybe\"}",
            400,
        ),
    ];
    for (method, media_type, body, code) in rows {
        let answer = client
            .call(method, MAPS, (media_type, body.to_owned()))
            .await;
        assert_eq!(
            answer.code, code,
            "{method} {media_type} {body}: {}",
            answer.body
        );
        assert_eq!(answer.body["kind"], "Status");
    }
    let huge = "x".repeat(4 * 1024 * 1024);
    assert_eq!(
        client
            .call("POST", MAPS, ("application/json", huge))
            .await
            .code,
        413
    );
}

/// Every odd body against every way to write: none may panic, all must answer.
#[tokio::test]
async fn odd_bodies_get_an_answer() {
    let odd = [
        json!(null),
        json!(1),
        json!("x"),
        json!([1, {}]),
        json!({"metadata": 1}),
        json!({"metadata": {"name": 1, "labels": [], "ownerReferences": [1]}}),
        json!({"metadata": {"name": "x", "finalizers": "x"}, "spec": []}),
        json!({"metadata": {"name": "x"}, "spec": {"template": 1, "selector": [], "ports": {}}}),
        json!({"metadata": {"name": "x"}, "spec": {"containers": [{"ports": [{}]}], "replicas": 1e99}}),
        json!([{"op": "add", "path": "/metadata", "value": 1}]),
        json!([{"op": "remove", "path": "/spec"}]),
        json!([{"op": "replace", "path": "", "value": 7}]),
    ];
    let media_types = [
        "application/json",
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ];
    let kinds = [
        "services",
        "pods",
        "configmaps",
        "serviceaccounts",
        "events",
    ]
    .map(|plural| format!("/api/v1/namespaces/default/{plural}"));
    let cluster = ["nodes", "namespaces"].map(|plural| format!("/api/v1/{plural}"));
    let collections = kinds
        .into_iter()
        .chain(cluster)
        .chain([DEPLOYMENTS.to_owned()]);
    let client = Client::new();
    client.post(DEPLOYMENTS, &super::deployment("x")).await;
    client.post(MAPS, &super::config_map("x")).await;
    for collection in collections {
        for body in &odd {
            for media_type in media_types {
                for (method, part) in [
                    ("POST", ""),
                    ("PUT", "/x"),
                    ("PATCH", "/x"),
                    ("PATCH", "/x/status"),
                    ("PATCH", "/x/scale"),
                ] {
                    let uri = format!("{collection}{part}?fieldManager=m");
                    let answer = client
                        .call(method, &uri, (media_type, body.to_string()))
                        .await;
                    assert!(
                        answer.code >= 200 && answer.code < 500,
                        "{method} {uri} {body}"
                    );
                }
            }
        }
    }
}
