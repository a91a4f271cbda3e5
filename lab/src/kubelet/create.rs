//! The containers of a pod whose network is there: their files, cgroups, variables and commands.
//! Those that name the lab's image get its files; the others run programs of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::container::Container;
use super::env::{self, Facts};
use super::probe::Target;
use super::sandbox::Sandbox;
use super::state::ContainerState;
use super::{Kubelet, files, rights};
use crate::cgroup;
use crate::entry::{self, Entry};
use crate::image::Image;
use crate::namespaces::{Mount, Root};
use crate::node::API_PORT;
use crate::objects::{self, Pod};
use crate::store::{Kind, object};

/// What every container of a pod gets alike.
struct Shared<'a> {
    kubelet: &'a Kubelet,
    pod: &'a Pod,
    sandbox: &'a Sandbox,
    /// Files of the pod and where they are seen.
    binds: Vec<(PathBuf, PathBuf)>,
    facts: Facts,
    stop: &'a watch::Sender<Option<Duration>>,
}

/// The containers of a pod.
pub(super) struct Containers {
    /// They run one after another, each until it succeeds, before the others.
    pub(super) init: Vec<Container>,
    pub(super) main: Vec<Container>,
}

/// The states that the containers of a pod write.
#[derive(Clone, Copy)]
pub(super) struct States<'a> {
    pub(super) init: &'a watch::Sender<Vec<ContainerState>>,
    pub(super) main: &'a watch::Sender<Vec<ContainerState>>,
}

/// Makes what the containers of `pod` need, and says how each is run.
///
/// # Errors
/// A sentence for the pod's status: what the lab does not know or cannot make.
pub(super) fn containers(
    kubelet: &Kubelet,
    pod: &Pod,
    sandbox: &Sandbox,
    (states, stop): (States<'_>, &watch::Sender<Option<Duration>>),
) -> Result<Containers, String> {
    let meta = &pod.metadata;
    let dir = kubelet
        .places
        .pod_dir(&meta.namespace, &meta.name, &meta.uid);
    let resolver = kubelet.settings.network.families.dns_addresses()[0];
    let binds = files::write(&dir, pod, &sandbox.addresses, resolver).map_err(told)?;
    let facts = Facts {
        node: kubelet.node.name.clone(),
        host_ips: kubelet.node.addresses().collect(),
        pod_ips: sandbox.addresses.clone(),
        api_port: API_PORT,
        config_maps: config_maps(kubelet, &meta.namespace),
    };
    let shared = Shared {
        kubelet,
        pod,
        sandbox,
        binds,
        facts,
        stop,
    };
    let made = Containers {
        init: shared.all(&pod.spec.init_containers, ("OnFailure", states.init))?,
        main: shared.all(
            &pod.spec.containers,
            (&pod.spec.restart_policy, states.main),
        )?,
    };
    let entries: Vec<_> = made
        .main
        .iter()
        .map(|made| made.target.entry.clone())
        .collect();
    entry::store(&dir, &entries).map_err(told)?;
    Ok(made)
}

fn config_maps(kubelet: &Kubelet, namespace: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let maps = kubelet.store.list(Kind::ConfigMap, Some(namespace)).items;
    let read = |map: &Arc<Value>| {
        let data = objects::read(&map["data"]).unwrap_or_default();
        (object::name(map).to_owned(), data)
    };
    maps.iter().map(read).collect()
}

impl Shared<'_> {
    fn all(
        &self,
        containers: &[objects::Container],
        how: (&str, &watch::Sender<Vec<ContainerState>>),
    ) -> Result<Vec<Container>, String> {
        let numbered = containers.iter().enumerate();
        numbered
            .map(|(index, container)| self.container(index, container, how))
            .collect()
    }

    fn container(
        &self,
        index: usize,
        container: &objects::Container,
        (restart_policy, states): (&str, &watch::Sender<Vec<ContainerState>>),
    ) -> Result<Container, String> {
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
            restart_policy: restart_policy.to_owned(),
            states: states.clone(),
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
        let mut entry = Entry {
            container: container.name.clone(),
            netns: self.sandbox.netns.clone(),
            cgroup,
            binds: self.binds.clone(),
            hostname: own_name.then(|| env::hostname(self.pod).to_owned()),
            environment: env::variables(self.pod, container, &self.facts).map_err(told)?,
            working_dir: container.working_dir.clone().map(Into::into),
            path: settings.path(),
            root: None,
        };
        if let Some(image) = settings.image(&container.image) {
            self.put_into(image, container, &mut entry)?;
        }
        Ok(entry)
    }

    /// Gives the container the image's files and variables, in place of this machine's.
    fn put_into(
        &self,
        image: &Image,
        container: &objects::Container,
        entry: &mut Entry,
    ) -> Result<(), String> {
        let Kubelet { places, node, .. } = self.kubelet;
        let mut mounts = rights::mounts(self.pod, container, places, &node.name)?;
        // What the pod has no file of its own for is the node's, and a node has this machine's.
        let files = ["/etc/hosts", "/etc/resolv.conf"].map(Path::new);
        for target in files {
            let own = entry.binds.iter().find(|(_, bound)| bound == target);
            mounts.push(Mount {
                source: own.map_or(target, |(source, _)| source).into(),
                target: target.strip_prefix("/").unwrap_or(target).into(),
                read_only: true,
                shared: false,
            });
        }
        entry.binds.clear();
        entry.path = image.path().into();
        let given = image.environment.iter();
        let known = |name: &String| entry.environment.iter().any(|(known, _)| known == name);
        let more: Vec<_> = given.filter(|(name, _)| !known(name)).cloned().collect();
        entry.environment.splice(0..0, more);
        entry.root = Some(Root {
            files: image.root.clone(),
            cgroup: entry.cgroup.clone(),
            mounts,
            rights: rights::of(self.pod, container)?,
        });
        Ok(())
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
