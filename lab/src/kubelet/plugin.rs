//! Calling a CNI plugin: a process of the node with the environment and stdin of the
//! specification.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;

use super::Kubelet;
use super::cni::{self, Parameters};
use super::sandbox::{Attachment, SandboxError};
use crate::namespaces::Placement;
use crate::objects::Pod;
use crate::patience::longer;

/// Where every node has its bpffs.
const DEFAULT_BPFFS: &str = "/sys/fs/bpf";
/// A plugin that takes longer hangs; kubelets give up after about as long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The capability under which containerd and CRI-O pass a pod's annotations.
const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

/// One invocation of a plugin.
pub(super) struct Call<'a> {
    pub(super) kubelet: &'a Kubelet,
    pub(super) pod: &'a Pod,
    pub(super) netns: &'a Path,
    pub(super) attachment: &'a Attachment,
}

impl Call<'_> {
    /// Runs it; what it printed, or null.
    pub(super) async fn run(
        &self,
        command: &'static str,
        plugin: &Value,
        previous: Option<&Value>,
    ) -> Result<Value, SandboxError> {
        let name = plugin["type"].as_str().unwrap_or_default();
        let failed = |why| SandboxError::Plugin {
            command,
            plugin: name.to_owned(),
            why,
        };
        let capabilities = capabilities(self.pod);
        let request = self
            .attachment
            .configuration
            .request(plugin, &capabilities, previous);
        let running = self.execute(command, name, &request);
        let output = tokio::time::timeout(longer(TIMEOUT), running)
            .await
            .map_err(|_elapsed| failed(format!("no answer in {:?}", longer(TIMEOUT))))?
            .map_err(|error| failed(error.to_string()))?;
        self.keep_log(command, name, &output.stderr);
        if !output.status.success() {
            return Err(failed(cni::failure(&output.stdout, &output.stderr)));
        }
        if output.stdout.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
    }

    async fn execute(&self, command: &str, name: &str, request: &Value) -> io::Result<Output> {
        let (kubelet, meta) = (self.kubelet, &self.pod.metadata);
        let node = &kubelet.node.name;
        let path = kubelet.settings.cni_path(&kubelet.places, node);
        let program = find(name, &path)?;
        let parameters = Parameters {
            command,
            container_id: &self.attachment.id,
            netns: self.netns,
            path,
            namespace: &meta.namespace,
            pod: &meta.name,
            uid: &meta.uid,
        };
        let mut process = std::process::Command::new(program);
        process
            .envs(parameters.environment())
            .env("PATH", kubelet.settings.path());
        process
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut placement = Placement::default()
            .netns(&kubelet.places.netns(node))?
            .cgroup(&kubelet.places.system_cgroup(node))?;
        if kubelet.settings.image.is_some() {
            // The configuration is a real node's: these are the places that it names.
            placement = placement
                .bind(kubelet.places.bpffs(node), DEFAULT_BPFFS)
                .bind(kubelet.places.var_lib(node), "/var/lib");
        }
        placement.apply(&mut process);
        let mut child = tokio::process::Command::from(process)
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(request.to_string().as_bytes()).await?;
        }
        child.wait_with_output().await
    }

    /// What plugins say on stderr is for the operator: one log for each node.
    fn keep_log(&self, command: &str, name: &str, said: &[u8]) {
        use std::io::Write;
        if said.is_empty() {
            return;
        }
        let path = self
            .kubelet
            .places
            .logs()
            .join(format!("cni-{}.log", self.kubelet.node.name));
        let log = OpenOptions::new().create(true).append(true).open(path);
        let pod = &self.pod.metadata.name;
        let text = String::from_utf8_lossy(said);
        if let Err(error) = log.and_then(|mut log| writeln!(log, "{command} {name} {pod}: {text}"))
        {
            tracing::warn!(%error, "the CNI log cannot be written");
        }
    }
}

/// Looks the plugin up in CNI_PATH, as the runtime must.
fn find(name: &str, path: &OsStr) -> io::Result<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            let text = format!("plugin {name} not found in {}", path.display());
            io::Error::new(io::ErrorKind::NotFound, text)
        })
}

/// What the runtime offers to tell: `portMappings`, the container ports with a hostPort, and the
/// pod's annotations, as containerd does, down to the case of its letters.
fn capabilities(pod: &Pod) -> Map<String, Value> {
    let ports = pod
        .spec
        .containers
        .iter()
        .flat_map(|container| &container.ports);
    let mappings: Vec<_> = ports
        .filter_map(|port| {
            let mut mapping = json!({
                "HostPort": port.host_port?,
                "ContainerPort": port.container_port,
                "Protocol": port.protocol().to_lowercase(),
            });
            if let Some(host_ip) = &port.host_ip {
                mapping["HostIP"] = json!(host_ip);
            }
            Some(mapping)
        })
        .collect();
    let mut capabilities = Map::new();
    if !mappings.is_empty() {
        capabilities.insert("portMappings".to_owned(), Value::Array(mappings));
    }
    let annotations = &pod.metadata.annotations;
    if !annotations.is_empty() {
        capabilities.insert(ANNOTATIONS.to_owned(), json!(annotations));
    }
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_all_containers_that_want_one_of_the_nodes() {
        let pod = |containers: Value| -> Pod {
            let text = json!({"metadata": {"name": "p"}, "spec": {"containers": containers}});
            serde_json::from_value(text).expect("a pod")
        };
        let first = json!([
            {"containerPort": 80, "hostPort": 8080},
            {"containerPort": 53, "hostPort": 53, "hostIP": "127.0.0.1", "protocol": "UDP"},
            {"containerPort": 81},
        ]);
        let second = json!([{"containerPort": 7, "hostPort": 7, "protocol": "SCTP"}]);
        let both = pod(json!([{"name": "a", "ports": first}, {"name": "b", "ports": second}]));
        let expected = json!([
            {"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp"},
            {"HostPort": 53, "ContainerPort": 53, "Protocol": "udp", "HostIP": "127.0.0.1"},
            {"HostPort": 7, "ContainerPort": 7, "Protocol": "sctp"},
        ]);
        assert_eq!(capabilities(&both)["portMappings"], expected);
        let none = pod(json!([{"name": "a", "ports": [{"containerPort": 81}]}]));
        assert!(capabilities(&none).is_empty());
    }

    #[test]
    fn annotations_are_passed_as_they_are() {
        let text = json!({"metadata": {"name": "p", "annotations": {"a/b": "c"}}});
        let pod: Pod = serde_json::from_value(text).expect("a pod");
        let expected = json!({ANNOTATIONS: {"a/b": "c"}});
        assert_eq!(Value::Object(capabilities(&pod)), expected);
    }
}
