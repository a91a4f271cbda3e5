//! One pod on its node, from the first sandbox to the last byte removed.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::create::{self, Containers, States};
use super::sandbox::Sandbox;
use super::state::{ContainerState, back_off};
use super::status::{self, Observed};
use super::{Kubelet, events};
use crate::cgroup;
use crate::objects::{self, Pod};
use crate::store::{DeleteOptions, Kind, clock};

/// A pod's object as the store has it; nothing once it is gone from there.
pub(super) type Updates = watch::Receiver<Option<Arc<Value>>>;

/// Runs a pod until it is deleted, and removes what it left.
pub(super) async fn run(kubelet: Arc<Kubelet>, pod: Pod, updates: Updates) {
    let states = vec![ContainerState::creating(); pod.spec.containers.len()];
    let states = watch::Sender::new(states);
    let init = vec![ContainerState::creating(); pod.spec.init_containers.len()];
    let init = watch::Sender::new(init);
    let start_time = clock::timestamp();
    let life = Life {
        kubelet,
        pod,
        updates,
        states,
        init,
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
    /// Those of the init containers.
    init: watch::Sender<Vec<ContainerState>>,
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
        let states = States {
            init: &self.init,
            main: &self.states,
        };
        match create::containers(&self.kubelet, &self.pod, sandbox, (states, &stop)) {
            Ok(containers) => drop(running.spawn(run_all(containers, stop.subscribe()))),
            Err(problem) => self.fail_to_create(&problem),
        }
        let mut states = self.states.subscribe();
        let mut init = self.init.subscribe();
        let mut updates = self.updates.clone();
        let mut going = false;
        while !(going && running.is_empty()) {
            self.report(Some(sandbox), None);
            tokio::select! {
                Ok(()) = states.changed() => {}
                Ok(()) = init.changed() => {}
                Ok(()) = updates.changed() => {}
                Some(_) = running.join_next() => {}
            }
            states.mark_unchanged();
            init.mark_unchanged();
            if let Some(grace) = remaining_grace(updates.borrow_and_update().as_deref()) {
                going = true;
                stop.send_if_modified(|stop| stop.replace(grace) != Some(grace));
            }
        }
        self.report(Some(sandbox), None);
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
        let init = self.init.borrow().clone();
        let observed = Observed {
            host_ips: &node.addresses().collect::<Vec<_>>(),
            pod_ips: sandbox.map_or(&[], |sandbox| &sandbox.addresses),
            network_problem,
            containers: &states,
            init: &init,
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

/// Runs a pod's containers; returns when all have ended for good. The main ones begin when each of
/// the init containers has succeeded, and never if the pod is to end before.
async fn run_all(containers: Containers, stop: watch::Receiver<Option<Duration>>) {
    for container in containers.init {
        container.run().await;
    }
    if stop.borrow().is_some() {
        return;
    }
    let mut running = JoinSet::new();
    for container in containers.main {
        running.spawn(container.run());
    }
    while running.join_next().await.is_some() {}
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
}
