//! The Deployment controller: makes and deletes the pods of Deployments, and counts them.
//!
//! Pods belong to the Deployment itself; there is no ReplicaSet between them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::inbox::Inbox;
use super::rollout::{self, Deployment, Plan};
use super::{Dirty, Key, owned_pods, owners, template};
use crate::objects;
use crate::store::{ApiError, Change, DeleteOptions, Kind, Store, clock, object};

/// Keeps Deployments for as long as the lab lives.
pub(crate) async fn run(store: Store) -> Result<(), ApiError> {
    let mut inbox = Inbox::open(&store, &[Kind::Deployment, Kind::Pod])?;
    loop {
        for key in concerned(&inbox.next().await?) {
            if let Err(error) = reconcile(&store, &key) {
                tracing::warn!(?key, %error, "Deployment not reconciled");
            }
        }
    }
}

/// A Deployment itself, or that of a pod, by the pod's owner reference.
fn concerned(changes: &[(Kind, Change)]) -> Dirty {
    let mut dirty = BTreeSet::new();
    for (kind, change) in changes {
        if *kind == Kind::Deployment {
            dirty.insert(Key::of(&change.object));
        } else {
            dirty.extend(owners(&change.object, "Deployment"));
        }
    }
    dirty
}

fn reconcile(store: &Store, key: &Key) -> Result<(), ApiError> {
    let Some(stored) = store.get(Kind::Deployment, &key.namespace, &key.name) else {
        return Ok(());
    };
    if object::is_terminating(&stored) {
        return Ok(());
    }
    let deployment: Deployment = objects::read(&stored)
        .map_err(|error| ApiError::Internal(format!("Deployment {}: {error}", key.name)))?;
    let pods = owned_pods(store, &key.namespace, object::uid(&stored));
    let hash = template::hash(&deployment.spec.template);
    let plan = rollout::decide(&deployment, &hash, &pods);
    write_status(store, key, &deployment, &plan)?;
    for _ in 0..plan.create {
        store.create(
            Kind::Pod,
            template::new_pod(&stored, &deployment.spec.template, &hash),
        )?;
    }
    for name in &plan.delete {
        match store.delete(Kind::Pod, &key.namespace, name, &DeleteOptions::default()) {
            Ok(_) | Err(ApiError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_status(
    store: &Store,
    key: &Key,
    deployment: &Deployment,
    plan: &Plan,
) -> Result<Arc<Value>, ApiError> {
    let (generation, now) = (deployment.metadata.generation, clock::timestamp());
    store.modify(Kind::Deployment, &key.namespace, &key.name, |object| {
        object["status"] = rollout::status(plan.counts, generation, &object["status"], &now);
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::template::TEMPLATE_HASH;
    use super::*;
    use crate::store::Config;

    fn deployment(replicas: u32, image: &str) -> Value {
        let container = json!({"name": "c", "image": image, "command": ["true"]});
        let template =
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}});
        json!({
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": template,
            },
        })
    }

    fn pods(store: &Store) -> Vec<Arc<Value>> {
        store.list(Kind::Pod, Some("default")).items
    }

    #[test]
    fn a_deployment_gets_its_pods_and_a_status() {
        let store = Store::new(&Config::default());
        store
            .create(Kind::Deployment, deployment(2, "a"))
            .expect("created");
        let key = Key::new("default", "web");
        reconcile(&store, &key).expect("reconciled");
        assert_eq!(pods(&store).len(), 2);
        reconcile(&store, &key).expect("reconciled");
        assert_eq!(pods(&store).len(), 2, "a second pass changes nothing");
        let pod = pods(&store).remove(0);
        assert!(
            object::name(&pod).starts_with("web-"),
            "{}",
            object::name(&pod)
        );
        assert_eq!(object::label(&pod, "app"), Some("web"));
        assert!(object::label(&pod, TEMPLATE_HASH).is_some());
        let stored = store
            .get(Kind::Deployment, "default", "web")
            .expect("it is there");
        assert_eq!(stored["status"]["replicas"], 2);
    }

    #[test]
    fn the_pods_go_with_the_deployment_and_by_scaling() {
        let store = Store::new(&Config::default());
        store
            .create(Kind::Deployment, deployment(3, "a"))
            .expect("created");
        let key = Key::new("default", "web");
        reconcile(&store, &key).expect("reconciled");
        let scale = |object: &mut Value| object["spec"]["replicas"] = json!(1);
        store
            .modify(Kind::Deployment, "default", "web", scale)
            .expect("scaled");
        reconcile(&store, &key).expect("reconciled");
        assert_eq!(pods(&store).len(), 1);
        store
            .delete(
                Kind::Deployment,
                "default",
                "web",
                &DeleteOptions::default(),
            )
            .expect("deleted");
        assert!(pods(&store).is_empty());
    }

    #[test]
    fn a_changed_template_has_another_hash() {
        let hash = |image| template::hash(&deployment(1, image)["spec"]["template"]);
        assert_eq!(hash("a"), hash("a"));
        assert_ne!(hash("a"), hash("b"));
        assert_eq!(hash("a").len(), 10);
    }
}
