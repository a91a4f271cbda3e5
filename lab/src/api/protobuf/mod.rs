//! Bodies in protobuf, as `kubectl create` and `kubectl drain` send them. Pure.
//!
//! Most clients speak JSON here because that is all the server offers, but kubectl's `create`
//! commands write their first body in protobuf without asking.
//! Only the messages and fields those commands fill in are known; a body with any other is refused
//! with advice, never half read.

mod messages;
mod wire;

use messages::{Field, Message, Type};
use serde_json::{Map, Value, json};
use wire::{Payload, Reader};

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Reads a body; the error says what is wrong with it.
///
/// The envelope is `runtime.Unknown`: the type of the object (field 1) and its bytes (field 2).
pub(super) fn read(body: &[u8]) -> Result<Value, String> {
    let envelope = body
        .strip_prefix(MAGIC)
        .ok_or("the body does not begin with \"k8s\\0\"")?;
    let (mut type_meta, mut raw) = (json!({}), &[][..]);
    let mut reader = Reader::new(envelope);
    while let Some((number, payload)) = reader.next()? {
        match (number, payload) {
            (1, Payload::Bytes(bytes)) => type_meta = message(&messages::TYPE_META, bytes)?,
            (2, Payload::Bytes(bytes)) => raw = bytes,
            _ => (),
        }
    }
    let kind = type_meta["kind"].as_str().unwrap_or_default();
    let shape = messages::of_kind(kind)
        .ok_or_else(|| format!("the lab reads no protobuf of the kind {kind:?}: {ADVICE}"))?;
    let mut object = message(shape, raw)?;
    if let (Value::Object(object), Value::Object(type_meta)) = (&mut object, type_meta) {
        object.extend(type_meta);
    }
    Ok(object)
}

const ADVICE: &str = "send it as JSON, for example by `kubectl apply -f`";

fn message(shape: &'static Message, bytes: &[u8]) -> Result<Value, String> {
    let mut fields = Map::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, payload)) = reader.next()? {
        match shape.field(number) {
            Some(field) => add(&mut fields, field, payload)?,
            // Go writes fields that are not set as empty ones.
            None if payload.is_empty() => (),
            None => {
                let name = shape.name;
                return Err(format!(
                    "the lab does not read protobuf field {number} of {name}: {ADVICE}"
                ));
            }
        }
    }
    Ok(Value::Object(fields))
}

