//! The manifests of `kind-config/`: each variant renders, every object is one that Kubernetes
//! knows, with no field that it does not, and every option of the programs is named.

mod components;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

fn root() -> PathBuf {
    let room = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
    Path::new(&room).join("..")
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).expect("YAML"))
        .filter(|value| !value.is_null())
        .collect()
}

/// What `kubectl apply -k` would send. None, said aloud, without kubectl; a failure where CI is.
fn rendered(folder: &str) -> Option<Vec<Value>> {
    rendered_at(&root().join("kind-config").join(folder))
}

/// Likewise, of a folder anywhere.
fn rendered_at(folder: &Path) -> Option<Vec<Value>> {
    let output = match Command::new("kubectl")
        .arg("kustomize")
        .arg(folder)
        .output()
    {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "kubectl: {error}");
            println!("skipped: no kubectl: {error}");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", folder.display());
    Some(documents(&String::from_utf8(output.stdout).expect("UTF-8")))
}

/// Reads an object as its Kubernetes type and writes it again: what is missing then is no field
/// of that type. (Nulls and empty values may go.)
fn strict<T: DeserializeOwned + Serialize>(object: &Value) -> Result<(), String> {
    let typed = T::deserialize(object).map_err(|error| error.to_string())?;
    let written = serde_json::to_value(typed).map_err(|error| error.to_string())?;
    lost("", object, &written).map_or(Ok(()), Err)
}

fn lost(at: &str, given: &Value, kept: &Value) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => given.iter().find_map(|(name, value)| {
            let at = format!("{at}.{name}");
            match kept.get(name) {
                Some(kept) => lost(&at, value, kept),
                None => Some(format!("no field {at}")),
            }
        }),
        (Value::Array(given), Value::Array(kept)) if given.len() == kept.len() => {
            let both = given.iter().zip(kept).enumerate();
            let mut found =
                both.filter_map(|(i, (given, kept))| lost(&format!("{at}[{i}]"), given, kept));
            found.next()
        }
        _ if given == kept => None,
        _ => Some(format!("{at}: {given} is read as {kept}")),
    }
}

fn check(object: &Value) -> Result<(), String> {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    match (text("apiVersion").as_str(), text("kind").as_str()) {
        ("v1", "ConfigMap") => strict::<ConfigMap>(object),
        ("v1", "Service") => strict::<Service>(object),
        ("v1", "ServiceAccount") => strict::<ServiceAccount>(object),
        ("apps/v1", "DaemonSet") => strict::<DaemonSet>(object),
        ("apps/v1", "Deployment") => strict::<Deployment>(object),
        ("apps/v1", "StatefulSet") => strict::<StatefulSet>(object),
        ("networking.k8s.io/v1", "Ingress") => strict::<Ingress>(object),
        ("networking.k8s.io/v1", "IngressClass") => strict::<IngressClass>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => strict::<ClusterRole>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
            strict::<ClusterRoleBinding>(object)
        }
        (version, kind) => Err(format!("unknown {version} {kind}")),
    }
}

const VARIANTS: &[&str] = &[
    "manifests",
    "manifests/dns-every-node",
    "kind",
    "kind-ipv6",
    "k3s",
    "kubeadm",
    "removal",
    "removal-k3s",
];

#[test]
fn every_variant_holds_what_kubernetes_knows() {
    for folder in VARIANTS {
        let Some(objects) = rendered(folder) else {
            return;
        };
        assert!(!objects.is_empty(), "{folder}");
        for object in objects {
            let name = &object["metadata"]["name"];
            if let Err(error) = check(&object) {
                panic!("{folder}: {} {name}: {error}", object["kind"]);
            }
        }
    }
}

#[test]
fn every_example_holds_what_kubernetes_knows() {
    let folder = root().join("kind-config/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("examples") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("text");
        for object in documents(&text) {
            seen += 1;
            if let Err(error) = check(&object) {
                panic!("{}: {}: {error}", path.display(), object["kind"]);
            }
        }
    }
    assert!(seen > 8, "{seen} objects");
}

