//! Running a command inside a lab: in a pod, as a process of a node, on the outside client.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::client::Client;
use crate::entry;
use crate::error::LabError;
use crate::fabric::CLIENT;
use crate::namespaces::Placement;
use crate::node::{API_PORT, Node};
use crate::objects::{self, Pod};
use crate::places::Places;
use crate::settings::Settings;
use crate::store::{Kind, object};

/// Where to run it.
#[derive(Debug)]
pub(super) enum Target {
    Pod {
        namespace: String,
        pod: String,
        container: Option<String>,
    },
    Node(String),
    Client,
}

/// Replaces this process by the command, so that its exit status, signals and terminal are the
/// command's own. Returns only to say why it could not.
pub(super) fn enter(places: &Places, target: &Target, argv: &[String]) -> LabError {
    match prepare(places, target, argv) {
        Ok(mut command) => {
            let error = command.exec();
            LabError::Io {
                what: format!("running {argv:?}"),
                source: error,
            }
        }
        Err(error) => error,
    }
}

fn prepare(places: &Places, target: &Target, argv: &[String]) -> Result<Command, LabError> {
    match target {
        Target::Pod {
            namespace,
            pod,
            container,
        } => in_pod(places, (namespace, pod), container.as_deref(), argv),
        Target::Node(name) => on_node(places, name, argv),
        Target::Client => on_client(places, argv),
    }
}

fn in_pod(
    places: &Places,
    (namespace, pod): (&str, &str),
    container: Option<&str>,
    argv: &[String],
) -> Result<Command, LabError> {
    let pod = match pod.split_once('/') {
        Some(("deploy" | "deployment" | "deployments", name)) => {
            ready_pod(places, namespace, name)?
        }
        Some(("pod" | "po" | "pods", name)) => name.to_owned(),
        _ => pod.to_owned(),
    };
    let entry = entry::load(places, (namespace, &pod), container);
    let entry = entry.map_err(|error| LabError::NotFound(error.to_string()))?;
    let command = entry.command(argv);
    let mut command = command.map_err(LabError::doing(format!("entering {pod}")))?;
    // What the terminal is does not depend on where the command runs.
    command.envs(std::env::var_os("TERM").map(|term| ("TERM", term)));
    Ok(command)
}

fn on_node(places: &Places, name: &str, argv: &[String]) -> Result<Command, LabError> {
    let settings = Settings::load(places).map_err(LabError::doing("settings"))?;
    let node = settings.node(name).ok_or_else(|| {
        let known: Vec<_> = settings
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        LabError::NotFound(format!("no node {name:?}; there are {}", known.join(", ")))
    })?;
    let placement = node_placement(places, node).map_err(LabError::doing(name))?;
    let mut command = command(&settings, argv);
    command
        .env("NODE_NAME", &node.name)
        .env("NODE_IP", node.address().to_string())
        .env("FLATNET_SOCKET", places.socket(&node.name));
    command.env("KUBERNETES_SERVICE_HOST", node.address().to_string());
    command.env("KUBERNETES_SERVICE_PORT", API_PORT.to_string());
    placement.apply(&mut command);
    Ok(command)
}

fn on_client(places: &Places, argv: &[String]) -> Result<Command, LabError> {
    let settings = Settings::load(places).map_err(LabError::doing("settings"))?;
    let placement = Placement::default()
        .netns(&places.netns(CLIENT))
        .and_then(|placement| placement.cgroup(&places.client_cgroup()));
    let mut command = command(&settings, argv);
    placement
        .map_err(LabError::doing("outside client"))?
        .apply(&mut command);
    Ok(command)
}

fn command(settings: &Settings, argv: &[String]) -> Command {
    // clap requires a command, so there is a first word.
    let mut command = Command::new(argv.first().map(String::as_str).unwrap_or_default());
    command
        .args(argv.get(1..).unwrap_or_default())
        .env("PATH", settings.path());
    command
}

fn node_placement(places: &Places, node: &Node) -> io::Result<Placement> {
    let placement = Placement::default()
        .netns(&places.netns(&node.name))?
        .cgroup(&places.system_cgroup(&node.name))?;
    // Where tools such as bpftool look for the node's bpffs.
    let usual = std::path::Path::new("/sys/fs/bpf");
    Ok(if usual.is_dir() {
        placement.bind(places.bpffs(&node.name), usual)
    } else {
        placement
    })
}

/// A ready pod of a Deployment, the first by name.
fn ready_pod(places: &Places, namespace: &str, deployment: &str) -> Result<String, LabError> {
    let client = Client::of_kubeconfig(&places.kubeconfig())?;
    let not_found = |text: String| LabError::NotFound(text);
    let object = client
        .find(Kind::Deployment, namespace, deployment)?
        .ok_or_else(|| not_found(format!("no Deployment {namespace}/{deployment}")))?;
    let pods = client.list(Kind::Pod, namespace)?;
    let pods = pods.iter().filter_map(|pod| objects::read::<Pod>(pod).ok());
    let fits = |pod: &Pod| {
        pod.metadata.is_controlled_by(object::uid(&object))
            && pod.ready()
            && !pod.metadata.terminating()
    };
    pods.into_iter()
        .find(fits)
        .map(|pod| pod.metadata.name)
        .ok_or_else(|| not_found(format!("no pod of {namespace}/{deployment} is ready")))
}