fn add(fields: &mut Map<String, Value>, field: &Field, payload: Payload) -> Result<(), String> {
    let value = match (field.of, payload) {
        (Type::Ignored, _) => return Ok(()),
        (Type::Text, Payload::Bytes(bytes)) => text(bytes)?.into(),
        (Type::Texts, Payload::Bytes(bytes)) => {
            return push(fields, field.name, text(bytes)?.into());
        }
        (Type::Integer | Type::Optional, Payload::Number(number)) => number.cast_signed().into(),
        (Type::Boolean, Payload::Number(number)) => (number != 0).into(),
        (Type::One(shape), Payload::Bytes(bytes)) => message(shape, bytes)?,
        (Type::Many(shape), Payload::Bytes(bytes)) => {
            return push(fields, field.name, message(shape, bytes)?);
        }
        (Type::TextMap, Payload::Bytes(bytes)) => return insert(fields, field.name, bytes),
        (Type::IntOrText, Payload::Bytes(bytes)) => int_or_text(bytes)?,
        (_, payload) => {
            return Err(format!(
                "field {} has the wire type {payload:?}",
                field.name
            ));
        }
    };
    let is_unset = value == "" || value == 0 || value == false || value == json!({});
    if !is_unset || matches!(field.of, Type::Optional) {
        fields.insert(field.name.to_owned(), value);
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

fn push(fields: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), String> {
    match fields.entry(name).or_insert_with(|| json!([])) {
        Value::Array(list) => list.push(value),
        _ => return Err(format!("field {name} is not a list")),
    }
    Ok(())
}

/// An entry of a map: a message of key (1) and value (2).
fn insert(fields: &mut Map<String, Value>, name: &str, bytes: &[u8]) -> Result<(), String> {
    let entry = message(&messages::MAP_ENTRY, bytes)?;
    let part = |part: &str| entry[part].as_str().unwrap_or_default().to_owned();
    match fields.entry(name).or_insert_with(|| json!({})) {
        Value::Object(map) => map.insert(part("key"), part("value").into()),
        _ => return Err(format!("field {name} is not a map")),
    };
    Ok(())
}

/// `intstr.IntOrString`: its type says which of the two other fields counts.
fn int_or_text(bytes: &[u8]) -> Result<Value, String> {
    let both = message(&messages::INT_OR_STRING, bytes)?;
    let is_text = both["type"] == 1;
    Ok(if is_text {
        both["strVal"].clone()
    } else {
        both["intVal"].as_i64().unwrap_or(0).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bodies as kubectl 1.32 sent them.
    #[test]
    fn what_kubectl_create_sends() {
        let namespace = b"k8s\x00\n\x0f\n\x02v1\x12\tNamespace\x12\x1a\n\x12\n\x02n1\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00\x12\x00\x1a\x02\n\x00\x1a\x00\"\x00";
        let expected = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n1"}});
        assert_eq!(read(namespace), Ok(expected));
        let map = b"k8s\x00\n\x0f\n\x02v1\x12\tConfigMap\x12\x1c\n\x12\n\x02c1\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00\x12\x06\n\x01a\x12\x01b\x1a\x00\"\x00";
        assert_eq!(read(map).expect("read")["data"], json!({"a": "b"}));
        let service = b"k8s\x00\n\r\n\x02v1\x12\x07Service\x12h\n\x1f\n\x03foo\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00Z\n\n\x03app\x12\x03foo\x12A\n\x1b\n\x0780-8080\x12\x03TCP\x18P\"\x07\x08\x00\x10\x90?\x1a\x00(\x00\x12\n\n\x03app\x12\x03foo\x1a\x00\"\x08NodePort:\x00B\x00R\x00Z\x00`\x00h\x00\x1a\x02\n\x00\x1a\x00\"\x00";
        let expected = json!({"type": "NodePort", "selector": {"app": "foo"}, "ports": [
            {"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080}]});
        assert_eq!(read(service).expect("read")["spec"], expected);
        let options = b"k8s\x00\n\x13\n\x02v1\x12\rDeleteOptions\x12\x00\x1a\x00\"\x00";
        assert_eq!(
            read(options),
            Ok(json!({"apiVersion": "v1", "kind": "DeleteOptions"}))
        );
    }

    #[test]
    fn a_deployment() {
        let body = b"k8s\x00\n\x15\n\x07apps/v1\x12\nDeployment\x12\xbf\x01\n\x1d\n\x02d2\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00Z\t\n\x03app\x12\x02d2\x12\x8f\x01\x08\x02\x12\x0b\n\t\n\x03app\x12\x02d2\x1av\n\x1b\n\x00\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00Z\t\n\x03app\x12\x02d2\x12W\x129\n\x05nginx\x12\x05nginx\x1a\x02sh\x1a\x02-c\x1a\x01x*\x002\n\n\x00\x10\x00\x18P\"\x00*\x00B\x00j\x00r\x00\x80\x01\x00\x88\x01\x00\x90\x01\x00\xa2\x01\x00\x1a\x002\x00B\x00J\x00R\x00X\x00`\x00h\x00\x82\x01\x00\x8a\x01\x00\x9a\x01\x00\xc2\x01\x00\"\x02\n\x00(\x008\x00\x1a\x0c\x08\x00\x10\x00\x18\x00 \x00(\x008\x00\x1a\x00\"\x00";
        let object = read(body).expect("read");
        let template = json!({"metadata": {"labels": {"app": "d2"}}, "spec": {"containers": [
            {"name": "nginx", "image": "nginx", "command": ["sh", "-c", "x"],
                "ports": [{"containerPort": 80}]}]}});
        let expected = json!({"replicas": 2, "selector": {"matchLabels": {"app": "d2"}},
            "template": template});
        assert_eq!(object["spec"], expected);
        assert_eq!(object["apiVersion"], "apps/v1");
    }

    #[test]
    fn zero_replicas_are_not_the_default() {
        let bytes = [0x08, 0x00, 0x38, 0x00];
        let spec = message(&messages::DEPLOYMENT_SPEC, &bytes);
        assert_eq!(spec, Ok(json!({"replicas": 0})));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let rows: [(&[u8], &str); 5] = [
            (b"{}", "does not begin"),
            (
                b"k8s\x00\n\x0c\n\x02v1\x12\x06Secret\x12\x00",
                "no protobuf of the kind \"Secret\"",
            ),
            (
                b"k8s\x00\n\x0f\n\x02v1\x12\tNamespace\x12\x03\x7a\x01x",
                "field 15 of Namespace",
            ),
            (b"k8s\x00\n\xff", "ends too early"),
            (
                b"k8s\x00\n\x0f\n\x02v1\x12\tNamespace\x12\x02\x08\x01",
                "wire type",
            ),
        ];
        for (body, expected) in rows {
            let error = read(body).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        }
    }
}
