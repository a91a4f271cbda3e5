//! What goes, and what is followed while it does.

use std::process::Stdio;
use std::time::Duration;

use lab::store::{Kind, object};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::MANIFEST;
use crate::cluster::{Cluster, words};

#[tokio::test(flavor = "multi_thread")]
async fn deletions_are_waited_for() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let linger = Duration::from_millis(300);
    cluster.play_kubelet(linger);
    cluster.kubectl(&["run", "slow", "--image=x"]).await;
    cluster
        .kubectl(&["wait", "--for=condition=Ready", "pod/slow", "--timeout=60s"])
        .await;
    let began = std::time::Instant::now();
    cluster.kubectl(&["delete", "pod", "slow"]).await;
    assert!(
        began.elapsed() >= linger,
        "kubectl waits until the kubelet lets go"
    );
    assert!(!cluster.store.exists(Kind::Pod, "default", "slow"));

    cluster.kubectl(&["create", "ns", "team"]).await;
    cluster
        .kubectl(&["-n", "team", "run", "p", "--image=x"])
        .await;
    cluster
        .kubectl(&[
            "-n",
            "team",
            "wait",
            "--for=condition=Ready",
            "pod/p",
            "--timeout=60s",
        ])
        .await;
    cluster.kubectl(&["delete", "ns", "team"]).await;
    assert!(!cluster.store.exists(Kind::Namespace, "", "team"));

    let file = cluster.write("two.yaml", MANIFEST);
    cluster.kubectl(&["apply", "-f", &file]).await;
    let owner = cluster.deployment();
    let pod = json!({"metadata": {"name": "web-1", "labels": {"app": "web"},
            "ownerReferences": [object::owner_reference(&owner)]},
        "spec": owner["spec"]["template"]["spec"]});
    cluster.store.create(Kind::Pod, pod).expect("created");
    cluster
        .kubectl(&["delete", "deploy", "web", "--cascade=foreground"])
        .await;
    assert!(
        !cluster.store.exists(Kind::Pod, "default", "web-1"),
        "foreground waits for pods"
    );
    cluster.kubectl(&["delete", "pods,svc", "--all"]).await;
    assert_eq!(cluster.kubectl(&["get", "pods,svc"]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_w_follows() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    cluster.kubectl(&["run", "first", "--image=x"]).await;
    let mut child = cluster
        .command(&["get", "pods", "-w", "--output-watch-events"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = async || {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        line.expect("a line in time")
            .expect("readable")
            .expect("kubectl goes on")
    };
    let header = line().await;
    assert_eq!(
        words(&header)[0],
        ["EVENT", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    );
    assert_eq!(
        words(&line().await)[0][..4],
        ["ADDED", "first", "0/1", "Pending"]
    );

    // It has listed: from here on it must see everything.
    cluster.kubectl(&["delete", "pod", "first"]).await;
    cluster.play_kubelet(Duration::from_millis(100));
    cluster.kubectl(&["run", "p", "--image=x"]).await;
    cluster.kubectl(&["delete", "pod", "p"]).await;
    let expected = [
        ["DELETED", "first", "0/1", "Pending"],
        ["ADDED", "p", "0/1", "Pending"],
        ["MODIFIED", "p", "1/1", "Running"],
        ["MODIFIED", "p", "1/1", "Terminating"],
        ["DELETED", "p", "1/1", "Terminating"],
    ];
    for expected in expected {
        assert_eq!(words(&line().await)[0][..4], expected);
    }
    child.kill().await.expect("killed");
}
