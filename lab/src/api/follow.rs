//! Watches over HTTP: a response that never ends, one JSON event a line.
//!
//! A watch costs nothing while nothing happens: it sleeps until the store wakes it, and now and then
//! sends a bookmark.

use super::accept::Representation;
use super::call::Call;
use super::field_selector::FieldSelector;
use super::table::{self, Include, table};
use super::{read, respond};
use crate::store::selector::Selector;
use crate::store::{ApiError, Cause, Change, ChangeKind, Kind, Watch, clock, object};
use axum::body::Bytes;
use axum::response::Response;
use futures::Stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// GET with `watch=true`; `name` narrows it to one object.
pub(super) fn watch(
    call: &Call,
    kind: Kind,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<Response, ApiError> {
    let query = &call.query;
    query.fields.check(kind)?;
    let streaming_list = check_initial_events(call)?;
    let since = starting_point(call, kind, namespace)?;
    let follower = Follower {
        watch: call.api.store.watch(kind, namespace, since),
        filter: Filter {
            labels: query.labels.clone(),
            fields: query.fields.clone(),
            name: name.map(str::to_owned),
        },
        writer: EventWriter {
            kind,
            representation: call.representation,
            include: query.include,
            columns_are_known: false,
        },
        bookmark_interval: query
            .bookmarks
            .then_some(call.api.settings.bookmark_interval),
        end_of_initial_events: streaming_list,
        deadline: Instant::now() + query.timeout.unwrap_or_else(default_timeout),
        closing: call.closing.clone(),
        ended: false,
    };
    Ok(respond::stream(follower.into_chunks()))
}

/// Where the watch starts; `None` is with all present objects.
fn starting_point(
    call: &Call,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<Option<u64>, ApiError> {
    let since = read::version(&call.query.resource_version)?;
    Ok(match call.query.send_initial_events {
        Some(true) => None,
        Some(false) if since.is_none() => {
            Some(call.api.store.list(kind, namespace).resource_version)
        }
        _ => since,
    })
}

/// Whether the watch begins with a streamed list (KEP-3157), whose end a bookmark marks.
fn check_initial_events(call: &Call) -> Result<bool, ApiError> {
    let query = &call.query;
    if query.send_initial_events.is_some() && query.resource_version_match != "NotOlderThan" {
        return Err(ApiError::Invalid {
            kind: "ListOptions.meta.k8s.io".to_owned(),
            name: String::new(),
            causes: vec![Cause {
                reason: "FieldValueForbidden",
                field: "resourceVersionMatch".to_owned(),
                message: "Forbidden: sendInitialEvents requires setting resourceVersionMatch to \
                          NotOlderThan"
                    .to_owned(),
            }],
        });
    }
    Ok(query.send_initial_events == Some(true))
}

/// Between half an hour and a whole, so that not all clients come back at once.
fn default_timeout() -> Duration {
    Duration::from_secs(1800 + fastrand::u64(..1800))
}

struct Follower {
    watch: Result<Watch, ApiError>,
    filter: Filter,
    writer: EventWriter,
    /// `None` if the client wants no bookmarks.
    bookmark_interval: Option<Duration>,
    /// The bookmark that ends the initial events is still to be sent.
    end_of_initial_events: bool,
    deadline: Instant,
    closing: CancellationToken,
    ended: bool,
}

/// Events that go out in one piece, at most.
const BATCH: usize = 256;

impl Follower {
    fn into_chunks(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        futures::stream::unfold(self, |mut follower| async {
            let chunk = follower.next_chunk().await?;
            Some((Ok(chunk), follower))
        })
    }

    /// Events to send next, as soon as there are any; `None` at the end of the watch.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        while !self.ended {
            match self.ready() {
                Ok(chunk) if chunk.is_empty() => (),
                Ok(chunk) => return Some(chunk.into()),
                Err(error) => {
                    self.ended = true;
                    return Some(self.writer.line("ERROR", &error.status()).into());
                }
            }
            if let Some(chunk) = self.wait().await {
                return Some(chunk.into());
            }
        }
        None
    }

    /// What can be sent without waiting.
    fn ready(&mut self) -> Result<String, ApiError> {
        let watch = self.watch.as_mut().map_err(|error| error.clone())?;
        let mut chunk = String::new();
        for _ in 0..BATCH {
            match watch.try_next()? {
                Some(change) => {
                    if let Some((event, object)) = self.filter.view(&change) {
                        chunk.push_str(&self.writer.event(event, &object));
                    }
                }
                None => {
                    if std::mem::take(&mut self.end_of_initial_events)
                        && let Some(revision) = watch.bookmark()?
                    {
                        chunk.push_str(&self.writer.bookmark(revision, true));
                    }
                    break;
                }
            }
        }
        Ok(chunk)
    }

    /// Sleeps until there is news (nothing returned), or a bookmark is due (returned), or the watch
    /// ends.
    async fn wait(&mut self) -> Option<String> {
        let Ok(watch) = self.watch.as_mut() else {
            return None;
        };
        let interval = self.bookmark_interval;
        tokio::select! {
            () = self.closing.cancelled() => self.ended = true,
            () = tokio::time::sleep_until(self.deadline) => self.ended = true,
            () = watch.ready() => (),
            () = tokio::time::sleep(interval.unwrap_or_default()), if interval.is_some() => {
                // An error shows again, as an event, when the watch is read next.
                if let Ok(Some(revision)) = watch.bookmark() {
                    return Some(self.writer.bookmark(revision, false));
                }
            }
        }
        None
    }
}

