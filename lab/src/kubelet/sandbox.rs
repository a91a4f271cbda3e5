//! A pod's network: a namespace, and what the CNI plugins make in it.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::Kubelet;
use super::cni::{self, Configuration, ConfigurationError};
use super::plugin::Call;
use crate::fabric;
use crate::namespaces;
use crate::objects::Pod;

/// The name of a pod's interface.
pub(super) const INTERFACE: &str = "eth0";

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
pub(super) struct Attachment {
    pub(super) id: String,
    pub(super) configuration: Configuration,
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
            let addresses = kubelet.node.addresses().collect();
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

/// The kernel parameters of its network namespace that the pod asks for.
fn set_sysctls(pod: &Pod, netns: &Path) -> Result<(), SandboxError> {
    let wanted = pod.spec.security_context["sysctls"].as_array();
    for sysctl in wanted.into_iter().flatten() {
        let text = |field: &str| sysctl[field].as_str().unwrap_or_default();
        let (name, value) = (text("name"), text("value"));
        if !name.starts_with("net.") {
            let why = format!("sysctl {name}: a pod has those of its network alone");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why).into());
        }
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        tokio::task::block_in_place(|| namespaces::inside(netns, || fs::write(&path, value)))?;
    }
    Ok(())
}

async fn attach(
    kubelet: &Kubelet,
    pod: &Pod,
    netns: &Path,
    attachment: &mut Attachment,
) -> Result<Vec<IpAddr>, SandboxError> {
    tokio::task::block_in_place(|| {
        namespaces::create_netns(netns)?;
        fabric::ip_batch_in(netns, &["link set lo up".to_owned()])
    })?;
    set_sysctls(pod, netns)?;
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
    let mut addresses = cni::addresses(&result);
    // The cluster's first family first, whatever order the plugins have: podIP is the first.
    let first = kubelet.node.address().is_ipv4();
    addresses.sort_by_key(|address| address.is_ipv4() != first);
    attachment.result = Some(result);
    if addresses.is_empty() {
        Err(SandboxError::NoAddress)
    } else {
        Ok(addresses)
    }
}