#[test]
fn a_field_that_kubernetes_does_not_know_is_found() {
    let good = documents("{apiVersion: v1, kind: Service, spec: {ports: [{port: 1}]}}");
    assert_eq!(check(&good[0]), Ok(()));
    for (text, said) in [
        (
            "{apiVersion: v1, kind: Service, spec: {port: 1}}",
            "no field .spec.port",
        ),
        (
            "{apiVersion: v1, kind: Service, spec: {ports: [{port: 1, x: 1}]}}",
            ".spec.ports[0].x",
        ),
        (
            "{apiVersion: v1, kind: Service, spec: {ports: [{port: a}]}}",
            "expected i32",
        ),
        ("{apiVersion: v2, kind: Service}", "unknown v2 Service"),
    ] {
        let error = check(&documents(text)[0]).expect_err(text);
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn pods_run_our_image_with_no_more_rights_than_named() {
    let Some(objects) = rendered("kind") else {
        return;
    };
    let version = env!("CARGO_PKG_VERSION");
    let mut privileged = Vec::new();
    for object in &objects {
        let pod = &object["spec"]["template"]["spec"];
        for list in ["initContainers", "containers"] {
            for container in pod[list].as_array().into_iter().flatten() {
                assert_eq!(container["image"], format!("localhost/flatnet:{version}"));
                assert!(
                    container["command"][0].is_string(),
                    "the image has no entrypoint"
                );
                let rights = &container["securityContext"];
                if rights["privileged"] == true {
                    privileged.push(container["name"].as_str().unwrap_or_default());
                    continue;
                }
                assert_eq!(rights["capabilities"]["drop"][0], "ALL", "{container}");
                assert_eq!(rights["allowPrivilegeEscalation"], false, "{container}");
                assert_eq!(rights["readOnlyRootFilesystem"], true, "{container}");
            }
        }
    }
    assert_eq!(privileged, ["prepare"]);
    let verbs = objects
        .iter()
        .filter(|object| object["kind"] == "ClusterRole");
    for rule in verbs.flat_map(|role| role["rules"].as_array().into_iter().flatten()) {
        // Events are told; everything else is looked at alone.
        let verbs = if rule["resources"] == serde_json::json!(["events"]) {
            ["create", "patch"]
        } else {
            ["list", "watch"]
        };
        assert_eq!(rule["verbs"], serde_json::json!(verbs), "{rule}");
    }
}

/// The environment variables in a text.
fn variables(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|word| word.starts_with("FLATNET_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_option_is_named_in_the_configuration() {
    let Some(folder) = std::env::var_os("FLATNET_BIN_DIR").map(PathBuf::from) else {
        assert!(std::env::var_os("CI").is_none(), "no FLATNET_BIN_DIR");
        println!("skipped: no FLATNET_BIN_DIR (run `cargo xtask test`)");
        return;
    };
    let mut options = BTreeSet::new();
    for (program, words) in [
        ("flatnet-agent", &["run", "--help"][..]),
        ("flatnet-agent", &["prepare", "--help"]),
        ("flatnet-dns", &["--help"]),
    ] {
        let output = Command::new(folder.join(program)).args(words).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
        options.extend(variables(&String::from_utf8_lossy(&output.stdout)));
    }
    assert!(options.len() > 40, "{options:?}");
    let path = root().join("kind-config/manifests/flatnet.env");
    let text = std::fs::read_to_string(path).expect("flatnet.env");
    let line = |line: &str| {
        line.trim_start_matches('#')
            .split_once('=')
            .map(|(k, _)| k.to_owned())
    };
    let named: BTreeSet<_> = text.lines().filter_map(line).collect();
    let named: BTreeSet<_> = named
        .into_iter()
        .filter(|n| n.starts_with("FLATNET_"))
        .collect();
    assert_eq!(options, named);
}
