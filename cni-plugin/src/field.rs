//! Fields of what a runtime hands over, found as the runtimes' own language finds them.
//!
//! Plugins and runtimes are mostly written in Go, whose JSON decoder takes a field whatever the
//! case of its letters; and containerd does write `HostPort` where the conventions say `hostPort`.

use serde_json::Value;

/// The field of this name; one that is written exactly so goes before one that differs in case.
/// `Null` where there is none, or where `object` is no object.
pub(crate) fn field<'a>(object: &'a Value, name: &str) -> &'a Value {
    let exact = object.get(name);
    let alike = || {
        let fields = object.as_object()?;
        let mut fields = fields.iter();
        fields.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    };
    exact.or_else(alike).unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_alike_whatever_their_case() {
        let rows = [
            (json!({"hostPort": 1}), json!(1)),
            (json!({"HostPort": 2}), json!(2)),
            (json!({"HOSTPORT": 3, "hostPort": 4}), json!(4)),
            (json!({"hostPorts": 5}), json!(null)),
            (json!([6]), json!(null)),
        ];
        for (object, value) in rows {
            assert_eq!(*field(&object, "hostPort"), value, "{object}");
        }
    }
}
