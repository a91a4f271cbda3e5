//! A kubelet in miniature: runs the pods bound to its node and tells the store how they are.
//!
//! A pod's network comes from the real CNI plugins, called as the specification says. Its
//! containers are processes of this machine (no image is pulled: `command` and `args` are run)
//! in the pod's network namespace and cgroup, with the pod's own resolv.conf and host name.
//!
//! pod object -> sandbox (cni) -> containers (env, files, entry) -> probes -> state -> status

pub(crate) mod cni;
mod container;
mod create;
mod env;
mod events;
mod files;
mod plugin;
mod pod;
mod probe;
mod rights;
mod sandbox;
mod state;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::node::Node;
use crate::objects::{self, Pod};
use crate::places::Places;
use crate::settings::Settings;
use crate::store::{ChangeKind, Kind, Store, object};

/// The kubelet of one node.
#[derive(Debug)]
pub(crate) struct Kubelet {
    pub(crate) store: Store,
    pub(crate) places: Places,
    pub(crate) settings: Settings,
    pub(crate) node: Node,
}

/// The pods of the node.
#[derive(Debug, Default)]
struct Pods {
    /// How a pod hears of its object, by uid.
    updates: BTreeMap<String, watch::Sender<Option<Arc<Value>>>>,
    /// Their lives, which end with the kubelet's.
    lives: JoinSet<()>,
}

impl Pods {
    fn forget(&mut self, uid: &str) {
        if let Some(pod) = self.updates.remove(uid) {
            pod.send_replace(None);
        }
        while self.lives.try_join_next().is_some() {}
    }
}

impl Kubelet {
    /// Runs the node's pods for as long as the lab lives.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut pods = Pods::default();
        loop {
            let Err(gap) = self.follow(&mut pods).await;
            // The history did not reach back far enough: look at everything again.
            tracing::warn!(node = self.node.name, %gap, "watching pods again");
        }
    }

    async fn follow(
        self: &Arc<Self>,
        pods: &mut Pods,
    ) -> Result<std::convert::Infallible, crate::store::ApiError> {
        let list = self.store.list(Kind::Pod, None);
        let present = |uid: &String| list.items.iter().any(|pod| object::uid(pod) == uid);
        let known: Vec<_> = pods.updates.keys().cloned().collect();
        for gone in known.iter().filter(|uid| !present(uid)) {
            pods.forget(gone);
        }
        for pod in list.items {
            self.apply(pods, pod);
        }
        let mut watch = self
            .store
            .watch(Kind::Pod, None, Some(list.resource_version))?;
        loop {
            let change = watch.next().await?;
            match change.kind {
                ChangeKind::Deleted => pods.forget(object::uid(&change.object)),
                ChangeKind::Added | ChangeKind::Modified => self.apply(pods, change.object),
            }
        }
    }

    fn apply(self: &Arc<Self>, pods: &mut Pods, object: Arc<Value>) {
        if object::str_of(&object["spec"]["nodeName"]) != self.node.name {
            return;
        }
        if let Some(known) = pods.updates.get(object::uid(&object)) {
            known.send_replace(Some(object));
            return;
        }
        match objects::read::<Pod>(&object) {
            Ok(pod) => {
                let (sender, updates) = watch::channel(Some(object));
                pods.updates.insert(pod.metadata.uid.clone(), sender);
                pods.lives.spawn(pod::run(Arc::clone(self), pod, updates));
            }
            Err(error) => {
                tracing::warn!(pod = object::name(&object), %error, "the pod cannot be read");
            }
        }
    }
}
