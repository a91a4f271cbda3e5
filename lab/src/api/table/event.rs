//! The table of Events.

use super::{Column, age::since, name};
use crate::store::object::str_of;
use jiff::Timestamp;
use serde_json::Value;

pub(super) const COLUMNS: &[Column] = &[
    ("Last Seen", "string", 0),
    ("Type", "string", 0),
    ("Reason", "string", 0),
    ("Object", "string", 0),
    ("Subobject", "string", 1),
    ("Source", "string", 1),
    ("Message", "string", 0),
    ("First Seen", "string", 1),
    ("Count", "string", 1),
    ("Name", "string", 1),
];

pub(super) fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    let first_of = |paths: &[&str]| {
        let mut times = paths.iter().filter_map(|path| event.pointer(path));
        let time = times.find(|time| !time.is_null());
        since(time.unwrap_or(&Value::Null), now)
    };
    // Written by its newer name, an Event counts in a series.
    let series = event["series"]["count"].as_i64();
    let source = [&event["source"]["component"], &event["reportingComponent"]];
    let source = source.into_iter().find(|source| !source.is_null());
    let about = &event["involvedObject"];
    let kind = str_of(&about["kind"]).to_lowercase();
    vec![
        first_of(&["/series/lastObservedTime", "/lastTimestamp", "/eventTime"]).into(),
        str_of(&event["type"]).into(),
        str_of(&event["reason"]).into(),
        format!("{kind}/{}", str_of(&about["name"])).into(),
        str_of(&about["fieldPath"]).into(),
        str_of(source.unwrap_or(&Value::Null)).into(),
        str_of(&event["message"]).into(),
        first_of(&["/firstTimestamp", "/eventTime"]).into(),
        series.or(event["count"].as_i64()).unwrap_or(1).into(),
        name(event),
    ]
}
