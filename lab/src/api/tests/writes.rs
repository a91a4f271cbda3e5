//! POST, PUT, PATCH and DELETE.

use super::{Client, DEPLOYMENTS, MAPS, config_map, deployment};
use crate::store::{Kind, object};
use serde_json::{Value, json};

#[tokio::test]
async fn create_replace_delete() {
    let client = Client::new();
    let created = client.post(MAPS, &config_map("a")).await;
    assert_eq!(created.code, 201);
    assert_eq!(
        client.post(MAPS, &config_map("a")).await.body["reason"],
        "AlreadyExists"
    );
    let mut next = created.body.clone();
    next["data"]["k"] = json!("w");
    let one = format!("{MAPS}/a");
    let replaced = client.put(&one, &next).await;
    assert_eq!(
        (replaced.code, &replaced.body["data"]["k"]),
        (200, &json!("w"))
    );
    let stale = client.put(&one, &created.body).await;
    assert_eq!(
        (stale.code, &stale.body["reason"]),
        (409, &json!("Conflict"))
    );
    let other_name = client.put(&one, &config_map("b")).await;
    assert_eq!(other_name.code, 400);
    let deleted = client
        .delete(&one, &json!({"propagationPolicy": "Background"}))
        .await;
    assert_eq!(deleted.body["status"], "Success");
    assert_eq!(
        deleted.body["details"]["uid"],
        created.body["metadata"]["uid"]
    );
    assert_eq!(client.delete(&one, &Value::Null).await.code, 404);
}

#[tokio::test]
async fn bodies_that_are_refused() {
    let client = Client::new();
    let elsewhere = json!({"metadata": {"name": "a", "namespace": "other"}});
    let nowhere = "/api/v1/namespaces/nowhere/configmaps";
    let strict = format!("{MAPS}?fieldValidation=Strict");
    let unknown = json!({"metadata": {"name": "a"}, "datum": {}});
    let rows = [
        (MAPS, json!({"kind": "Pod", "metadata": {"name": "a"}}), 400),
        (MAPS, elsewhere, 400),
        (nowhere, config_map("a"), 404),
        (
            MAPS,
            json!({"metadata": {"name": "a"}, "data": {"k": 1}}),
            400,
        ),
        (MAPS, json!({"metadata": {"name": "A"}}), 422),
        (MAPS, json!([]), 400),
        (strict.as_str(), unknown.clone(), 400),
        ("/api/v1/configmaps", config_map("a"), 400),
    ];
    for (uri, body, code) in rows {
        assert_eq!(client.post(uri, &body).await.code, code, "{uri} {body}");
    }
    let warned = client.post(MAPS, &unknown).await;
    assert_eq!(warned.code, 201);
    assert_eq!(
        warned.headers["warning"],
        "299 - \"unknown field \\\"datum\\\"\""
    );
    assert_eq!(warned.body["datum"], Value::Null);
}

#[tokio::test]
async fn four_patches() {
    let client = Client::new();
    assert_eq!(client.post(DEPLOYMENTS, &deployment("web")).await.code, 201);
    let one = format!("{DEPLOYMENTS}/web");
    let container = |body: Value| json!({"spec": {"template": {"spec": {"containers": [body]}}}});
    let mut applied = deployment("web");
    applied["spec"]["template"]["spec"]["containers"][0] = json!({"name": "web", "image": "web:5"});
    let image = "/spec/template/spec/containers/0/image";
    // (patch format, patch, image afterwards, number of variables afterwards)
    let rows = [
        (
            "json-patch",
            json!([{"op": "replace", "path": image, "value": "web:2"}]),
            "web:2",
            1,
        ),
        (
            "strategic-merge-patch",
            container(
                json!({"name": "web", "image": "web:3", "env": [{"name": "B", "value": "2"}]}),
            ),
            "web:3",
            2,
        ),
        ("apply", applied, "web:5", 2),
        (
            "merge-patch",
            container(json!({"name": "web", "image": "web:4"})),
            "web:4",
            0,
        ),
    ];
    for (format, patch, expected, variables) in rows {
        let uri = format!("{one}?fieldManager=test");
        let answer = client.patch(&uri, format, &patch).await;
        assert_eq!(answer.code, 200, "{format}: {}", answer.body);
        let container = &answer.body["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], expected, "{format}");
        assert_eq!(
            object::items(&container["env"]).len(),
            variables,
            "{format}"
        );
    }
    let unknown_format = client.patch(&one, "odd-patch", &json!({})).await;
    assert_eq!(unknown_format.code, 415);
    let missing = client
        .patch(&format!("{DEPLOYMENTS}/x"), "merge-patch", &json!({}))
        .await;
    assert_eq!(missing.code, 404);
    let invalid = client
        .patch(&one, "merge-patch", &json!({"spec": {"replicas": -1}}))
        .await;
    assert_eq!(invalid.body["reason"], "Invalid");
    let renamed = client
        .patch(&one, "merge-patch", &json!({"metadata": {"name": "b"}}))
        .await;
    assert_eq!(renamed.code, 400);
}

#[tokio::test]
async fn apply_creates_what_is_missing() {
    let client = Client::new();
    let one = format!("{MAPS}/a");
    assert_eq!(
        client.patch(&one, "apply", &config_map("a")).await.code,
        422,
        "no manager"
    );
    let uri = format!("{one}?fieldManager=test");
    assert_eq!(
        client.patch(&uri, "apply", &config_map("a")).await.code,
        201
    );
    assert_eq!(
        client.patch(&uri, "apply", &config_map("a")).await.code,
        200
    );
    assert_eq!(
        client.patch(&uri, "apply", &config_map("b")).await.code,
        400
    );
    assert_eq!(
        client.patch(&uri, "apply", &deployment("a")).await.code,
        400
    );
}

#[tokio::test]
async fn spec_and_status_are_written_apart() {
    let client = Client::new();
    let mut object = deployment("web");
    object["status"] = json!({"replicas": 9});
    let created = client.post(DEPLOYMENTS, &object).await.body;
    assert_eq!(
        created["status"],
        Value::Null,
        "a status is not the user's to write"
    );
    let one = format!("{DEPLOYMENTS}/web");
    let patch = json!({"spec": {"replicas": 5}, "status": {"replicas": 5}});
    let status = client
        .patch(&format!("{one}/status"), "merge-patch", &patch)
        .await
        .body;
    assert_eq!(
        (&status["spec"]["replicas"], &status["status"]["replicas"]),
        (&json!(1), &json!(5))
    );
    let patch = json!({"spec": {"replicas": 3}, "status": {"replicas": 3}});
    let main = client.patch(&one, "merge-patch", &patch).await.body;
    assert_eq!(
        (&main["spec"]["replicas"], &main["status"]["replicas"]),
        (&json!(3), &json!(5))
    );
}

#[tokio::test]
async fn scale() {
    let client = Client::new();
    client.post(DEPLOYMENTS, &deployment("web")).await;
    let uri = format!("{DEPLOYMENTS}/web/scale");
    let mut scale = client.get(&uri).await.body;
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"]),
        (&json!("Scale"), &json!(1))
    );
    scale["spec"]["replicas"] = json!(4);
    assert_eq!(client.put(&uri, &scale).await.body["spec"]["replicas"], 4);
    assert_eq!(
        client.put(&uri, &scale).await.code,
        409,
        "the version has moved on"
    );
    let patched = client
        .patch(&uri, "merge-patch", &json!({"spec": {"replicas": 2}}))
        .await;
    assert_eq!(patched.body["spec"]["replicas"], 2);
    let stored = client
        .api
        .store
        .get(Kind::Deployment, "default", "web")
        .expect("there");
    assert_eq!(stored["spec"]["replicas"], 2);
    assert_eq!(
        client
            .patch(&uri, "merge-patch", &json!({"spec": {"replicas": "x"}}))
            .await
            .code,
        400
    );
}

