//! A pod's network: a namespace, and what the CNI plugins make in it.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::io::AsyncWriteExt;

use super::Kubelet;
use super::cni::{self, Configuration, ConfigurationError, Parameters};
use crate::fabric;
use crate::namespaces::{self, Placement};
use crate::objects::Pod;

/// The name of a pod's interface.
pub(super) const INTERFACE: &str = "eth0";
/// A plugin that takes longer hangs; kubelets give up after about as long.
const PLUGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What a pod's processes are put into.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) netns: PathBuf,
    pub(super) addresses: Vec<IpAddr>,
    /// Absent for a pod in the node's own network.
    attachment: Option<Attachment>,
}

/// What DEL must be told again.
#[derive(Debug)]
struct Attachment {
    id: String,
    configuration: Configuration,
    result: Option<Value>,
}

/// Why a sandbox could not be made.
#[derive(Debug, Error)]
pub(super) enum SandboxError {
    #[error("the network is not ready: no CNI configuration in {0}")]
    NoConfiguration(PathBuf),
    #[error("CNI configuration {0}: {1}")]
    Configuration(PathBuf, ConfigurationError),
    #[error("CNI {command} by {plugin}: {why}")]
    Plugin {
        command: &'static str,
        plugin: String,
        why: String,
    },
    #[error("the plugins gave the pod no address")]
    NoAddress,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Sandbox {
    /// Makes the network of `pod`; after an error nothing of it is left.
    pub(super) async fn create(kubelet: &Kubelet, pod: &Pod) -> Result<Self, SandboxError> {
        if pod.spec.host_network {
            let netns = kubelet.places.netns(&kubelet.node.name);
            let addresses = vec![kubelet.node.address.into()];
            return Ok(Self {
                netns,
                addresses,
                attachment: None,
            });
        }
        let configuration = load(&kubelet.places.cni_conf(&kubelet.node.name))?;
        // A new name for every attempt, so that what a failed one left behind is never reused.
        let id = format!("{:032x}", fastrand::u128(..));
        let netns = kubelet.places.pod_netns(&id[..12]);
        let mut attachment = Attachment {
            id,
            configuration,
            result: None,
        };
        match attach(kubelet, pod, &netns, &mut attachment).await {
            Ok(addresses) => Ok(Self {
                netns,
                addresses,
                attachment: Some(attachment),
            }),
            Err(error) => {
                let failed = Self {
                    netns,
                    addresses: vec![],
                    attachment: Some(attachment),
                };
                if let Err(undo) = failed.remove(kubelet, pod).await {
                    tracing::warn!(pod = pod.metadata.name, error = %undo, "sandbox not undone");
                }
                Err(error)
            }
        }
    }

    /// DEL through the plugins, last first, then the namespace. Everything is tried.
    ///
    /// # Errors
    /// The first that failed.
    pub(super) async fn remove(self, kubelet: &Kubelet, pod: &Pod) -> Result<(), SandboxError> {
        let Some(attachment) = self.attachment else {
            return Ok(());
        };
        let mut outcome = Ok(());
        for plugin in attachment.configuration.plugins().rev() {
            let previous = attachment.result.as_ref();
            let call = Call {
                kubelet,
                pod,
                netns: &self.netns,
                attachment: &attachment,
            };
            outcome = outcome.and(call.run("DEL", plugin, previous).await.map(drop));
        }
        outcome.and(namespaces::remove_netns(&self.netns).map_err(SandboxError::from))
    }
}

fn load(dir: &Path) -> Result<Configuration, SandboxError> {
    let files = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    let file = cni::first_configuration(files)
        .ok_or_else(|| SandboxError::NoConfiguration(dir.to_owned()))?;
    Configuration::parse(&fs::read(&file)?)
        .map_err(|error| SandboxError::Configuration(file, error))
}

async fn attach(
    kubelet: &Kubelet,
    pod: &Pod,
    netns: &Path,
    attachment: &mut Attachment,
) -> Result<Vec<IpAddr>, SandboxError> {
    namespaces::create_netns(netns)?;
    fabric::ip_batch_in(netns, &["link set lo up".to_owned()])?;
    let mut result = None;
    for plugin in attachment.configuration.plugins() {
        let call = Call {
            kubelet,
            pod,
            netns,
            attachment,
        };
        result = Some(call.run("ADD", plugin, result.as_ref()).await?);
    }
    let result = result.unwrap_or_default();
    let addresses = cni::addresses(&result);
    attachment.result = Some(result);
    if addresses.is_empty() {
        Err(SandboxError::NoAddress)
    } else {
        Ok(addresses)
    }
}

/// One invocation of a plugin.
struct Call<'a> {
    kubelet: &'a Kubelet,
    pod: &'a Pod,
    netns: &'a Path,
    attachment: &'a Attachment,
}

impl Call<'_> {
    async fn run(
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
        let capabilities = port_mappings(self.pod);
        let request = self
            .attachment
            .configuration
            .request(plugin, &capabilities, previous);
        let running = self.execute(command, name, &request);
        let output = tokio::time::timeout(PLUGIN_TIMEOUT, running)
            .await
            .map_err(|_elapsed| failed(format!("no answer in {PLUGIN_TIMEOUT:?}")))?
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

    async fn execute(
        &self,
        command: &str,
        name: &str,
        request: &Value,
    ) -> io::Result<std::process::Output> {
        let (kubelet, meta) = (self.kubelet, &self.pod.metadata);
        let path = kubelet.settings.cni_path();
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
        Placement::default()
            .netns(&kubelet.places.netns(&kubelet.node.name))?
            .cgroup(&kubelet.places.system_cgroup(&kubelet.node.name))?
            .apply(&mut process);
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
fn find(name: &str, path: &std::ffi::OsStr) -> io::Result<PathBuf> {
    std::env::split_paths(path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            let text = format!("plugin {name} not found in {}", path.display());
            io::Error::new(io::ErrorKind::NotFound, text)
        })
}

/// The `portMappings` capability: the container ports with a hostPort.
fn port_mappings(pod: &Pod) -> Map<String, Value> {
    let ports = pod
        .spec
        .containers
        .iter()
        .flat_map(|container| &container.ports);
    let mappings: Vec<_> = ports
        .filter_map(|port| {
            let mut mapping = json!({
                "hostPort": port.host_port?,
                "containerPort": port.container_port,
                "protocol": port.protocol().to_lowercase(),
            });
            if let Some(host_ip) = &port.host_ip {
                mapping["hostIP"] = json!(host_ip);
            }
            Some(mapping)
        })
        .collect();
    let mut capabilities = Map::new();
    if !mappings.is_empty() {
        capabilities.insert("portMappings".to_owned(), Value::Array(mappings));
    }
    capabilities
}
