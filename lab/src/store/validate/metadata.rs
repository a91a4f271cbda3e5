//! Names, labels and annotations of every object.

use super::causes::{Cause, invalid, required};
use super::names;
use crate::store::{Kind, object};
use serde_json::{Value, json};

pub(super) fn check(kind: Kind, object: &Value) -> Vec<Cause> {
    let mut found = Vec::new();
    let name = object::name(object);
    if name.is_empty() {
        found.push(required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else {
        let why = match kind {
            Kind::Service => names::label_1035(name),
            Kind::Namespace => names::label(name),
            _ => names::subdomain(name),
        };
        found.extend(why.map(|why| invalid("metadata.name", &json!(name), &why)));
    }
    check_labels(&object["metadata"]["labels"], "metadata.labels", &mut found);
    for (key, _) in pairs(&object["metadata"]["annotations"]) {
        // Annotation keys are compared in lower case, as upstream.
        let why = names::qualified(&key.to_ascii_lowercase());
        found.extend(why.map(|why| invalid("metadata.annotations", &json!(key), &why)));
    }
    found
}

pub(super) fn check_labels(labels: &Value, path: &str, found: &mut Vec<Cause>) {
    for (key, value) in pairs(labels) {
        let why = names::qualified(key);
        found.extend(why.map(|why| invalid(path, &json!(key), &why)));
        let why = names::label_value(object::str_of(value));
        found.extend(why.map(|why| invalid(path, value, &why)));
    }
}

fn pairs(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_kind() {
        // (kind, name, good)
        let rows = [
            (Kind::Service, "1web", false),
            (Kind::Pod, "1web", true),
            (Kind::Pod, "web.example", true),
            (Kind::Namespace, "web.example", false),
            (Kind::ConfigMap, "Web", false),
            (Kind::ConfigMap, "", false),
        ];
        for (kind, name, good) in rows {
            let found = check(kind, &json!({"metadata": {"name": name}}));
            assert_eq!(found.is_empty(), good, "{kind:?} {name}: {found:?}");
        }
    }

    #[test]
    fn labels_and_annotations() {
        let metadata = json!({"name": "x", "labels": {"a b": "c", "d": "-"},
            "annotations": {"UPPER.io/x": "anything at all", "/": ""}});
        let fields: Vec<String> = check(Kind::Pod, &json!({"metadata": metadata}))
            .into_iter()
            .map(|c| c.field)
            .collect();
        assert_eq!(
            fields,
            ["metadata.labels", "metadata.labels", "metadata.annotations"]
        );
    }
}
