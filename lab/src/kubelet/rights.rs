//! What a container may do and what it sees of its node, from its security context and its
//! volumes (pure).

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::namespaces::{Mount, Rights};
use crate::objects::{Container, Pod};
use crate::places::Places;

/// The capabilities that manifests of ours name, by their numbers (linux/capability.h).
const CAPABILITIES: [(&str, u32); 6] = [
    ("NET_BIND_SERVICE", 10),
    ("NET_ADMIN", 12),
    ("SYS_ADMIN", 21),
    ("SYS_RESOURCE", 24),
    ("PERFMON", 38),
    ("BPF", 39),
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SecurityContext {
    privileged: bool,
    run_as_user: Option<u32>,
    run_as_group: Option<u32>,
    capabilities: Capabilities,
    allow_privilege_escalation: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    add: Vec<String>,
    drop: Vec<String>,
}

/// What `container` may do.
///
/// # Errors
/// A sentence about what the lab does not know.
pub(super) fn of(pod: &Pod, container: &Container) -> Result<Rights, String> {
    let read = |value: &Value| {
        if value.is_null() {
            return Ok(SecurityContext::default());
        }
        SecurityContext::deserialize(value).map_err(|error| format!("securityContext: {error}"))
    };
    let (whole, own) = (
        read(&pod.spec.security_context)?,
        read(&container.security_context)?,
    );
    let capabilities = match own.privileged {
        true => None,
        false if own.capabilities.drop.iter().any(|name| name == "ALL") => {
            let numbers = own.capabilities.add.iter().map(|name| number(name));
            Some(numbers.collect::<Result<Vec<_>, _>>()?)
        }
        false => {
            return Err(format!(
                "container {} must drop ALL capabilities or be privileged: the lab gives no runtime's default",
                container.name
            ));
        }
    };
    Ok(Rights {
        user: own.run_as_user.or(whole.run_as_user).unwrap_or_default(),
        group: own.run_as_group.or(whole.run_as_group).unwrap_or_default(),
        capabilities,
        no_new_privileges: own.allow_privilege_escalation == Some(false),
    })
}

fn number(name: &str) -> Result<u32, String> {
    let known = CAPABILITIES.iter().find(|(known, _)| *known == name);
    let known = known.map(|(_, number)| *number);
    known.ok_or_else(|| format!("the lab knows no capability {name}"))
}

/// What of the node `container` sees, and where.
///
/// # Errors
/// A sentence about what the lab does not know.
pub(super) fn mounts(
    pod: &Pod,
    container: &Container,
    places: &Places,
    node: &str,
) -> Result<Vec<Mount>, String> {
    let mount = |wanted: &Value| {
        let text = |field: &str| wanted[field].as_str().unwrap_or_default().to_owned();
        let name = text("name");
        let volume = pod.spec.volumes.iter().find(|v| v["name"] == name.as_str());
        let path = volume.and_then(|volume| volume["hostPath"]["path"].as_str());
        let path = path.ok_or_else(|| format!("volume {name}: the lab has hostPath alone"))?;
        let source = on_node(Path::new(path), places, node)
            .ok_or_else(|| format!("volume {name}: a node of the lab has no {path} of its own"))?;
        let kind = volume.map(|volume| &volume["hostPath"]["type"]);
        if kind.is_some_and(|kind| kind == "DirectoryOrCreate") {
            std::fs::create_dir_all(&source).map_err(|error| format!("volume {name}: {error}"))?;
        }
        Ok(Mount {
            source,
            target: text("mountPath").trim_start_matches('/').into(),
            read_only: wanted["readOnly"] == true,
            shared: wanted["mountPropagation"] == "Bidirectional",
        })
    };
    container.volume_mounts.iter().map(mount).collect()
}

/// Where a path of a node is on this machine. A node is a network namespace, so it has of its own
/// only what the lab made for it.
fn on_node(path: &Path, places: &Places, node: &str) -> Option<PathBuf> {
    Some(match path.to_str()? {
        "/sys/fs/bpf" => places.bpffs(node),
        "/sys/fs/cgroup" => places.node_cgroup(node),
        "/etc/cni/net.d" => places.cni_conf(node),
        "/opt/cni/bin" => places.cni_bin(node),
        "/var/lib/cni" => places.var_lib(node).join("cni"),
        "/run/flatnet" => places.agent_state(node),
        // What is below shows the network namespace of who looks.
        "/proc/sys/net" => path.into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects;

    fn pod(container: Value, volumes: Value) -> Pod {
        let security = json!({"runAsUser": 7, "runAsGroup": 8});
        let spec =
            json!({"containers": [container], "volumes": volumes, "securityContext": security});
        objects::read(&json!({ "spec": spec })).expect("a pod")
    }

    fn rights(security: Value) -> Result<Rights, String> {
        let pod = pod(json!({"name": "c", "securityContext": security}), json!([]));
        of(&pod, &pod.spec.containers[0])
    }

    #[test]
    fn rights_are_the_containers_own_then_the_pods() {
        let drop = json!({"drop": ["ALL"], "add": ["BPF", "NET_ADMIN"]});
        let few = rights(
            json!({"capabilities": drop, "runAsUser": 0, "allowPrivilegeEscalation": false}),
        );
        let few = few.expect("known");
        assert_eq!((few.user, few.group), (0, 8));
        assert_eq!(few.capabilities, Some(vec![39, 12]));
        assert!(few.no_new_privileges);
        let all = rights(json!({"privileged": true})).expect("known");
        assert_eq!((all.user, all.capabilities), (7, None));
        for (security, said) in [
            (json!({}), "must drop ALL"),
            (
                json!({"capabilities": {"drop": ["ALL"], "add": ["X"]}}),
                "capability X",
            ),
            (json!({"runAsUser": "x"}), "securityContext"),
        ] {
            let error = rights(security).expect_err(said);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn volumes_are_what_the_lab_made_for_the_node() {
        let name = "x".parse().expect("a name");
        let places = Places::of(&name).expect("cgroup2");
        let volumes = json!([
            {"name": "bpf", "hostPath": {"path": "/sys/fs/bpf"}},
            {"name": "etc", "hostPath": {"path": "/etc"}},
            {"name": "tmp", "emptyDir": {}},
        ]);
        let found = |mount: Value| {
            let pod = pod(
                json!({"name": "c", "volumeMounts": [mount]}),
                volumes.clone(),
            );
            mounts(&pod, &pod.spec.containers[0], &places, "node1")
        };
        let bpf =
            json!({"name": "bpf", "mountPath": "/sys/fs/bpf", "mountPropagation": "Bidirectional"});
        let bpf = found(bpf).expect("known").remove(0);
        assert_eq!(bpf.source, places.bpffs("node1"));
        assert_eq!(bpf.target, Path::new("sys/fs/bpf"));
        assert!(bpf.shared && !bpf.read_only);
        for (name, said) in [
            ("etc", "no /etc of its own"),
            ("tmp", "hostPath alone"),
            ("z", "hostPath"),
        ] {
            let error = found(json!({"name": name, "mountPath": "/x"})).expect_err(said);
            assert!(error.contains(said), "{error}");
        }
    }
}
