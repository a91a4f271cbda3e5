//! What a pod finds around itself, and what becomes of it: on a stand-in for the product.

mod stage;

use std::time::{Duration, Instant};

use lab::Lab;
use lab::patience::longer;
use lab::store::Kind;
use serde_json::Value;

use stage::{PATIENCE, StandIn, output, told};

fn pod(lab: &Lab, name: &str) -> Value {
    lab.api()
        .find(Kind::Pod, "default", name)
        .expect("an answer")
        .unwrap_or_default()
}

fn wait_status(lab: &Lab, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let look = || {
        let pod = pod(lab, name);
        Ok(wanted(&pod["status"]).then_some(pod))
    };
    lab.wait(what, PATIENCE, look).expect("in time")
}

const ORDINARY: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: ordinary, labels: {app: ordinary}}
spec:
  containers:
  - name: main
    image: none
    command: [sh, -c, 'echo "$GREETING"; exec sleep 1000']
    env:
    - {name: WHERE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: GREETING, value: "hello from $(WHERE) at $(POD_IP)"}
"#;

#[test]
fn a_pod_finds_what_kubernetes_promises() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let lab = stand_in.start("pods-env");
    lab.apply(ORDINARY).expect("applied");
    let found = lab
        .wait_pods("ordinary", 1, PATIENCE)
        .expect("it runs")
        .remove(0);

    assert_eq!(
        output(lab.in_pod("ordinary", &["hostname"])).trim(),
        "ordinary"
    );
    let resolver = output(lab.in_pod("ordinary", &["cat", "/etc/resolv.conf"]));
    assert!(resolver.contains("nameserver 10.96.0.10"), "{resolver}");
    assert!(
        resolver.contains("search default.svc.cluster.local"),
        "{resolver}"
    );
    let addresses = output(lab.in_pod("ordinary", &["ip", "-br", "address"]));
    assert!(addresses.contains(&found.address), "{addresses}");
    assert!(
        addresses
            .lines()
            .any(|line| line.starts_with("lo") && line.contains("127.0.0.1"))
    );
    let log = lab.logs().join("pods/default_ordinary_main.log");
    let said = std::fs::read_to_string(log).expect("a log");
    assert_eq!(
        said,
        format!("hello from {} at {}\n", found.node, found.address)
    );
    let own = output(lab.in_pod("ordinary", &["sh", "-c", "echo $GREETING"]));
    assert_eq!(own, said, "exec has the container's variables");
    let cgroup = output(lab.in_pod("ordinary", &["cat", "/proc/self/cgroup"]));
    let wanted = format!("/flatnet-lab/{}/{}/pods/", lab.name(), found.node);
    assert!(cgroup.contains(&wanted), "{cgroup}");

    let mut machine = std::process::Command::new("hostname");
    assert_ne!(
        String::from_utf8_lossy(&machine.output().expect("it runs").stdout).trim(),
        "ordinary"
    );
}

#[test]
fn a_commands_status_is_the_labs_status() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let lab = stand_in.start("pods-exit");
    lab.apply(ORDINARY).expect("applied");
    lab.wait_pods("ordinary", 1, PATIENCE).expect("it runs");
    let exit = ["sh", "-c", "exit 7"];
    for mut command in [
        lab.in_pod("ordinary", &exit),
        lab.on_node("node1", &exit),
        lab.on_client(&exit),
    ] {
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(7), "{}", told(&output));
    }
    for mut command in [lab.in_pod("nobody", &exit), lab.on_node("node9", &exit)] {
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(126), "{}", told(&output));
    }
    let address = output(lab.on_client(&["ip", "-br", "address", "show", "eth0"]));
    assert!(address.contains("172.30.0.200/24"), "{address}");
}

#[test]
fn a_container_that_ends_runs_again_and_liveness_ends_one() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let lab = stand_in.start("pods-again");
    lab.apply(
        r#"
apiVersion: v1
kind: Pod
metadata: {name: crasher}
spec: {containers: [{name: c, image: none, command: [sh, -c, 'sleep 0.2; exit 3']}]}
---
apiVersion: v1
kind: Pod
metadata: {name: stuck}
spec:
  containers:
  - name: c
    image: none
    command: [sleep, "1000"]
    livenessProbe: {exec: {command: ["false"]}, periodSeconds: 1, failureThreshold: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: once}
spec: {restartPolicy: Never, containers: [{name: c, image: none, command: ["false"]}]}
"#,
    )
    .expect("applied");
    let restarted = |status: &Value| status["containerStatuses"][0]["restartCount"] == 1;
    let crasher = wait_status(&lab, "crasher", "a restart", restarted);
    let last = &crasher["status"]["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 3, "{crasher}");
    wait_status(&lab, "stuck", "a restart by liveness", restarted);
    wait_status(&lab, "once", "the end", |status| {
        status["phase"] == "Failed"
    });
}

