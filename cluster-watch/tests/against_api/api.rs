//! An API server for tests: list, watch with resume, bookmarks and 410, and every way to fail.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub(crate) const SERVICES: &str = "/api/v1/services";
pub(crate) const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const SERVICE_CIDRS: &str = "/apis/networking.k8s.io/v1/servicecidrs";

/// What a watch that starts meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Welcome {
    /// Events from where it left off.
    Events,
    /// An error event of code 410, as real API servers send.
    GoneEvent,
    /// The HTTP status 410.
    GoneStatus,
}

/// The server. Dropping it stops it.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    store: Arc<Mutex<Store>>,
    /// Counts up when there is something new to send, and when connections are to be cut.
    news: watch::Sender<u64>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Store {
    version: u64,
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// Every event so far, by its version.
    events: Vec<(u64, String, Value)>,
    requests: Vec<String>,
    failing: Vec<String>,
    missing: Vec<(String, StatusCode)>,
    gone: Option<(Welcome, u64)>,
    cuts: u64,
}

impl Api {
    /// A server that is not running yet, at an address nobody else uses: each has its own in
    /// 127/8, so that its port stays free while it is stopped.
    pub(crate) fn stopped() -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = [127, high.max(1), low, COUNT.fetch_add(1, Ordering::Relaxed)];
        Self {
            address: SocketAddr::from((host, 6443)),
            store: Arc::default(),
            news: watch::Sender::new(0),
            runtime: None,
        }
    }

    pub(crate) fn started() -> Self {
        let mut api = Self::stopped();
        api.start();
        api
    }

    pub(crate) fn start(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let state = (self.store.clone(), self.news.subscribe());
        let app = Router::new().fallback(answer).with_state(state);
        let listener = std::net::TcpListener::bind(self.address).expect("an address of our own");
        listener.set_nonblocking(true).expect("a socket");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listening socket");
            axum::serve(listener, app).await
        });
        self.runtime = Some(runtime);
    }

    /// Stops at once: connections close, new ones are refused.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stores an object and tells the watches.
    pub(crate) fn put(&self, path: &str, mut object: Value) {
        let mut store = self.store();
        store.version += 1;
        let version = store.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let objects = store.objects.entry(path.to_owned()).or_default();
        let old = objects.insert(key(&object), object.clone());
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        store.event(path, kind, object);
        self.tell(store);
    }

    pub(crate) fn delete(&self, path: &str, key: &str) {
        let mut store = self.store();
        let old = store
            .objects
            .get_mut(path)
            .and_then(|objects| objects.remove(key));
        store.version += 1;
        let mut old = old.expect("an object to delete");
        old["metadata"]["resourceVersion"] = json!(store.version.to_string());
        store.event(path, "DELETED", old);
        self.tell(store);
    }

    /// Sends a bookmark of a new version on the watches of `path`, and returns that version.
    pub(crate) fn bookmark(&self, path: &str) -> u64 {
        let mut store = self.store();
        store.version += 1;
        let version = store.version;
        let metadata = json!({"resourceVersion": version.to_string()});
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata});
        store.event(path, "BOOKMARK", object);
        self.tell(store);
        version
    }

    /// Ends every watch that runs. Whether one may go on from where it was, `welcome` says;
    /// versions from now on are always good.
    pub(crate) fn cut(&self, welcome: Welcome) {
        let mut store = self.store();
        store.cuts += 1;
        store.version += 1;
        store.gone = (welcome != Welcome::Events).then_some((welcome, store.version));
        self.tell(store);
    }

    /// Lists of `path` fail from now on, or no longer.
    pub(crate) fn fail(&self, path: &str, fails: bool) {
        let mut store = self.store();
        store.failing.retain(|failing| failing != path);
        if fails {
            store.failing.push(path.to_owned());
        }
    }

    /// The server has never heard of `path`, or keeps it to itself.
    pub(crate) fn miss(&self, path: &str, code: StatusCode) {
        self.store().missing.push((path.to_owned(), code));
    }

    /// The requests so far that contain `part`: `LIST path ?query`, `WATCH path ?query`, each
    /// followed by the authorization header.
    pub(crate) fn requests(&self, part: &str) -> Vec<String> {
        let store = self.store();
        store
            .requests
            .iter()
            .filter(|request| request.contains(part))
            .cloned()
            .collect()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    fn tell(&self, store: MutexGuard<'_, Store>) {
        drop(store);
        self.news.send_modify(|count| *count += 1);
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Store {
    fn event(&mut self, path: &str, kind: &str, object: Value) {
        let event = json!({"type": kind, "object": object});
        self.events.push((self.version, path.to_owned(), event));
    }

    /// The events of `path` after version `after`, a line each.
    fn lines_after(&self, path: &str, after: u64) -> String {
        let news = self
            .events
            .iter()
            .filter(|(version, at, _)| *version > after && at == path);
        news.map(|(_, _, event)| format!("{event}\n")).collect()
    }
}

fn key(object: &Value) -> String {
    let metadata = &object["metadata"];
    let part = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", part("namespace"), part("name"))
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

type Shared = (Arc<Mutex<Store>>, watch::Receiver<u64>);

async fn answer(
    State((store, news)): State<Shared>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let watching = query.get("watch").is_some_and(|watch| watch == "true");
    let header = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let line = format!(
        "{} {path} ?{} {}",
        if watching { "WATCH" } else { "LIST" },
        request.uri().query().unwrap_or_default(),
        header.unwrap_or_default()
    );
    lock(&store).requests.push(line);
    if !watching {
        return list(&lock(&store), &path);
    }
    let from = query
        .get("resourceVersion")
        .and_then(|version| version.parse().ok());
    watch_stream(store, news, path, from.unwrap_or(0))
}

fn list(store: &Store, path: &str) -> Response {
    if store.failing.iter().any(|failing| failing == path) {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    if let Some((_, code)) = store.missing.iter().find(|(missing, _)| missing == path) {
        // As a server answers outside of its API.
        return (*code, "404 page not found\n").into_response();
    }
    let items: Vec<_> = store
        .objects
        .get(path)
        .into_iter()
        .flat_map(BTreeMap::values)
        .collect();
    let metadata = json!({"resourceVersion": store.version.to_string()});
    Json(json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
        .into_response()
}

fn watch_stream(
    store: Arc<Mutex<Store>>,
    mut news: watch::Receiver<u64>,
    path: String,
    from: u64,
) -> Response {
    let (cuts, gone) = {
        let store = lock(&store);
        (store.cuts, store.gone.filter(|(_, since)| from < *since))
    };
    match gone {
        Some((Welcome::GoneStatus, _)) => return status(StatusCode::GONE),
        Some(_) => {
            let event = json!({"type": "ERROR", "object": failure(StatusCode::GONE)});
            return Body::from(format!("{event}\n")).into_response();
        }
        None => {}
    }
    news.mark_changed();
    let lines = stream::unfold((store, news, from), move |(store, mut news, after)| {
        let path = path.clone();
        async move {
            loop {
                news.changed().await.ok()?;
                let (lines, version) = {
                    let held = lock(&store);
                    if held.cuts != cuts {
                        return None;
                    }
                    (held.lines_after(&path, after), held.version)
                };
                if !lines.is_empty() {
                    return Some((Ok::<_, Infallible>(lines), (store, news, version)));
                }
            }
        }
    });
    Body::from_stream(lines).into_response()
}

fn status(code: StatusCode) -> Response {
    (code, Json(failure(code))).into_response()
}

fn failure(code: StatusCode) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "as the test asked", "reason": "Expired", "code": code.as_u16(),
    })
}
