//! The API over HTTP messages, without a socket: one [`Client`] a test, its own store behind it.

mod bodies;
mod reads;
mod watches;
mod writes;

use super::{Api, Closing, Settings, dispatch};
use crate::store::{Config, Store};
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// A client of a store of its own.
struct Client {
    api: Api,
    closing: CancellationToken,
    accept: &'static str,
}

/// An answer, read to its end.
struct Answer {
    code: u16,
    headers: HeaderMap,
    body: Value,
}

impl Client {
    fn new() -> Client {
        Client::with(&Config::default())
    }

    fn with(config: &Config) -> Client {
        let settings = Settings {
            bookmark_interval: Duration::from_millis(20),
        };
        let api = Api {
            store: Store::new(config),
            settings,
        };
        Client {
            api,
            closing: CancellationToken::new(),
            accept: "application/json",
        }
    }

    fn accepting(mut self, accept: &'static str) -> Client {
        self.accept = accept;
        self
    }

    async fn response(
        &self,
        method: &str,
        uri: &str,
        body: (&str, String),
    ) -> (StatusCode, HeaderMap, Body) {
        let (media_type, body) = body;
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("accept", self.accept)
            .header("content-type", media_type)
            .extension(Closing(self.closing.clone()))
            .body(Body::from(body))
            .expect("a request");
        let response = dispatch::handle(State(self.api.clone()), request).await;
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, body)
    }

    async fn call(&self, method: &str, uri: &str, body: (&str, String)) -> Answer {
        let (code, headers, body) = self.response(method, uri, body).await;
        let bytes = to_bytes(body, usize::MAX).await.expect("a body");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer {
            code: code.as_u16(),
            headers,
            body,
        }
    }

    async fn get(&self, uri: &str) -> Answer {
        self.call("GET", uri, ("", String::new())).await
    }

    async fn post(&self, uri: &str, body: &Value) -> Answer {
        self.call("POST", uri, ("application/json", body.to_string()))
            .await
    }

    async fn put(&self, uri: &str, body: &Value) -> Answer {
        self.call("PUT", uri, ("application/json", body.to_string()))
            .await
    }

    async fn patch(&self, uri: &str, kind: &str, body: &Value) -> Answer {
        let media_type = match kind {
            "apply" => "application/apply-patch+yaml".to_owned(),
            kind => format!("application/{kind}+json"),
        };
        self.call("PATCH", uri, (&media_type, body.to_string()))
            .await
    }

    async fn delete(&self, uri: &str, options: &Value) -> Answer {
        self.call("DELETE", uri, ("application/json", options.to_string()))
            .await
    }

    async fn watch(&self, uri: &str) -> Events {
        let (code, _, body) = self.response("GET", uri, ("", String::new())).await;
        assert_eq!(code, StatusCode::OK, "{uri}");
        Events {
            stream: body.into_data_stream(),
            lines: Vec::new(),
        }
    }
}

/// The events of a watch.
struct Events {
    stream: BodyDataStream,
    lines: Vec<String>,
}

impl Events {
    /// The next event, or none at the end of the watch.
    async fn next(&mut self) -> Option<Value> {
        while self.lines.is_empty() {
            let next = tokio::time::timeout(Duration::from_secs(10), self.stream.next());
            let chunk = next
                .await
                .expect("an event within ten seconds")?
                .expect("a chunk");
            let text = String::from_utf8(chunk.to_vec()).expect("text");
            self.lines = text.lines().rev().map(str::to_owned).collect();
        }
        self.lines
            .pop()
            .map(|line| serde_json::from_str(&line).expect("JSON"))
    }

    /// The next event but bookmarks: its type and the name of its object.
    async fn change(&mut self) -> (String, String) {
        loop {
            let event = self.next().await.expect("the watch goes on");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if event["type"] != "BOOKMARK" {
                return (
                    text(&event["type"]),
                    text(&event["object"]["metadata"]["name"]),
                );
            }
        }
    }
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "v"}})
}

fn labelled(name: &str, app: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": app}}})
}

fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [
            {"name": "web", "image": "web:1", "env": [{"name": "A", "value": "1"}]},
        ]}},
    }})
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
