//! Manifests: YAML documents as objects of known kinds (pure).

use serde::Deserialize;
use serde_json::Value;

use crate::error::LabError;
use crate::store::{Kind, object};

/// The cluster DNS; every lab has it.
pub(crate) const DNS: &str = include_str!("../manifests/dns.yaml");
/// The application of the demonstration.
pub(crate) const TWO_TIER: &str = include_str!("../manifests/two-tier.yaml");

/// The objects of a manifest, in its order. Lists are unpacked, empty documents left out.
///
/// # Errors
/// When a document is no YAML, or no object of a kind the lab serves.
pub(crate) fn parse(text: &str) -> Result<Vec<(Kind, Value)>, LabError> {
    let mut objects = vec![];
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value = Value::deserialize(document).map_err(|e| LabError::Manifest(e.to_string()))?;
        if value["kind"] == "List" {
            for item in object::items(&value["items"]) {
                objects.push(with_kind(item.clone())?);
            }
        } else if !value.is_null() {
            objects.push(with_kind(value)?);
        }
    }
    Ok(objects)
}

fn with_kind(object: Value) -> Result<(Kind, Value), LabError> {
    let (version, name) = (
        object::str_of(&object["apiVersion"]),
        object::str_of(&object["kind"]),
    );
    let kind = Kind::of_object(version, name)
        .ok_or_else(|| LabError::Manifest(format!("the lab serves no {name:?} of {version:?}")))?;
    Ok((kind, object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labs_own_manifests_parse() {
        let kinds = |text| {
            let objects = parse(text).expect("a manifest");
            objects
                .into_iter()
                .map(|(kind, _)| kind)
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds(DNS), [Kind::Service, Kind::Deployment]);
        assert_eq!(
            kinds(TWO_TIER),
            [Kind::Deployment, Kind::Service, Kind::Deployment]
        );
    }

    #[test]
    fn lists_are_unpacked_and_strangers_named() {
        let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap}\n";
        assert_eq!(parse(list).expect("a list").len(), 1);
        assert_eq!(parse("---\n---\n").expect("nothing").len(), 0);
        let error = parse("apiVersion: v1\nkind: Secret\n")
            .expect_err("unknown")
            .to_string();
        assert!(error.contains("Secret"), "{error}");
        assert!(parse("a: [").is_err());
    }
}
