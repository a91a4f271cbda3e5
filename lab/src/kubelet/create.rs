//! The containers of a pod whose network is there: their files, cgroups, variables and commands.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use super::container::Container;
use super::env::{self, Facts};
use super::probe::Target;
use super::sandbox::Sandbox;
use super::state::ContainerState;
use super::{Kubelet, files};
use crate::cgroup;
use crate::entry::{self, Entry};
use crate::node::API_PORT;
use crate::objects::{self, Pod};

/// What every container of a pod gets alike.
struct Shared<'a> {
    kubelet: &'a Kubelet,
    pod: &'a Pod,
    sandbox: &'a Sandbox,
    /// Files of the pod and where they are seen.
    binds: Vec<(PathBuf, PathBuf)>,
    facts: Facts,
    states: &'a watch::Sender<Vec<ContainerState>>,
    stop: &'a watch::Sender<Option<Duration>>,
}

/// Makes what the containers of `pod` need, and says how each is run.
///
/// # Errors
/// A sentence for the pod's status: what the lab does not know or cannot make.
pub(super) fn containers(
    kubelet: &Kubelet,
    pod: &Pod,
    sandbox: &Sandbox,
    (states, stop): (
        &watch::Sender<Vec<ContainerState>>,
        &watch::Sender<Option<Duration>>,
    ),
) -> Result<Vec<Container>, String> {
    if !pod.spec.init_containers.is_empty() {
        return Err("the lab runs no init containers".to_owned());
    }
    let meta = &pod.metadata;
    let dir = kubelet
        .places
        .pod_dir(&meta.namespace, &meta.name, &meta.uid);
    let binds = files::write(&dir, pod, &sandbox.addresses).map_err(told)?;
    let facts = Facts {
        node: kubelet.node.name.clone(),
        host_ip: kubelet.node.address.into(),
        pod_ips: sandbox.addresses.clone(),
        api_port: API_PORT,
    };
    let shared = Shared {
        kubelet,
        pod,
        sandbox,
        binds,
        facts,
        states,
        stop,
    };
    let numbered = pod.spec.containers.iter().enumerate();
    let containers = numbered
        .map(|(index, container)| shared.container(index, container))
        .collect::<Result<Vec<_>, _>>()?;
    let entries: Vec<_> = containers
        .iter()
        .map(|made| made.target.entry.clone())
        .collect();
    entry::store(&dir, &entries).map_err(told)?;
    Ok(containers)
}

impl Shared<'_> {
    fn container(&self, index: usize, container: &objects::Container) -> Result<Container, String> {
        let Kubelet { places, node, .. } = self.kubelet;
        let meta = &self.pod.metadata;
        let entry = self.entry(container)?;
        let address = self
            .sandbox
            .addresses
            .first()
            .ok_or("the pod has no address")?;
        Ok(Container {
            index,
            argv: argv(container, &entry.environment)?,
            log: places.container_log(&meta.namespace, &meta.name, &container.name),
            target: Target {
                node_netns: places.netns(&node.name),
                address: *address,
                container: container.clone(),
                entry,
            },
            restart_policy: self.pod.spec.restart_policy.clone(),
            states: self.states.clone(),
            stop: self.stop.subscribe(),
        })
    }

    fn entry(&self, container: &objects::Container) -> Result<Entry, String> {
        let Kubelet {
            places,
            settings,
            node,
            ..
        } = self.kubelet;
        let pod_cgroup = places.pod_cgroup(&node.name, &self.pod.metadata.uid);
        let cgroup = pod_cgroup.join(&container.name);
        cgroup::create(&cgroup).map_err(told)?;
        let own_name = !self.pod.spec.host_network;
        Ok(Entry {
            container: container.name.clone(),
            netns: self.sandbox.netns.clone(),
            cgroup,
            binds: self.binds.clone(),
            hostname: own_name.then(|| env::hostname(self.pod).to_owned()),
            environment: env::variables(self.pod, container, &self.facts).map_err(told)?,
            working_dir: container.working_dir.clone().map(Into::into),
            path: settings.path(),
        })
    }
}

/// What to run. There are no images, so what an image would say must be said in the pod.
fn argv(
    container: &objects::Container,
    environment: &[(String, String)],
) -> Result<Vec<String>, String> {
    if container.command.is_empty() {
        return Err(format!(
            "container {} has no command: the lab pulls no image and runs programs of this machine",
            container.name
        ));
    }
    let words = container.command.iter().chain(&container.args);
    Ok(words.map(|word| env::expand(word, environment)).collect())
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_without_a_command_is_told_why() {
        let mut container = objects::Container {
            name: "web".into(),
            ..Default::default()
        };
        let error = argv(&container, &[]).expect_err("nothing to run");
        assert!(error.contains("container web has no command"), "{error}");
        container.command = vec!["serve".into()];
        container.args = vec!["--at".into(), "$(IP)".into()];
        let environment = [("IP".to_owned(), "1.2.3.4".to_owned())];
        assert_eq!(
            argv(&container, &environment),
            Ok(["serve", "--at", "1.2.3.4"].map(str::to_owned).into())
        );
    }
}
