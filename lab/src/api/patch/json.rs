//! JSON patch (RFC 6902).

use crate::store::{ApiError, Cause};
use serde_json::Value;

pub(super) fn apply(operations: &Value, current: &Value) -> Result<Value, ApiError> {
    let patch: json_patch::Patch = serde_json::from_value(operations.clone())
        .map_err(|error| ApiError::BadRequest(format!("error decoding patch: {error}")))?;
    let mut next = current.clone();
    match json_patch::patch(&mut next, &patch) {
        Ok(()) => Ok(next),
        // Upstream answers 422 to an operation that does not fit the object.
        Err(error) => Err(ApiError::Invalid {
            kind: crate::store::object::str_of(&current["kind"]).to_owned(),
            name: crate::store::object::name(current).to_owned(),
            causes: vec![Cause {
                reason: "FieldValueInvalid",
                field: error.path.to_string(),
                message: format!(
                    "operation {} does not apply: {}",
                    error.operation, error.kind
                ),
            }],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations() {
        let current = json!({"metadata": {"name": "a"}, "spec": {"replicas": 1}});
        // (operations, replicas afterwards or the code of the error)
        let rows = [
            (
                json!([{"op": "replace", "path": "/spec/replicas", "value": 3}]),
                Ok(json!(3)),
            ),
            (
                json!([{"op": "remove", "path": "/spec/replicas"}]),
                Ok(Value::Null),
            ),
            (
                json!([{"op": "test", "path": "/spec/replicas", "value": 2}]),
                Err(422),
            ),
            (json!([{"op": "remove", "path": "/spec/nothing"}]), Err(422)),
            (json!({"op": "remove"}), Err(400)),
        ];
        for (operations, expected) in rows {
            let answer = apply(&operations, &current);
            let answer = answer
                .map(|o| o["spec"]["replicas"].clone())
                .map_err(|e| e.code());
            assert_eq!(answer, expected, "{operations}");
        }
    }
}