#[test]
fn the_end_is_announced_then_asked_for_then_forced() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let lab = stand_in.start("pods-end");
    let announced = lab.state_dir().join("announced");
    let manifest = r#"
apiVersion: v1
kind: Pod
metadata: {name: polite, labels: {app: polite}}
spec:
  containers:
  - name: c
    image: none
    command: [sh, -c, 'trap "echo asked; exit 0" TERM; while :; do sleep 0.05; done']
    lifecycle: {preStop: {exec: {command: [sh, -c, 'echo announced > ANNOUNCED']}}}
---
apiVersion: v1
kind: Pod
metadata: {name: deaf, labels: {app: deaf}}
spec:
  terminationGracePeriodSeconds: GRACE
  containers:
  - {name: c, image: none, command: [sh, -c, 'trap "" TERM; while :; do sleep 0.05; done']}
"#;
    let grace = longer(Duration::from_secs(1));
    let manifest = manifest.replace("ANNOUNCED", &announced.display().to_string());
    let manifest = manifest.replace("GRACE", &grace.as_secs().to_string());
    lab.apply(&manifest).expect("applied");
    for name in ["polite", "deaf"] {
        lab.wait_pods(name, 1, PATIENCE).expect("it runs");
        let began = Instant::now();
        lab.api()
            .delete(Kind::Pod, "default", name)
            .expect("deleted");
        let gone = || Ok(pod(&lab, name).is_null().then_some(()));
        let going = pod(&lab, name);
        let marked = going["metadata"]["deletionTimestamp"].is_string();
        assert!(going.is_null() || marked, "{name}");
        lab.wait("the end of the pod", PATIENCE, gone)
            .expect("in time");
        assert_eq!(began.elapsed() >= grace, name == "deaf", "{name}");
    }
    assert!(announced.exists(), "preStop ran");
    let log = lab.logs().join("pods/default_polite_c.log");
    assert!(
        std::fs::read_to_string(log)
            .expect("a log")
            .contains("asked")
    );
    let leases = lab.state_dir().join("cni/node1/networks/stand-in");
    let left = std::fs::read_dir(leases)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|lease| lease.file_name().to_string_lossy().starts_with("10.244."));
    assert_eq!(left.count(), 0, "DEL has given the addresses back");
}

#[test]
fn a_sandbox_that_fails_says_why_and_is_tried_again() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let lab = stand_in.start("pods-retry");
    let conf = lab.state_dir().join("cni/node1/net.d/05-broken.conflist");
    let broken = r#"{"cniVersion":"1.0.0","name":"b","plugins":[{"type":"no-such-plugin"}]}"#;
    std::fs::write(&conf, broken).expect("written");
    lab.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app: p}}, spec: {nodeName: node1, \
         containers: [{name: c, image: none, command: [sleep, '1000']}]}}",
    )
    .expect("applied");
    let waiting = |status: &Value| {
        let message = &status["containerStatuses"][0]["state"]["waiting"]["message"];
        message
            .as_str()
            .is_some_and(|message| message.contains("no-such-plugin"))
    };
    wait_status(&lab, "p", "the reason", waiting);
    let events = lab.api().list(Kind::Event, "default").expect("an answer");
    assert!(
        events
            .iter()
            .any(|event| event["reason"] == "FailedCreatePodSandBox"),
        "{events:?}"
    );
    std::fs::remove_file(conf).expect("removed");
    lab.wait_pods("p", 1, PATIENCE).expect("it runs after all");
}

#[test]
fn a_host_network_pod_is_the_node() {
    let Some(stand_in) = StandIn::new() else {
        return;
    };
    let lab = stand_in.start("pods-host");
    lab.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: h, labels: {app: h}}, spec: {nodeName: node2, \
         hostNetwork: true, containers: [{name: c, image: none, command: [sleep, '1000']}]}}",
    )
    .expect("applied");
    let pod = lab.wait_pods("h", 1, PATIENCE).expect("it runs").remove(0);
    assert_eq!(pod.address, "172.30.0.12");
    let address = output(lab.in_pod("h", &["ip", "-br", "address", "show", "eth0"]));
    assert!(address.contains("172.30.0.12/24"), "{address}");
}