/// What this watch is about.
struct Filter {
    labels: Selector,
    fields: FieldSelector,
    name: Option<String>,
}

impl Filter {
    fn matches(&self, object: &Value) -> bool {
        self.labels.matches(&object["metadata"]["labels"])
            && self.fields.matches(object)
            && self
                .name
                .as_deref()
                .is_none_or(|name| object::name(object) == name)
    }

    /// A change as seen through the filter: what starts to match appears, what stops to match goes.
    fn view(&self, change: &Change) -> Option<(&'static str, Value)> {
        let is = change.kind != ChangeKind::Deleted && self.matches(&change.object);
        let was = change
            .previous
            .as_ref()
            .is_some_and(|previous| self.matches(previous));
        let now = || change.object.as_ref().clone();
        match (was, is) {
            (false, false) => None,
            (false, true) => Some(("ADDED", now())),
            (true, true) => Some(("MODIFIED", now())),
            (true, false) if change.kind == ChangeKind::Deleted => Some(("DELETED", now())),
            (true, false) => {
                // As it was when it last matched, at the version of the change.
                let mut last = change.previous.as_ref().map(|p| p.as_ref().clone())?;
                last["metadata"]["resourceVersion"] = change.revision.to_string().into();
                Some(("DELETED", last))
            }
        }
    }
}

/// How events are written.
struct EventWriter {
    kind: Kind,
    representation: Representation,
    include: Include,
    /// The columns of a table come with the first event only.
    columns_are_known: bool,
}

impl EventWriter {
    fn event(&mut self, event: &str, object: &Value) -> String {
        let shown = match self.representation {
            Representation::Table => {
                let version = json!({"resourceVersion": object::resource_version(object)});
                let mut table = table(self.kind, &[object], &version, self.include, clock::now());
                if std::mem::replace(&mut self.columns_are_known, true) {
                    table["columnDefinitions"] = Value::Null;
                }
                &table.clone()
            }
            Representation::Metadata => &table::metadata_only(object),
            Representation::Objects | Representation::AggregatedDiscovery => object,
        };
        self.line(event, shown)
    }

    fn bookmark(&self, revision: u64, ends_initial_events: bool) -> String {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if ends_initial_events {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let (kind, api_version) = match self.representation {
            Representation::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1".to_owned()),
            _ => (self.kind.registration().name, self.kind.api_version()),
        };
        let object = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata});
        self.line("BOOKMARK", &object)
    }

    fn line(&self, event: &str, object: &Value) -> String {
        format!("{{\"type\":\"{event}\",\"object\":{object}}}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_filtered_watch_shows_what_comes_and_goes() {
        let filter = Filter {
            labels: Selector::parse("app=web").expect("valid"),
            fields: FieldSelector::default(),
            name: None,
        };
        let pod = |app: &str| Arc::new(json!({"metadata": {"labels": {"app": app}}}));
        let (web, db) = (Some(pod("web")), Some(pod("db")));
        // (what happened, before, after, what is shown)
        let rows = [
            (ChangeKind::Added, None, pod("web"), Some("ADDED")),
            (ChangeKind::Added, None, pod("db"), None),
            (
                ChangeKind::Modified,
                web.clone(),
                pod("web"),
                Some("MODIFIED"),
            ),
            (ChangeKind::Modified, db.clone(), pod("web"), Some("ADDED")),
            (
                ChangeKind::Modified,
                web.clone(),
                pod("db"),
                Some("DELETED"),
            ),
            (ChangeKind::Modified, db.clone(), pod("db"), None),
            (ChangeKind::Deleted, web, pod("web"), Some("DELETED")),
            (ChangeKind::Deleted, db, pod("db"), None),
        ];
        for (kind, previous, object, expected) in rows {
            let change = Change {
                revision: 7,
                kind,
                object,
                previous,
            };
            let shown = filter.view(&change);
            assert_eq!(
                shown.as_ref().map(|(event, _)| *event),
                expected,
                "{change:?}"
            );
            if let (Some(("DELETED", last)), ChangeKind::Modified) = (shown, kind) {
                assert_eq!(
                    last["metadata"]["labels"]["app"], "web",
                    "as it last matched"
                );
                assert_eq!(last["metadata"]["resourceVersion"], "7");
            }
        }
    }

    #[test]
    fn columns_come_once() {
        let mut writer = EventWriter {
            kind: Kind::ConfigMap,
            representation: Representation::Table,
            include: Include::Nothing,
            columns_are_known: false,
        };
        let object = json!({"metadata": {"name": "a"}});
        assert!(writer.event("ADDED", &object).contains("\"priority\""));
        assert!(!writer.event("MODIFIED", &object).contains("\"priority\""));
    }
}
