//! What commands create, and what they tell of it.

use std::time::Duration;

use lab::store::{Kind, clock};
use serde_json::json;

use crate::MANIFEST;
use crate::cluster::{Cluster, words};

/// These commands send protobuf.
#[tokio::test(flavor = "multi_thread")]
async fn create_commands_and_drain() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let commands: [&[&str]; 6] = [
        &["create", "ns", "team"],
        &["create", "cm", "settings", "--from-literal=colour=red"],
        &["create", "sa", "robot"],
        &["create", "service", "nodeport", "open", "--tcp=80:8080"],
        &[
            "create",
            "service",
            "externalname",
            "far",
            "--external-name=far.example",
        ],
        &[
            "create",
            "deployment",
            "web",
            "--image=web:1",
            "--replicas=0",
            "--port=80",
            "--",
            "serve",
            "all",
        ],
    ];
    for command in commands {
        cluster.kubectl(command).await;
    }
    let get = |kind, name| cluster.store.get(kind, "default", name).expect("created");
    assert_eq!(
        get(Kind::ConfigMap, "settings")["data"],
        json!({"colour": "red"})
    );
    assert_eq!(
        get(Kind::Service, "open")["spec"]["ports"][0]["targetPort"],
        8080
    );
    assert_eq!(
        get(Kind::Service, "far")["spec"]["externalName"],
        "far.example"
    );
    let deployment = cluster.deployment();
    assert_eq!(deployment["spec"]["replicas"], 0);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"], json!(["serve", "all"]));

    cluster
        .store
        .create(Kind::Node, json!({"metadata": {"name": "node-1"}}))
        .expect("created");
    cluster.play_kubelet(Duration::from_millis(100));
    cluster.kubectl(&["run", "p", "--image=x"]).await;
    cluster
        .kubectl(&["wait", "--for=condition=Ready", "pod/p", "--timeout=60s"])
        .await;
    cluster
        .kubectl(&["drain", "node-1", "--force", "--timeout=60s"])
        .await;
    assert!(!cluster.store.exists(Kind::Pod, "default", "p"));
    let nodes = cluster.kubectl(&["get", "nodes", "--no-headers"]).await;
    assert_eq!(words(&nodes)[0][1], "Unknown,SchedulingDisabled");
    cluster.kubectl(&["uncordon", "node-1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollouts_and_descriptions() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let file = cluster.write("two.yaml", MANIFEST);
    cluster.kubectl(&["apply", "-f", &file]).await;
    cluster
        .store
        .modify(Kind::Deployment, "default", "web", |deployment| {
            deployment["status"] = json!({
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
                "conditions": [{"type": "Available", "status": "True",
                    "lastTransitionTime": clock::timestamp()}],
            });
        })
        .expect("written");
    let said = cluster
        .kubectl(&["rollout", "status", "deploy/web", "--timeout=60s"])
        .await;
    assert_eq!(said, "deployment \"web\" successfully rolled out\n");
    let described = cluster.kubectl(&["describe", "deploy", "web"]).await;
    assert!(
        described.contains("2 desired | 2 updated | 2 total | 2 available"),
        "{described}"
    );
    let described = cluster.kubectl(&["describe", "svc", "web"]).await;
    assert!(
        described.contains("TargetPort:               8080/TCP"),
        "{described}"
    );
    cluster.kubectl(&["describe", "pod", "lone"]).await;
    let resources = cluster.kubectl(&["api-resources", "--no-headers"]).await;
    assert_eq!(resources.lines().count(), Kind::all().count());
}