#[tokio::test]
async fn a_binding_gives_a_pod_its_node_once() {
    let client = Client::new();
    let pods = "/api/v1/namespaces/default/pods";
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    client.post(pods, &pod).await;
    let binding = json!({"target": {"kind": "Node", "name": "n1"}});
    let uri = format!("{pods}/p/binding");
    assert_eq!(client.post(&uri, &binding).await.code, 201);
    assert_eq!(client.post(&uri, &binding).await.code, 409);
    assert_eq!(
        client.get(&format!("{pods}/p")).await.body["spec"]["nodeName"],
        "n1"
    );
    // On its node the pod goes gracefully, and is shown while it does.
    let deleted = client
        .delete(&format!("{pods}/p?gracePeriodSeconds=5"), &Value::Null)
        .await;
    assert_eq!(deleted.body["metadata"]["deletionGracePeriodSeconds"], 5);
    assert_eq!(client.get(&format!("{pods}/p")).await.code, 200);
    client
        .delete(&format!("{pods}/p"), &json!({"gracePeriodSeconds": 0}))
        .await;
    assert_eq!(client.get(&format!("{pods}/p")).await.code, 404);
}

#[tokio::test]
async fn dry_runs_and_collections() {
    let client = Client::new();
    assert_eq!(
        client
            .post(&format!("{MAPS}?dryRun=All"), &config_map("a"))
            .await
            .code,
        201
    );
    assert_eq!(client.get(&format!("{MAPS}/a")).await.code, 404);
    for name in ["a", "b", "c"] {
        client.post(MAPS, &config_map(name)).await;
    }
    let deleted = client
        .delete(
            &format!("{MAPS}?fieldSelector=metadata.name!%3Db"),
            &Value::Null,
        )
        .await;
    assert_eq!(deleted.body["items"].as_array().map(Vec::len), Some(2));
    let left = client.get(MAPS).await.body;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_event_written_by_its_newer_name_is_read_by_the_other() {
    let client = Client::new();
    let newer = "/apis/events.k8s.io/v1/namespaces/default/events";
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "a.1"},
        "regarding": {"kind": "Node", "name": "n", "uid": "n"}, "note": "words",
        "reason": "R", "action": "A", "type": "Warning", "reportingController": "c",
        "reportingInstance": "i", "eventTime": "2026-01-01T00:00:00.000000Z",
    });
    let strict = format!("{newer}?fieldValidation=Strict");
    let created = client.post(&strict, &event).await;
    assert_eq!(
        (created.code, &created.body["note"]),
        (201, &json!("words"))
    );
    assert_eq!(created.body["apiVersion"], "events.k8s.io/v1");
    let one = format!("{newer}/a.1");
    let series = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event",
        "note": "more words", "series": {"count": 2}});
    let patched = client.patch(&one, "merge-patch", &series).await;
    assert_eq!(
        (patched.code, &patched.body["note"]),
        (200, &json!("more words"))
    );
    let read = client.get("/api/v1/namespaces/default/events/a.1").await;
    assert_eq!(read.body["involvedObject"]["name"], "n");
    assert_eq!(read.body["message"], "more words");
    assert_eq!(read.body["series"]["count"], 2);
    assert_eq!(client.get(newer).await.code, 501);
}
