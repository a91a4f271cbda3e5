//! The data path lives without its agent: kill -9 during a request loop, and nobody notices.

mod stage;

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use lab::Lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use stage::{PATIENCE, told, two_tier};

/// Starts a request loop; what it returns ends it and reads its summary.
fn requests(mut command: Command) -> impl FnOnce() -> Value {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    move || {
        let pid = i32::try_from(child.id()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("asked to end");
        let output = child.wait_with_output().expect("it ends");
        serde_json::from_slice(&output.stdout).expect("a summary")
    }
}

/// Kills every agent, waits until each is another process and has nothing left to do.
fn kill_agents(lab: &Lab) {
    for node in lab.nodes() {
        let before = lab.agent_pid(&node).expect("an agent");
        let target = Pid::from_raw(i32::try_from(before).expect("a pid"));
        kill(target, Signal::SIGKILL).expect("killed");
        let restarted = || Ok(lab.agent_pid(&node).ok().filter(|pid| *pid != before));
        lab.wait("the agent's restart", PATIENCE, restarted)
            .expect("in time");
        wait_settled(lab, &node);
    }
}

/// Until the agent's plan is empty, twice: a pass, and one that finds nothing to do.
fn wait_settled(lab: &Lab, node: &str) {
    let diff = || {
        let output = lab.agent_diff(node)?;
        assert!(output.status.success(), "{}", told(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((text.lines().last() == Some("0 operations")).then_some(()))
    };
    if let Err(error) = lab.wait("0 operations", PATIENCE, diff) {
        panic!("{error}: {}", told(&lab.agent_diff(node).expect("a diff")));
    }
    diff()
        .expect("an answer")
        .expect("a second pass changes nothing either");
}

#[test]
fn killing_every_agent_fails_no_request() {
    let Some(lab) = two_tier("agent-kill", &[]) else {
        return;
    };
    let frontends = lab.pods("frontend").expect("pods");
    let loops: Vec<_> = frontends
        .iter()
        .map(|pod| requests(lab.in_pod(&pod.name, &["flatnet-demo", "loop", "http://backend"])))
        .collect();
    let on_node = requests(lab.on_node("node1", &["flatnet-demo", "loop", &backend(&lab)]));
    sleep(Duration::from_millis(500));
    kill_agents(&lab);
    sleep(Duration::from_millis(500));
    for summary in loops.into_iter().map(|finish| finish()).chain([on_node()]) {
        assert_eq!(summary["failed"], 0, "{summary}");
        assert!(summary["ok"].as_u64() > Some(100), "{summary}");
    }
}

#[test]
fn a_change_while_the_agent_is_down_is_caught_up_with() {
    let Some(lab) = two_tier("agent-late", &[]) else {
        return;
    };
    for node in lab.nodes() {
        wait_settled(&lab, &node);
    }
    for node in lab.nodes() {
        let pid = lab.agent_pid(&node).expect("an agent");
        kill(
            Pid::from_raw(i32::try_from(pid).expect("a pid")),
            Signal::SIGKILL,
        )
        .expect("killed");
    }
    // Pods come and go without an agent: ADD and DEL need none.
    lab.scale("backend", 4).expect("scaled");
    lab.wait_pods("backend", 4, PATIENCE)
        .expect("four backends");
    for node in lab.nodes() {
        wait_settled(&lab, &node);
    }
    let argv = ["flatnet-demo", "get", "http://backend", "--count", "100"];
    let answers = stage::output(lab.in_pod("deploy/frontend", &argv));
    let pods: std::collections::BTreeSet<_> = answers
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an answer")["pod"].to_string())
        .collect();
    assert_eq!(pods.len(), 4, "all four answer");
}

fn backend(lab: &Lab) -> String {
    let service = lab
        .api()
        .find(lab::store::Kind::Service, "default", "backend");
    let service = service.expect("an answer").expect("the Service");
    format!(
        "http://{}",
        service["spec"]["clusterIP"].as_str().expect("a cluster IP")
    )
}
