//! The query parameters of a request. Pure.

use super::field_selector::FieldSelector;
use super::table::Include;
use crate::store::selector::Selector;
use crate::store::{ApiError, Cause};
use std::time::Duration;

/// What is done about fields that do not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped and named in warnings.
    #[default]
    Warn,
    /// The request fails.
    Strict,
}

/// The parameters this server knows; others are ignored, as upstream.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) watch: bool,
    /// As given; empty if not.
    pub(super) resource_version: String,
    pub(super) resource_version_match: String,
    /// `Some` if the parameter is given.
    pub(super) send_initial_events: Option<bool>,
    pub(super) bookmarks: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) continues: bool,
    pub(super) labels: Selector,
    pub(super) fields: FieldSelector,
    pub(super) include: Include,
    pub(super) dry_run: bool,
    pub(super) field_validation: FieldValidation,
    pub(super) field_manager: String,
    pub(super) grace_period_seconds: Option<u32>,
    pub(super) propagation: String,
    pub(super) pretty: bool,
}

impl Query {
    /// Reads the decoded pairs of a query string.
    pub(super) fn read(pairs: &[(String, String)]) -> Result<Query, ApiError> {
        let text = |name: &str| {
            let pair = pairs.iter().find(|(key, _)| key == name);
            pair.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let flag = |name: &str| ["true", "1"].contains(&text(name));
        let given = |name: &str| Some(text(name)).filter(|text| !text.is_empty());
        let bad = |why: String| ApiError::BadRequest(why);
        Ok(Query {
            watch: flag("watch"),
            resource_version: text("resourceVersion").to_owned(),
            resource_version_match: text("resourceVersionMatch").to_owned(),
            send_initial_events: given("sendInitialEvents").map(|_| flag("sendInitialEvents")),
            bookmarks: flag("allowWatchBookmarks"),
            timeout: given("timeoutSeconds")
                .and_then(|text| text.parse().ok())
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            continues: given("continue").is_some(),
            labels: Selector::parse(text("labelSelector"))
                .map_err(|why| bad(format!("unable to parse requirement: {why}")))?,
            fields: FieldSelector::parse(text("fieldSelector")).map_err(bad)?,
            include: include(text("includeObject"))?,
            dry_run: dry_run(text("dryRun"))?,
            field_validation: field_validation(text("fieldValidation"))?,
            field_manager: text("fieldManager").to_owned(),
            grace_period_seconds: given("gracePeriodSeconds").and_then(|text| text.parse().ok()),
            propagation: text("propagationPolicy").to_owned(),
            pretty: flag("pretty"),
        })
    }
}

fn include(text: &str) -> Result<Include, ApiError> {
    match text {
        "" | "Metadata" => Ok(Include::Metadata),
        "None" => Ok(Include::Nothing),
        "Object" => Ok(Include::Object),
        other => Err(ApiError::BadRequest(format!(
            "unrecognized includeObject value: {other:?}"
        ))),
    }
}

fn dry_run(text: &str) -> Result<bool, ApiError> {
    match text {
        "" => Ok(false),
        "All" => Ok(true),
        other => Err(unsupported("dryRun", other, "\"All\"")),
    }
}

fn field_validation(text: &str) -> Result<FieldValidation, ApiError> {
    match text {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        other => Err(unsupported(
            "fieldValidation",
            other,
            "\"Ignore\", \"Strict\", \"Warn\"",
        )),
    }
}

fn unsupported(field: &str, value: &str, known: &str) -> ApiError {
    ApiError::Invalid {
        kind: "Options.meta.k8s.io".to_owned(),
        name: String::new(),
        causes: vec![Cause {
            reason: "FieldValueNotSupported",
            field: field.to_owned(),
            message: format!("Unsupported value: {value:?}: supported values: {known}"),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Query, u16> {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Query::read(&pairs).map_err(|error| error.code())
    }

    #[test]
    fn what_kube_rs_sends() {
        let query = read(&[
            ("watch", "true"),
            ("timeoutSeconds", "290"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", "12"),
            ("unknown", "ignored"),
        ])
        .expect("valid");
        assert!(query.watch && query.bookmarks);
        assert_eq!(query.timeout, Some(Duration::from_secs(290)));
        assert_eq!(query.resource_version, "12");
        assert_eq!(query.send_initial_events, None);
    }

    #[test]
    fn broken_parameters_are_refused() {
        let rows = [
            (("labelSelector", "a in"), 400),
            (("fieldSelector", "metadata.name"), 400),
            (("dryRun", "Some"), 422),
            (("fieldValidation", "Maybe"), 422),
            (("includeObject", "Half"), 400),
        ];
        for (pair, code) in rows {
            assert_eq!(read(&[pair]).err(), Some(code), "{pair:?}");
        }
    }
}
