//! One pod on its node, from the first sandbox to the last byte removed.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::container::Container;
use super::env::{self, Facts};
use super::probe::Target;
use super::sandbox::Sandbox;
use super::state::{ContainerState, back_off};
use super::status::{self, Observed};
use super::{Kubelet, events, files};
use crate::cgroup;
use crate::entry::{self, Entry};
use crate::node::API_PORT;
use crate::objects::{self, Pod};
use crate::store::{DeleteOptions, Kind, clock};

/// A pod's object as the store has it; nothing once it is gone from there.
pub(super) type Updates = watch::Receiver<Option<Arc<Value>>>;

/// Runs a pod until it is deleted, and removes what it left.
pub(super) async fn run(kubelet: Arc<Kubelet>, pod: Pod, updates: Updates) {
    let states = vec![ContainerState::creating(); pod.spec.containers.len()];
    let states = watch::Sender::new(states);
    let start_time = clock::timestamp();
    let life = Life {
        kubelet,
        pod,
        updates,
        states,
        start_time,
    };
    let network = life.network().await;
    if let Some(sandbox) = network {
        life.containers(&sandbox).await;
        if let Err(error) = sandbox.remove(&life.kubelet, &life.pod).await {
            tracing::error!(pod = life.pod.metadata.name, %error, "sandbox not removed");
        }
    }
    if let Err(error) = life.remove_files() {
        tracing::error!(pod = life.pod.metadata.name, %error, "files not removed");
    }
    life.delete_object();
}

struct Life {
    kubelet: Arc<Kubelet>,
    pod: Pod,
    updates: Updates,
    states: watch::Sender<Vec<ContainerState>>,
    start_time: String,
}

impl Life {
    /// The pod's network, tried until it is there; nothing if the pod is deleted before.
    async fn network(&self) -> Option<Sandbox> {
        for attempt in 1.. {
            self.report(None, None);
            match Sandbox::create(&self.kubelet, &self.pod).await {
                Ok(sandbox) => return Some(sandbox),
                Err(error) => {
                    let problem = error.to_string();
                    tracing::warn!(pod = self.pod.metadata.name, problem, "no sandbox");
                    self.report(None, Some(&problem));
                    events::failed_sandbox(&self.kubelet, &self.pod, &problem);
                }
            }
            let mut updates = self.updates.clone();
            tokio::select! {
                () = sleep(back_off(attempt)) => {}
                _ = updates.wait_for(is_going) => return None,
            }
        }
        None
    }

    /// Runs the containers; returns when the pod is deleted and they have ended.
    async fn containers(&self, sandbox: &Sandbox) {
        let stop = watch::Sender::new(None);
        let mut running = JoinSet::new();
        match self.prepare(sandbox, &stop) {
            Ok(containers) => {
                for container in containers {
                    running.spawn(container.run());
                }
            }
            Err(problem) => self.fail_to_create(&problem),
        }
        let mut states = self.states.subscribe();
        let mut updates = self.updates.clone();
        let mut going = false;
        while !(going && running.is_empty()) {
            self.report(Some(sandbox), None);
            tokio::select! {
                Ok(()) = states.changed() => {}
                Ok(()) = updates.changed() => {}
                Some(_) = running.join_next() => {}
            }
            states.mark_unchanged();
            if let Some(grace) = remaining_grace(updates.borrow_and_update().as_deref()) {
                going = true;
                stop.send_if_modified(|stop| stop.replace(grace) != Some(grace));
            }
        }
        self.report(Some(sandbox), None);
    }

    fn prepare(
        &self,
        sandbox: &Sandbox,
        stop: &watch::Sender<Option<Duration>>,
    ) -> Result<Vec<Container>, String> {
        let Kubelet {
            places,
            settings,
            node,
            ..
        } = &*self.kubelet;
        let meta = &self.pod.metadata;
        if !self.pod.spec.init_containers.is_empty() {
            return Err("the lab runs no init containers".to_owned());
        }
        let dir = places.pod_dir(&meta.namespace, &meta.name, &meta.uid);
        let binds = files::write(&dir, &self.pod, &sandbox.addresses).map_err(told)?;
        let facts = Facts {
            node: node.name.clone(),
            host_ip: node.address.into(),
            pod_ips: sandbox.addresses.clone(),
            api_port: API_PORT,
        };
        let hostname = (!self.pod.spec.host_network).then(|| env::hostname(&self.pod).to_owned());
        let mut containers = vec![];
        for (index, container) in self.pod.spec.containers.iter().enumerate() {
            let cgroup = places
                .pod_cgroup(&node.name, &meta.uid)
                .join(&container.name);
            cgroup::create(&cgroup).map_err(told)?;
            let environment = env::variables(&self.pod, container, &facts).map_err(told)?;
            let argv = argv(container, &environment)?;
            let entry = Entry {
                container: container.name.clone(),
                netns: sandbox.netns.clone(),
                cgroup,
                binds: binds.clone(),
                hostname: hostname.clone(),
                environment,
                working_dir: container.working_dir.clone().map(Into::into),
                path: settings.path(),
            };
            containers.push(Container {
                index,
                argv,
                log: places.container_log(&meta.namespace, &meta.name, &container.name),
                target: Target {
                    node_netns: places.netns(&node.name),
                    address: sandbox.addresses[0],
                    container: container.clone(),
                    entry,
                },
                restart_policy: self.pod.spec.restart_policy.clone(),
                states: self.states.clone(),
                stop: stop.subscribe(),
            });
        }
        let entries: Vec<_> = containers
            .iter()
            .map(|container| container.target.entry.clone())
            .collect();
        entry::store(&dir, &entries).map_err(told)?;
        Ok(containers)
    }

