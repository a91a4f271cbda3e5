//! The program's manifests: names and ports that fit together, and rights for what it asks, no more.
//! (That it takes the options of `flatnet.env` is a test of xtask's.)

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, SERVICES, SLICES};
use crate::running::{PATIENCE, Running};

/// Folders of `kind-config/manifests`, and what runs the server there.
const MANIFESTS: [(&str, &str); 2] = [("dns", "Deployment"), ("dns-every-node", "DaemonSet")];

/// What `kubectl apply -k` would send of a folder.
fn rendered(folder: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kind-config/manifests");
    let mut command = Command::new("kubectl");
    let output = command.arg("kustomize").arg(path.join(folder)).output();
    let output = output.expect("kubectl, which cargo xtask setup asks for");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{folder}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

fn object(manifest: &str, kind: &str) -> Value {
    let mut objects = serde_yaml_ng::Deserializer::from_str(manifest)
        .map(|document| Value::deserialize(document).expect("YAML"));
    let found = objects.find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("a {kind}"))
}

fn words(list: &Value) -> Vec<&str> {
    let words = list.as_array().into_iter().flatten();
    words.filter_map(Value::as_str).collect()
}

/// The paths that a role lets one list and watch.
fn readable(role: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        assert_eq!(rule["verbs"], json!(["list", "watch"]), "and nothing else");
        for group in words(&rule["apiGroups"]) {
            for plural in words(&rule["resources"]) {
                paths.insert(match group {
                    "" => format!("/api/v1/{plural}"),
                    group => format!("/apis/{group}/v1/{plural}"),
                });
            }
        }
    }
    paths
}

#[test]
fn the_role_is_what_the_program_asks_for() {
    let api = Api::started();
    let server = Running::start_with(&api.url(), &[]);
    server.line("synced");
    let mut asked = BTreeSet::new();
    for path in [SERVICES, SLICES] {
        for verb in ["LIST", "WATCH"] {
            // The watch begins when the list is in.
            let begun = Instant::now();
            while api.requests(&format!("{verb} {path} ")).is_empty() {
                assert!(begun.elapsed() < PATIENCE, "{verb} {path}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        asked.insert(path.to_owned());
    }
    let all = api.requests("");
    let strange = all
        .iter()
        .find(|line| !asked.iter().any(|path| line.contains(path)));
    assert_eq!(strange, None);
    for (folder, _) in MANIFESTS {
        let role = object(&rendered(folder), "ClusterRole");
        assert_eq!(readable(&role), asked, "{folder}");
    }
}

#[test]
fn names_and_ports_of_a_manifest_fit_together() {
    for (file, kind) in MANIFESTS {
        let text = &rendered(file);
        let (service, set) = (object(text, "Service"), object(text, kind));
        let pod = &set["spec"]["template"];
        assert_eq!(
            service["spec"]["selector"], pod["metadata"]["labels"],
            "{file}"
        );
        assert_eq!(
            set["spec"]["selector"]["matchLabels"],
            pod["metadata"]["labels"]
        );
        let (account, binding) = (
            object(text, "ServiceAccount"),
            object(text, "ClusterRoleBinding"),
        );
        assert_eq!(
            account["metadata"]["name"],
            pod["spec"]["serviceAccountName"]
        );
        assert_eq!(binding["subjects"][0]["name"], account["metadata"]["name"]);
        assert_eq!(
            binding["roleRef"]["name"],
            object(text, "ClusterRole")["metadata"]["name"]
        );

        let container = &pod["spec"]["containers"][0];
        let port = |name: &Value, protocol: &str| {
            let ports = container["ports"].as_array().into_iter().flatten();
            let mut ports =
                ports.filter(|port| port["protocol"].as_str().unwrap_or("TCP") == protocol);
            ports
                .find(|port| port["name"] == *name)
                .map(|port| port["containerPort"].clone())
        };
        for wanted in service["spec"]["ports"].as_array().expect("ports") {
            let protocol = wanted["protocol"].as_str().unwrap_or("TCP");
            let found = port(&wanted["targetPort"], protocol);
            assert_eq!(found.as_ref(), Some(&wanted["port"]), "{file}: {wanted}");
        }
        for (probe, path) in [("readinessProbe", "/ready"), ("livenessProbe", "/health")] {
            let get = &container[probe]["httpGet"];
            assert_eq!(
                (&get["path"], port(&get["port"], "TCP")),
                (&json!(path), Some(json!(8181)))
            );
        }
    }
}
