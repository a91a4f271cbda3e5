//! Patches: from the stored object and a patch document to the object as it shall be. Pure.
//!
//! The four kinds are told apart by the media type of the body.

mod apply;
mod json;
mod merge;
mod ownership;
mod strategic;

use super::schema::Struct;
use crate::store::ApiError;
use serde_json::Value;

/// A patch document, by kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Patch {
    /// RFC 6902: a list of operations.
    Json(Value),
    /// RFC 7396: a partial object in which null deletes.
    Merge(Value),
    /// A partial object whose lists merge by key.
    Strategic(Value),
    /// Server-side apply: the object as one manager wants it.
    Apply {
        /// The object.
        wanted: Value,
        /// Who wants it.
        manager: String,
    },
}

/// The media types that say which patch a body is.
pub(super) const MEDIA_TYPES: &str = "application/json-patch+json, application/merge-patch+json, \
     application/strategic-merge-patch+json, application/apply-patch+yaml";

impl Patch {
    /// Reads a body; the media type comes without its parameters.
    pub(super) fn read(media_type: &str, body: &[u8], manager: &str) -> Result<Patch, ApiError> {
        let make: fn(Value) -> Patch = match media_type {
            "application/json-patch+json" => Patch::Json,
            "application/merge-patch+json" => Patch::Merge,
            "application/strategic-merge-patch+json" => Patch::Strategic,
            "application/apply-patch+yaml" => {
                let wanted = serde_yaml_ng::from_slice(body).map_err(|error| bad(&error))?;
                return Ok(Patch::Apply {
                    wanted,
                    manager: manager.to_owned(),
                });
            }
            _ => return Err(ApiError::UnsupportedMediaType(MEDIA_TYPES)),
        };
        serde_json::from_slice(body)
            .map(make)
            .map_err(|error| bad(&error))
    }

    /// The object after the patch.
    pub(super) fn apply(&self, shape: &'static Struct, current: &Value) -> Result<Value, ApiError> {
        if !matches!(self, Patch::Json(_)) && !self.document().is_object() {
            return Err(ApiError::BadRequest(
                "the patch is not an object".to_owned(),
            ));
        }
        match self {
            Patch::Json(operations) => json::apply(operations, current),
            Patch::Merge(patch) => Ok(merge::apply(patch, current)),
            Patch::Strategic(patch) => strategic::apply(shape, patch, current),
            Patch::Apply { wanted, manager } => apply::apply(shape, manager, wanted, current),
        }
    }

    fn document(&self) -> &Value {
        match self {
            Patch::Json(v) | Patch::Merge(v) | Patch::Strategic(v) => v,
            Patch::Apply { wanted, .. } => wanted,
        }
    }
}

fn bad(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::BadRequest(format!("error decoding patch: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn applied(wanted: Value) -> Patch {
        Patch::Apply {
            wanted,
            manager: "me".to_owned(),
        }
    }

    #[test]
    fn the_media_type_decides() {
        let read = |media_type| Patch::read(media_type, b"{}", "me");
        assert_eq!(
            read("application/merge-patch+json"),
            Ok(Patch::Merge(json!({})))
        );
        assert_eq!(read("application/apply-patch+yaml"), Ok(applied(json!({}))));
        assert_eq!(read("application/json").map_err(|e| e.code()), Err(415));
        let broken = Patch::read("application/json-patch+json", b"{", "");
        assert_eq!(broken.map_err(|e| e.code()), Err(400));
    }

    #[test]
    fn a_patch_that_is_no_object_is_refused() {
        let shape = crate::api::schema::of(crate::store::Kind::Pod);
        for patch in [
            Patch::Merge(json!(1)),
            Patch::Strategic(json!([])),
            applied(json!(null)),
        ] {
            let answer = patch.apply(shape, &json!({}));
            assert_eq!(answer.map_err(|e| e.code()), Err(400), "{patch:?}");
        }
    }
}
