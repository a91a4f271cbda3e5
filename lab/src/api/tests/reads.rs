//! GET: objects, lists, tables, discovery, and what is refused.

use super::{Client, MAPS, TABLE, config_map, labelled};
use crate::store::Kind;
use serde_json::json;

#[tokio::test]
async fn lists_and_objects() {
    let client = Client::new();
    for (name, app) in [("a", "web"), ("b", "web"), ("c", "db")] {
        assert_eq!(client.post(MAPS, &labelled(name, app)).await.code, 201);
    }
    // (query, names)
    let rows = [
        ("", "a b c"),
        ("?limit=1", "a b c"),
        ("?labelSelector=app%3Dweb", "a b"),
        ("?labelSelector=app%20in%20(db,x)", "c"),
        ("?labelSelector=!app", ""),
        ("?fieldSelector=metadata.name%3Db", "b"),
        (
            "?labelSelector=app%3Dweb&fieldSelector=metadata.name!%3Db",
            "a",
        ),
        ("?resourceVersion=0", "a b c"),
    ];
    for (query, expected) in rows {
        let list = client.get(&format!("{MAPS}{query}")).await.body;
        let names: Vec<&str> = list["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(crate::store::object::name)
            .collect();
        assert_eq!(names.join(" "), expected, "{query}");
        assert_eq!(list["kind"], "ConfigMapList");
    }
    let one = client.get(&format!("{MAPS}/a")).await;
    assert_eq!((one.code, &one.body["kind"]), (200, &json!("ConfigMap")));
    let all = client.get("/api/v1/configmaps").await.body;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(3));
    let version: u64 = all["metadata"]["resourceVersion"]
        .as_str()
        .expect("text")
        .parse()
        .expect("a number");
    assert_eq!(
        version,
        client
            .api
            .store
            .list(Kind::ConfigMap, None)
            .resource_version
    );
}

#[tokio::test]
async fn refusals_are_statuses() {
    let client = Client::new();
    let rows = [
        ("GET", format!("{MAPS}/nothing"), 404, "NotFound"),
        ("GET", "/api/v1/widgets".to_owned(), 404, "NotFound"),
        ("GET", "/nothing".to_owned(), 404, "NotFound"),
        ("PUT", MAPS.to_owned(), 405, "MethodNotAllowed"),
        ("POST", "/version".to_owned(), 405, "MethodNotAllowed"),
        (
            "GET",
            format!("{MAPS}?labelSelector=a%20b"),
            400,
            "BadRequest",
        ),
        (
            "GET",
            format!("{MAPS}?fieldSelector=data.k%3Dv"),
            400,
            "BadRequest",
        ),
        (
            "GET",
            format!("{MAPS}?resourceVersion=x"),
            400,
            "BadRequest",
        ),
        (
            "GET",
            format!("{MAPS}?resourceVersion=99999"),
            410,
            "Expired",
        ),
        (
            "GET",
            format!("{MAPS}?resourceVersion=1&resourceVersionMatch=Exact"),
            410,
            "Expired",
        ),
        ("GET", format!("{MAPS}?continue=abc"), 410, "Expired"),
        (
            "GET",
            "/api/v1/namespaces/default/pods/a/log".to_owned(),
            501,
            "NotImplemented",
        ),
        (
            "POST",
            "/api/v1/namespaces/default/pods/a/exec".to_owned(),
            501,
            "NotImplemented",
        ),
        (
            "POST",
            "/api/v1/namespaces/default/pods/a/scale".to_owned(),
            404,
            "NotFound",
        ),
        ("BREW", MAPS.to_owned(), 405, "MethodNotAllowed"),
    ];
    for (method, uri, code, reason) in rows {
        let answer = client.call(method, &uri, ("", String::new())).await;
        assert_eq!(answer.code, code, "{method} {uri}");
        assert_eq!(answer.body["kind"], "Status", "{method} {uri}");
        assert_eq!(answer.body["reason"], reason, "{method} {uri}");
        assert_eq!(answer.body["code"], code, "{method} {uri}");
    }
    let protobuf = Client::new().accepting("application/vnd.kubernetes.protobuf");
    assert_eq!(protobuf.get(MAPS).await.code, 406);
}

#[tokio::test]
async fn tables_and_metadata() {
    let client = Client::new().accepting(TABLE);
    client.post(MAPS, &config_map("a")).await;
    let table = client.get(MAPS).await.body;
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(
        table["rows"][0]["object"]["metadata"]["namespace"],
        "default"
    );
    let whole = client
        .get(&format!("{MAPS}/a?includeObject=Object"))
        .await
        .body;
    assert_eq!(whole["rows"][0]["object"]["data"]["k"], "v");
    let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let client = client.accepting(metadata);
    let list = client.get(MAPS).await.body;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["data"], serde_json::Value::Null);
}

#[tokio::test]
async fn the_server_describes_itself() {
    let client = Client::new();
    let rows = [
        ("/version", "/gitVersion", "v1.32.0+flatnet-lab"),
        ("/api", "/kind", "APIVersions"),
        ("/apis", "/kind", "APIGroupList"),
        ("/apis/apps", "/kind", "APIGroup"),
        ("/api/v1", "/kind", "APIResourceList"),
        (
            "/apis/discovery.k8s.io/v1",
            "/resources/0/name",
            "endpointslices",
        ),
        (
            "/openapi/v3",
            "/paths/apis~1apps~1v1/serverRelativeURL",
            "/openapi/v3/apis/apps/v1?hash=0.1.0",
        ),
        ("/openapi/v3/apis/apps/v1?hash=x", "/openapi", "3.0.0"),
    ];
    for (uri, pointer, expected) in rows {
        let answer = client.get(uri).await;
        assert_eq!(answer.code, 200, "{uri}");
        assert_eq!(
            answer.body.pointer(pointer),
            Some(&json!(expected)),
            "{uri}"
        );
    }
    for probe in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(client.get(probe).await.code, 200, "{probe}");
    }
    let aggregated = client
        .accepting(crate::api::accept::AGGREGATED)
        .get("/apis")
        .await;
    assert_eq!(aggregated.body["kind"], "APIGroupDiscoveryList");
    assert_eq!(
        aggregated.headers["content-type"],
        crate::api::accept::AGGREGATED
    );
}
