//! JSON merge patch (RFC 7396).

use serde_json::Value;

pub(super) fn apply(patch: &Value, current: &Value) -> Value {
    let mut next = current.clone();
    json_patch::merge(&mut next, patch);
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_deletes_and_lists_are_replaced() {
        let current = json!({"a": {"b": 1, "c": 2}, "l": [1, 2]});
        let patch = json!({"a": {"b": null, "d": 4}, "l": [3]});
        assert_eq!(
            apply(&patch, &current),
            json!({"a": {"c": 2, "d": 4}, "l": [3]})
        );
    }
}
