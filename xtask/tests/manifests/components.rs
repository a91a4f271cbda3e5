//! The components: each in an overlay as a user writes one, and that it gives what it says and
//! changes nothing else.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::{check, rendered, rendered_at, root};

/// What an overlay in a folder of its own renders to: the variant for kind, with one component.
fn with_component(component: &str) -> Option<Vec<Value>> {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().canonicalize().expect("it is there");
    // Kustomize takes folders by relative paths alone.
    let up = "../".repeat(here.components().count() - 1);
    let there = root().join("kind-config").canonicalize().expect("there");
    let there = there.strip_prefix("/").expect("absolute");
    let at = |what: &str| format!("{up}{}", there.join(what).display());
    let overlay = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [at("kind")],
        "components": [at(&Path::new("manifests").join(component).display().to_string())],
    });
    // JSON is YAML.
    fs::write(here.join("kustomization.yaml"), overlay.to_string()).expect("written");
    rendered_at(&here)
}

/// The object that a component changes, without it and with it. All others are the same.
fn changed(component: &str) -> Option<(Value, Value)> {
    let (before, after) = (rendered("kind")?, with_component(component)?);
    for object in &after {
        if let Err(error) = check(object) {
            panic!("{component}: {}: {error}", object["kind"]);
        }
    }
    assert_eq!(before.len(), after.len(), "{component}");
    let both = before.into_iter().zip(after);
    let mut different: Vec<_> = both.filter(|(before, after)| before != after).collect();
    assert_eq!(different.len(), 1, "{component}");
    different.pop()
}

#[test]
fn the_agent_sees_pods_by_the_rights_named() {
    let Some((mut before, after)) = changed("agent-sees-pods") else {
        return;
    };
    assert_eq!(before["kind"], "DaemonSet");
    let added = ["SYS_ADMIN", "SYS_PTRACE", "NET_RAW", "SYSLOG"];
    let pod = &mut before["spec"]["template"]["spec"];
    pod["hostPID"] = true.into();
    let rights = &mut pod["containers"][0]["securityContext"]["capabilities"]["add"];
    let rights = rights.as_array_mut().expect("capabilities");
    rights.extend(added.map(Value::from));
    assert_eq!(before, after);
    // Whoever decides on them reads this.
    let said = fs::read_to_string(root().join("SECURITY.md")).expect("SECURITY.md");
    for right in added {
        assert!(said.contains(&format!("CAP_{right}")), "{right}");
    }
}

#[test]
fn the_dns_server_watches_pods_by_the_right_named() {
    let Some((mut before, after)) = changed("dns-watches-pods") else {
        return;
    };
    assert_eq!(before["kind"], "ClusterRole");
    assert_eq!(before["metadata"]["name"], "flatnet-dns");
    let rules = before["rules"].as_array_mut().expect("rules");
    rules.push(json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}));
    assert_eq!(before, after);
}
