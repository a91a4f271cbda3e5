//! Field errors, worded as `field.Error` upstream.

pub use crate::store::Cause;
use serde_json::Value;

/// The value is there and is wrong.
pub fn invalid(field: &str, value: &Value, why: &str) -> Cause {
    let message = format!("Invalid value: {}: {why}", go_syntax(value));
    cause("FieldValueInvalid", field, message)
}

/// The value is missing; `why` may be empty.
pub fn required(field: &str, why: &str) -> Cause {
    let message = if why.is_empty() {
        "Required value".to_owned()
    } else {
        format!("Required value: {why}")
    };
    cause("FieldValueRequired", field, message)
}

/// The value is none of the few that exist.
pub fn unsupported(field: &str, value: &str, supported: &[&str]) -> Cause {
    let supported: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
    let message = format!(
        "Unsupported value: {value:?}: supported values: {}",
        supported.join(", ")
    );
    cause("FieldValueNotSupported", field, message)
}

/// The value is there already, elsewhere in the same list.
pub fn duplicate(field: &str, value: &Value) -> Cause {
    cause(
        "FieldValueDuplicate",
        field,
        format!("Duplicate value: {}", go_syntax(value)),
    )
}

/// The value may not be set, or not be changed.
pub fn forbidden(field: &str, why: &str) -> Cause {
    cause("FieldValueForbidden", field, format!("Forbidden: {why}"))
}

fn cause(reason: &'static str, field: &str, message: String) -> Cause {
    Cause {
        reason,
        field: field.to_owned(),
        message,
    }
}

/// A value as Go's `%#v` would show the usual ones.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let texts: Vec<String> = list.iter().map(Value::to_string).collect();
            format!("[]string{{{}}}", texts.join(", "))
        }
        Value::Object(map) if map.values().all(Value::is_string) => {
            let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k:?}:{v}")).collect();
            format!("map[string]string{{{}}}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}
