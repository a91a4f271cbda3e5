//! Making a body conform to its shape, as decoding into Go's structs does upstream.
//!
//! Nulls go, unknown fields go (and are named, for `fieldValidation`), a value of the wrong type
//! is an error.

use super::{Shape, Struct};
use serde_json::Value;

/// Drops what has no place in `object`; gives the paths of unknown fields, sorted.
///
/// The error names the field that holds a value of the wrong type.
pub(in crate::api) fn conform(
    shape: &'static Struct,
    object: &mut Value,
) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    conform_struct(shape, object, &Path::default(), &mut unknown)?;
    unknown.sort();
    Ok(unknown)
}

/// Where the walk stands: the path, and the innermost struct it went through.
#[derive(Clone, Default)]
struct Path {
    text: String,
    parent: &'static str,
}

impl Path {
    fn field(&self, parent: &'static str, name: &str) -> Path {
        let text = match self.text.as_str() {
            "" => name.to_owned(),
            text => format!("{text}.{name}"),
        };
        Path { text, parent }
    }

    fn index(&self, index: usize) -> Path {
        Path {
            text: format!("{}[{index}]", self.text),
            parent: self.parent,
        }
    }
}

fn conform_struct(
    shape: &'static Struct,
    value: &mut Value,
    path: &Path,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let Value::Object(map) = value else {
        return Err(mismatch(value, path, shape.name));
    };
    map.retain(|_, value| !value.is_null());
    let mut strangers = Vec::new();
    for (name, value) in map.iter_mut() {
        let path = path.field(shape.name, name);
        match shape.field(name) {
            Some(shape) => conform_value(shape, value, &path, unknown)?,
            None => {
                strangers.push(name.clone());
                unknown.push(path.text);
            }
        }
    }
    for name in strangers {
        map.remove(&name);
    }
    Ok(())
}

fn conform_value(
    shape: Shape,
    value: &mut Value,
    path: &Path,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    match shape {
        Shape::Any => {
            drop_nulls(value);
            Ok(())
        }
        Shape::Object(shape) => conform_struct(shape, value, path, unknown),
        Shape::List(shape) | Shape::Keyed(shape, _) => {
            let Value::Array(list) = value else {
                return Err(mismatch(value, path, &format!("[]{}", shape.name)));
            };
            for (index, value) in list.iter_mut().enumerate() {
                conform_struct(shape, value, &path.index(index), unknown)?;
            }
            Ok(())
        }
        Shape::Text => must(value.is_string(), value, path, "string"),
        Shape::Integer => must(value.is_i64() || value.is_u64(), value, path, "int32"),
        Shape::Boolean => must(value.is_boolean(), value, path, "bool"),
        Shape::IntOrText => must(
            value.is_string() || value.is_i64(),
            value,
            path,
            "intstr.IntOrString",
        ),
        Shape::AnyMap => must(value.is_object(), value, path, "map"),
        Shape::TextMap => conform_text_map(value, path),
        Shape::TextList | Shape::TextSet => match value {
            Value::Array(list) => list
                .iter()
                .try_for_each(|text| must(text.is_string(), text, path, "string")),
            other => Err(mismatch(other, path, "[]string")),
        },
    }
}

/// A field that is null is not set, however deep it is.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => (),
    }
}

/// A null in a map of texts reads as the empty text, as in Go.
fn conform_text_map(value: &mut Value, path: &Path) -> Result<(), String> {
    let Value::Object(map) = value else {
        return Err(mismatch(value, path, "map[string]string"));
    };
    for text in map.values_mut() {
        if text.is_null() {
            *text = Value::String(String::new());
        }
        must(text.is_string(), text, path, "string")?;
    }
    Ok(())
}

fn must(good: bool, value: &Value, path: &Path, wanted: &str) -> Result<(), String> {
    if good {
        Ok(())
    } else {
        Err(mismatch(value, path, wanted))
    }
}

fn mismatch(value: &Value, path: &Path, wanted: &str) -> String {
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let Path { text, parent } = path;
    format!("json: cannot unmarshal {is} into Go struct field {parent}.{text} of type {wanted}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::schema;
    use crate::store::Kind;
    use serde_json::json;

    #[test]
    fn unknown_fields_are_named_and_dropped() {
        let mut service = json!({
            "metadata": {"name": "a", "creationTimestamp": null, "colour": "red"},
            "spec": {"ports": [{"port": 80}, {"prot": "TCP"}], "selectr": {}, "selector": {"a": null}},
        });
        let unknown = conform(schema::of(Kind::Service), &mut service).expect("right types");
        assert_eq!(
            unknown,
            ["metadata.colour", "spec.ports[1].prot", "spec.selectr"]
        );
        let expected = json!({
            "metadata": {"name": "a"},
            "spec": {"ports": [{"port": 80}, {}], "selector": {"a": ""}},
        });
        assert_eq!(service, expected);
    }

    #[test]
    fn wrong_types_are_named() {
        let rows = [
            (
                json!({"spec": {"replicas": "3"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"spec": []}),
                "json: cannot unmarshal array into Go struct field Deployment.spec of type DeploymentSpec",
            ),
            (
                json!({"metadata": {"labels": {"a": 1}}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ),
        ];
        for (mut object, expected) in rows {
            let answer = conform(schema::of(Kind::Deployment), &mut object);
            assert_eq!(answer, Err(expected.to_owned()));
        }
    }
}
