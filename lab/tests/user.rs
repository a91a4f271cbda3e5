//! A user with kubectl at a lab that is kept: what is typed, and what is expected to be seen.

mod stage;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use stage::{PATIENCE, output, two_tier};

#[test]
fn kubectl_shows_scales_deletes_and_watches() {
    let Some(lab) = two_tier("user", &["kubectl"]) else {
        return;
    };
    let kubectl = |argv: &[&str]| output(lab.kubectl(argv));

    let all = kubectl(&["get", "nodes,pods,svc,endpointslices", "-A", "-o", "wide"]);
    for expected in [
        "node/node1",
        "Ready",
        "172.30.0.11",
        "pod/backend-",
        "service/kube-dns",
        "10.96.0.10",
        "endpointslice.discovery.k8s.io/backend-",
    ] {
        assert!(all.contains(expected), "{expected} in\n{all}");
    }
    for pod in lab.pods("backend").expect("pods") {
        assert!(all.contains(&pod.address), "{pod:?} in\n{all}");
    }

    let mut watch = lab.kubectl(&["get", "pods", "-l", "app=backend", "-w", "--no-headers"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().expect("kubectl runs");
    let lines = BufReader::new(watch.stdout.take().expect("piped")).lines();

    kubectl(&["scale", "deploy/backend", "--replicas=4"]);
    kubectl(&["rollout", "status", "deploy/backend", "--timeout=120s"]);
    let before = lab
        .wait_pods("backend", 4, PATIENCE)
        .expect("four backends");
    let gone = &before[0].name;
    kubectl(&["delete", "pod", gone, "--timeout=120s"]);
    let after = lab
        .wait_pods("backend", 4, PATIENCE)
        .expect("four backends again");
    assert!(after.iter().all(|pod| pod.name != *gone));

    let mut seen = lines.map(|line| line.expect("text"));
    let terminating =
        seen.any(|line| line.starts_with(gone.as_str()) && line.contains("Terminating"));
    assert!(terminating, "the watch saw the pod go");
    watch.kill().expect("ended");
    watch.wait().expect("reaped");
}

#[test]
fn a_changed_template_rolls_without_a_failed_request() {
    let Some(lab) = two_tier("roll", &["kubectl"]) else {
        return;
    };
    let before = lab.pods("backend").expect("pods");
    let argv = [
        "flatnet-demo",
        "loop",
        "http://backend",
        "--duration-ms",
        "8000",
    ];
    let requests = lab
        .in_pod("deploy/frontend", &argv)
        .stdout(Stdio::piped())
        .spawn();
    let requests = requests.expect("it runs");
    output(lab.kubectl(&["set", "env", "deploy/backend", "ROUND=2"]));
    output(lab.kubectl(&["rollout", "status", "deploy/backend", "--timeout=120s"]));
    let after = lab.wait_pods("backend", 2, PATIENCE).expect("two backends");
    assert!(
        after.iter().all(|pod| !before.contains(pod)),
        "every pod is new"
    );
    let summary = requests.wait_with_output().expect("it ends");
    let summary: serde_json::Value = serde_json::from_slice(&summary.stdout).expect("a summary");
    assert_eq!(summary["failed"], 0, "{summary}");
    assert!(
        summary["by_endpoint"]
            .as_object()
            .is_some_and(|by| by.len() == 4),
        "{summary}"
    );
}
