//! Tables for the rollout: a Deployment, its pods, the next step.

use super::*;
use crate::objects;

/// `spec` is written as the pods: `n` new, `o` old, lower case not ready, upper case ready,
/// a following `-` terminating, `!` ended, `?` without a node.
fn pods(spec: &str) -> Vec<Pod> {
    let mut pods: Vec<Pod> = vec![];
    for (index, mark) in spec.chars().filter(|c| *c != ' ').enumerate() {
        match (mark, pods.last_mut()) {
            ('-', Some(pod)) => pod.metadata.deletion_timestamp = Some("t".into()),
            ('!', Some(pod)) => pod.status.phase = "Failed".into(),
            ('?', Some(pod)) => pod.spec.node_name = String::new(),
            _ => pods.push(pod(index, mark)),
        }
    }
    pods
}

fn pod(index: usize, mark: char) -> Pod {
    let ready = if mark.is_uppercase() { "True" } else { "False" };
    let hash = if mark.eq_ignore_ascii_case(&'n') {
        "new"
    } else {
        "old"
    };
    objects::read(&json!({
        "metadata": {
            "name": format!("{mark}{index}"),
            "labels": {TEMPLATE_HASH: hash},
            "creationTimestamp": format!("2026-01-01T00:00:{index:02}Z"),
        },
        "spec": {"nodeName": "node1"},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }))
    .expect("a pod")
}

fn deployment(replicas: u32, strategy: Value) -> Deployment {
    objects::read(&json!({"spec": {"replicas": replicas, "strategy": strategy}}))
        .expect("a deployment")
}

fn rolling(surge: Value, unavailable: Value) -> Value {
    let bounds = json!({"maxSurge": surge, "maxUnavailable": unavailable});
    json!({"type": "RollingUpdate", "rollingUpdate": bounds})
}

fn step(deployment: &Deployment, spec: &str) -> (usize, String) {
    let plan = decide(deployment, "new", &pods(spec));
    (plan.create, plan.delete.join(" "))
}

#[test]
fn scaling_adds_what_lacks_and_takes_the_least_missed() {
    let rows = [
        // (replicas, pods, create, delete)
        (2, "", 2, ""),
        (2, "N N", 0, ""),
        (5, "N n", 3, ""),
        (1, "N N N", 0, "N2 N1"),
        (1, "N n N", 0, "n1 N2"),
        (2, "N N n?", 0, "n2"),
        (0, "N", 0, "N0"),
        (2, "N N-", 1, ""),
        (2, "N n!", 1, "n1"),
    ];
    for (replicas, spec, create, delete) in rows {
        let deployment = deployment(replicas, Value::Null);
        assert_eq!(
            step(&deployment, spec),
            (create, delete.to_owned()),
            "{replicas}: {spec}"
        );
    }
}

#[test]
fn a_rolling_update_stays_within_its_bounds() {
    let rows = [
        // (surge, unavailable, pods, create, delete); four replicas each
        (json!(1), json!(0), "O O O O", 1, ""),
        (json!(1), json!(0), "O O O O n", 0, ""),
        (json!(1), json!(0), "O O O O N", 0, "O3"),
        (json!(1), json!(0), "O O O N", 1, ""),
        (json!(1), json!(0), "O N N N N", 0, "O0"),
        (json!(0), json!(1), "O O O O", 0, "O3"),
        (json!(0), json!(1), "O O O", 1, ""),
        (json!(0), json!(0), "O O O O", 0, "O3"),
        (json!("50%"), json!("25%"), "O O O O", 2, "O3"),
        (json!("25%"), json!("25%"), "o O O O", 1, "o0"),
        (json!("100%"), json!(0), "O O O O", 4, ""),
    ];
    for (surge, unavailable, spec, create, delete) in rows {
        let text = format!("surge {surge} unavailable {unavailable}: {spec}");
        let deployment = deployment(4, rolling(surge, unavailable));
        assert_eq!(
            step(&deployment, spec),
            (create, delete.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn every_rollout_ends_and_keeps_its_promise_on_the_way() {
    for (replicas, surge, unavailable) in [(1, 1, 0), (2, 1, 0), (3, 0, 1), (5, 2, 1), (4, 0, 0)] {
        let deployment = deployment(replicas, rolling(json!(surge), json!(unavailable)));
        let desired = replicas as usize;
        let mut pods = pods(&"O".repeat(desired));
        let (surge, unavailable) = bounds(&deployment, desired);
        for round in 0.. {
            let plan = decide(&deployment, "new", &pods);
            if plan.create == 0 && plan.delete.is_empty() {
                break;
            }
            assert!(round < 50, "no end in sight for {replicas} replicas");
            pods.retain(|pod| !plan.delete.contains(&pod.metadata.name));
            let ready = pods.iter().filter(|pod| pod.ready()).count();
            assert!(ready + unavailable >= desired, "{ready} ready of {desired}");
            for number in 0..plan.create {
                pods.push(pod(100 + 10 * round + number, 'N'));
            }
            assert!(pods.len() <= desired + surge);
        }
        assert!(
            pods.iter()
                .all(|pod| pod.metadata.labels[TEMPLATE_HASH] == "new")
        );
        assert_eq!(pods.len(), desired);
    }
}

#[test]
fn recreate_clears_before_it_builds_and_pause_waits() {
    let recreate = deployment(2, json!({"type": "Recreate"}));
    assert_eq!(step(&recreate, "O O"), (0, "O1 O0".to_owned()));
    assert_eq!(step(&recreate, ""), (2, String::new()));
    let mut paused = deployment(2, Value::Null);
    paused.spec.paused = true;
    assert_eq!(step(&paused, "O O"), (0, String::new()));
}

#[test]
fn the_status_says_what_kubectl_waits_for() {
    let counts = decide(&deployment(2, Value::Null), "new", &pods("N n")).counts;
    let first = status(counts, 3, &Value::Null, "1");
    assert_eq!(first["observedGeneration"], 3);
    assert_eq!(
        (&first["replicas"], &first["availableReplicas"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(first["conditions"][0]["status"], "False");
    let counts = decide(&deployment(2, Value::Null), "new", &pods("N N")).counts;
    let second = status(counts, 3, &first, "2");
    assert_eq!(second["conditions"][0]["lastTransitionTime"], "2");
    assert_eq!(second["conditions"][1]["reason"], "NewReplicaSetAvailable");
    assert_eq!(
        status(counts, 3, &second, "3"),
        second,
        "nothing new, nothing written"
    );
}