    fn fail_to_create(&self, problem: &str) {
        tracing::warn!(
            pod = self.pod.metadata.name,
            problem,
            "containers not created"
        );
        self.states.send_modify(|states| {
            for state in states {
                state.waiting("CreateContainerConfigError", problem.to_owned());
            }
        });
    }

    /// Writes the pod's status as it stands.
    fn report(&self, sandbox: Option<&Sandbox>, network_problem: Option<&str>) {
        let Kubelet { store, node, .. } = &*self.kubelet;
        let meta = &self.pod.metadata;
        let states = self.states.borrow().clone();
        let observed = Observed {
            host_ip: node.address.into(),
            pod_ips: sandbox.map_or(&[], |sandbox| &sandbox.addresses),
            network_problem,
            containers: &states,
            start_time: &self.start_time,
            now: &clock::timestamp(),
        };
        let written = store.modify(Kind::Pod, &meta.namespace, &meta.name, |object| {
            if object["metadata"]["uid"] == *meta.uid {
                object["status"] = status::status(&self.pod, &observed, &object["status"]);
            }
        });
        if let Err(error) = written
            && self.updates.borrow().is_some()
        {
            tracing::warn!(pod = meta.name, %error, "status not written");
        }
    }

    fn remove_files(&self) -> io::Result<()> {
        let (places, meta) = (&self.kubelet.places, &self.pod.metadata);
        let cgroup = places.pod_cgroup(&self.kubelet.node.name, &meta.uid);
        tokio::task::block_in_place(|| cgroup::kill(&cgroup).and(cgroup::remove(&cgroup)))?;
        match fs::remove_dir_all(places.pod_dir(&meta.namespace, &meta.name, &meta.uid)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// Tells the store that nothing of the pod is left. It is gone from there already if somebody
    /// deleted it by force.
    fn delete_object(&self) {
        let meta = &self.pod.metadata;
        let options = DeleteOptions {
            uid: Some(meta.uid.clone()),
            ..DeleteOptions::now()
        };
        let _gone_already =
            self.kubelet
                .store
                .delete(Kind::Pod, &meta.namespace, &meta.name, &options);
    }
}

fn is_going(object: &Option<Arc<Value>>) -> bool {
    remaining_grace(object.as_deref()).is_some()
}

/// How long a pod that is to end may take; nothing while it is to live.
fn remaining_grace(object: Option<&Value>) -> Option<Duration> {
    let Some(object) = object else {
        return Some(Duration::ZERO);
    };
    let pod: Pod = objects::read(object).ok()?;
    pod.metadata.deletion_timestamp?;
    let spec = pod.spec.termination_grace_period_seconds;
    let seconds = pod
        .metadata
        .deletion_grace_period_seconds
        .or(spec)
        .unwrap_or(30);
    Some(Duration::from_secs(seconds))
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
    use serde_json::json;

    #[test]
    fn grace_is_the_deletions_own_then_the_specs() {
        let seconds = |object: Value| remaining_grace(Some(&object)).map(|grace| grace.as_secs());
        assert_eq!(seconds(json!({"metadata": {}})), None);
        let deletion = json!({"deletionTimestamp": "t", "deletionGracePeriodSeconds": 2});
        assert_eq!(seconds(json!({"metadata": deletion})), Some(2));
        let spec = json!({"terminationGracePeriodSeconds": 5});
        let object = json!({"metadata": {"deletionTimestamp": "t"}, "spec": spec});
        assert_eq!(seconds(object), Some(5));
        assert_eq!(remaining_grace(None), Some(Duration::ZERO));
    }

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
