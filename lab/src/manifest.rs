//! Manifests: YAML documents as objects of known kinds (pure).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::LabError;
use crate::network::Families;
use crate::store::{Kind, object};

/// The cluster DNS of an IPv4 cluster.
const DNS: &str = include_str!("../manifests/dns.yaml");
/// The application of the demonstration.
pub(crate) const TWO_TIER: &str = include_str!("../manifests/two-tier.yaml");

/// The cluster DNS: as its manifest says, for the families of the cluster.
pub(crate) fn dns(families: Families) -> Result<Vec<(Kind, Value)>, LabError> {
    let mut objects = parse(DNS)?;
    for (kind, object) in &mut objects {
        match kind {
            Kind::Service => {
                let addresses = families.dns_addresses();
                object["spec"]["clusterIP"] = json!(addresses.first());
                object["spec"]["clusterIPs"] = json!(addresses);
                object["spec"]["ipFamilyPolicy"] = json!("PreferDualStack");
            }
            _ => {
                let container = &mut object["spec"]["template"]["spec"]["containers"][0];
                for argument in container["args"].as_array_mut().into_iter().flatten() {
                    *argument = json!(argument_for(families, object::str_of(argument)));
                }
            }
        }
    }
    Ok(objects)
}

/// An argument of the IPv4 manifest as another cluster needs it.
fn argument_for(families: Families, argument: &str) -> String {
    const API_SERVER: &str = "$(KUBERNETES_SERVICE_HOST)";
    let listen = if families.has_v6() { "[::]" } else { "0.0.0.0" };
    // An IPv6 address in a URL stands in brackets (RFC 3986, 3.2.2).
    let bracketed = format!("[{API_SERVER}]");
    argument
        .replace("0.0.0.0", listen)
        .replace(API_SERVER, families.first(API_SERVER, &bracketed))
}

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
    fn the_dns_is_of_the_clusters_families() {
        let rows = [
            (
                Families::Ipv4,
                json!(["10.96.0.10"]),
                "http://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)",
                "0.0.0.0:53",
            ),
            (
                Families::Ipv6,
                json!(["fd00:10:96::a"]),
                "http://[$(KUBERNETES_SERVICE_HOST)]:$(KUBERNETES_SERVICE_PORT)",
                "[::]:53",
            ),
            (
                Families::Dual,
                json!(["10.96.0.10", "fd00:10:96::a"]),
                "http://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)",
                "[::]:53",
            ),
        ];
        for (families, addresses, api_server, listen) in rows {
            let objects = dns(families).expect("a manifest");
            assert_eq!(objects[0].1["spec"]["clusterIPs"], addresses);
            let container = &objects[1].1["spec"]["template"]["spec"]["containers"][0];
            assert_eq!(container["args"][1], api_server);
            assert_eq!(container["args"][5], listen);
        }
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
