//! An Event by its two names: `v1`, as it is stored and as `kubectl` reads it, and
//! `events.k8s.io/v1`, as controllers write it. The same object, some fields of which are called
//! otherwise. (pure)
//!
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/events/v1/conversion.go>

use serde_json::Value;

/// Its group and version by the newer name.
pub(super) const API_VERSION: &str = "events.k8s.io/v1";

/// Fields: how the core group calls them, how the other one does.
const FIELDS: [(&str, &str); 7] = [
    ("count", "deprecatedCount"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("involvedObject", "regarding"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
];

/// From the newer name to the one that is stored; an object, or a part of one.
pub(super) fn to_core(event: &mut Value) {
    rename(event, |(core, newer)| (newer, core), "v1");
}

/// And back.
pub(super) fn from_core(event: &Value) -> Value {
    let mut event = event.clone();
    rename(&mut event, |(core, newer)| (core, newer), API_VERSION);
    event
}

fn rename(
    event: &mut Value,
    direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
    api_version: &str,
) {
    let Some(fields) = event.as_object_mut() else {
        return;
    };
    for (from, to) in FIELDS.map(direction) {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
    if fields.contains_key("apiVersion") {
        fields.insert("apiVersion".to_owned(), api_version.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_lost_on_the_way_there_and_back() {
        let newer = json!({
            "apiVersion": API_VERSION, "kind": "Event", "metadata": {"name": "a"},
            "regarding": {"kind": "Node", "name": "n"}, "note": "words", "reason": "R",
            "reportingController": "c", "series": {"count": 2},
        });
        let mut core = newer.clone();
        to_core(&mut core);
        assert_eq!(core["apiVersion"], "v1");
        assert_eq!(core["involvedObject"]["name"], "n");
        assert_eq!(
            (&core["message"], &core["regarding"]),
            (&json!("words"), &Value::Null)
        );
        assert_eq!(from_core(&core), newer);
        let mut part = json!({"note": "other"});
        to_core(&mut part);
        assert_eq!(part, json!({"message": "other"}));
    }
}
