//! From the body of a request to an object of the kind its path names.

use super::call::Call;
use super::protobuf;
use super::query::FieldValidation;
use super::schema::{self, Struct};
use crate::store::object::str_of;
use crate::store::{ApiError, Kind};
use serde_json::Value;

/// Reads a body in JSON, YAML, or what is understood of protobuf.
pub(super) fn body(call: &Call) -> Result<Value, ApiError> {
    let bad = |error: &dyn std::fmt::Display| {
        ApiError::BadRequest(format!("the object provided is unrecognized: {error}"))
    };
    match call.media_type.as_str() {
        "" | "application/json" => serde_json::from_slice(&call.body).map_err(|e| bad(&e)),
        "application/yaml" => serde_yaml_ng::from_slice(&call.body).map_err(|e| bad(&e)),
        "application/vnd.kubernetes.protobuf" => {
            protobuf::read(&call.body).map_err(ApiError::BadRequest)
        }
        _ => Err(ApiError::UnsupportedMediaType(
            "application/json, application/yaml",
        )),
    }
}

/// An object, and the warnings to send with the answer.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) object: Value,
    pub(super) warnings: Vec<String>,
}

/// Checks that an object is of the kind, and drops or refuses what the kind does not know.
///
/// `known_strangers` are unknown fields that were stored before (by a controller): nobody is to
/// blame for them now.
pub(super) fn object(
    kind: Kind,
    object: Value,
    validation: FieldValidation,
    known_strangers: &[String],
) -> Result<Decoded, ApiError> {
    let row = kind.registration();
    check_kind(&object, &kind.api_version(), row.name)?;
    let refuse = |why: String| cannot_be_handled(row.name, row.version, &why);
    checked(schema::of(kind), object, validation, known_strangers).map_err(refuse)
}

/// As [`object`], for the Scale of a Deployment.
pub(super) fn scale(object: Value, validation: FieldValidation) -> Result<Decoded, ApiError> {
    check_kind(&object, "autoscaling/v1", "Scale")?;
    let refuse = |why: String| cannot_be_handled("Scale", "v1", &why);
    checked(schema::scale(), object, validation, &[]).map_err(refuse)
}

/// Paths of fields in a stored object that its shape does not know.
pub(super) fn strangers(kind: Kind, object: &Value) -> Vec<String> {
    schema::conform(schema::of(kind), &mut object.clone()).unwrap_or_default()
}

fn checked(
    shape: &'static Struct,
    mut object: Value,
    validation: FieldValidation,
    known_strangers: &[String],
) -> Result<Decoded, String> {
    let mut unknown = schema::conform(shape, &mut object)?;
    unknown.retain(|path| !known_strangers.contains(path));
    let named: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field {path:?}"))
        .collect();
    match validation {
        FieldValidation::Ignore => Ok(Decoded {
            object,
            warnings: Vec::new(),
        }),
        FieldValidation::Warn => Ok(Decoded {
            object,
            warnings: named,
        }),
        FieldValidation::Strict if named.is_empty() => Ok(Decoded {
            object,
            warnings: Vec::new(),
        }),
        FieldValidation::Strict => Err(format!("strict decoding error: {}", named.join(", "))),
    }
}

/// A body may leave out what the path says already, but not contradict it.
fn check_kind(object: &Value, api_version: &str, kind: &str) -> Result<(), ApiError> {
    if !object.is_object() {
        return Err(ApiError::BadRequest(
            "the object provided is not an object".to_owned(),
        ));
    }
    let (given_version, given) = (str_of(&object["apiVersion"]), str_of(&object["kind"]));
    let differs = |given: &str, expected: &str| !given.is_empty() && given != expected;
    if differs(given_version, api_version) || differs(given, kind) {
        return Err(ApiError::BadRequest(format!(
            "the API version and kind in the data ({given_version}, {given}) do not match the \
             expected ({api_version}, {kind})"
        )));
    }
    Ok(())
}

fn cannot_be_handled(kind: &str, version: &str, why: &str) -> ApiError {
    ApiError::BadRequest(format!(
        "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decode(body: Value, validation: FieldValidation) -> Result<Decoded, String> {
        object(Kind::Service, body, validation, &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn unknown_fields_by_validation() {
        let body = json!({"kind": "Service", "spec": {"selectr": {}}});
        let ignored = decode(body.clone(), FieldValidation::Ignore).expect("taken");
        assert_eq!(
            (ignored.object["spec"].clone(), ignored.warnings.len()),
            (json!({}), 0)
        );
        let warned = decode(body.clone(), FieldValidation::Warn).expect("taken");
        assert_eq!(warned.warnings, ["unknown field \"spec.selectr\""]);
        let expected = "Service in version \"v1\" cannot be handled as a Service: strict decoding \
                        error: unknown field \"spec.selectr\"";
        assert_eq!(
            decode(body.clone(), FieldValidation::Strict)
                .err()
                .as_deref(),
            Some(expected)
        );
        let known = ["spec.selectr".to_owned()];
        assert!(object(Kind::Service, body, FieldValidation::Strict, &known).is_ok());
    }

    #[test]
    fn another_kind_is_refused() {
        for body in [
            json!({"kind": "Pod"}),
            json!({"apiVersion": "apps/v1"}),
            json!([]),
        ] {
            assert!(
                decode(body.clone(), FieldValidation::Ignore).is_err(),
                "{body}"
            );
        }
    }
}
