//! A Service of ten endpoints is replaced, pod by pod, under 200 connections a second from three
//! clients, while agents are killed and upgraded; not one request fails.

mod stage;

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::Lab;
use lab::store::Kind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stage::{PATIENCE, product_in_zones, told};

/// Of each of the three clients, so that together they make 200 a second and more.
const INTERVAL_MS: &str = "12";
/// For how long an endpoint goes on after it was asked to end: longer than an agent is away here
/// (kubelets give 30 s). Of what ended in a shorter time nobody could have told the programs.
const DRAIN_MS: &str = "20000";
/// For all ten to be replaced, on a machine that does something else too.
const ROLLED: Duration = Duration::from_secs(240);

#[test]
fn ten_endpoints_roll_while_agents_are_killed_and_upgraded() {
    let Some(lab) = product_in_zones("rolling", 3, &[], &["kubectl"]) else {
        return;
    };
    let at = apply(&lab);
    let url = |at: &str| format!("http://{at}/");
    let cluster_ip = url(&format!("{at}:80"));
    let node_port = url(&format!("{}:30160", lab.node_addresses("node2")[0]));
    let mut clients = [
        Client::start("a pod", lab.in_pod("asker", &argv(&cluster_ip))),
        Client::start(
            "a pod, by packets",
            lab.in_pod("packets", &argv(&cluster_ip)),
        ),
        Client::start("outside", lab.on_client(&argv(&node_port))),
    ];
    sleep(Duration::from_secs(1));
    let old = lab.wait_pods("backend", 10, PATIENCE).expect("ten");
    roll(&lab);
    for (node, upgrade) in [
        ("node1", false),
        ("node2", true),
        ("node3", true),
        ("node1", true),
    ] {
        replace_agent(&lab, node, upgrade);
    }
    let began = Instant::now();
    let rolled = || {
        let pods = lab.pods("backend")?;
        let new = pods.len() == 10 && pods.iter().all(|pod| pod.ready && !old.contains(pod));
        Ok(new.then_some(()))
    };
    lab.wait("ten new pods", ROLLED, rolled).expect("it rolls");
    eprintln!("rolled {:?} after the last agent", began.elapsed());
    sleep(Duration::from_secs(1));
    for client in &mut clients {
        client.finish();
    }
}

/// Ten endpoints that end as they should, and two clients of which one says no to the socket path.
fn apply(lab: &Lab) -> String {
    let serve = [
        "flatnet-demo",
        "serve",
        "--port",
        "8080",
        "--drain-ms",
        DRAIN_MS,
    ];
    let container = json!({
        "name": "c", "image": "none", "command": serve,
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
    });
    let backend = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "backend"},
        "spec": {
            "replicas": 10, "selector": {"matchLabels": {"app": "backend"}},
            "strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": "backend"}},
                "spec": {"terminationGracePeriodSeconds": 40, "containers": [container]},
            },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "backend"},
        "spec": {"type": "NodePort", "selector": {"app": "backend"},
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30_160}]},
    });
    let client = |name: &str, node: &str, annotations: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "client"}, "annotations": annotations},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [
                {"name": "c", "image": "none", "command": ["sleep", "infinity"]}]},
        })
    };
    let packets = json!({"flatnet.dev/socket-lb": "false"});
    for object in [
        backend,
        service,
        client("asker", "node1", json!({})),
        client("packets", "node3", packets),
    ] {
        lab.apply(&object.to_string()).expect("applied");
    }
    lab.wait_pods("backend", 10, ROLLED).expect("ten");
    lab.wait_pods("client", 2, PATIENCE).expect("two");
    let found = lab.api().find(Kind::Service, "default", "backend");
    let service = found.expect("an answer").expect("the Service");
    service["spec"]["clusterIP"]
        .as_str()
        .expect("an address")
        .to_owned()
}

fn argv(url: &str) -> [&str; 5] {
    ["flatnet-demo", "loop", url, "--interval-ms", INTERVAL_MS]
}

/// A client under way.
struct Client {
    who: &'static str,
    child: Option<Child>,
}

impl Client {
    fn start(who: &'static str, mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self {
            who,
            child: Some(command.spawn().expect("it runs")),
        }
    }

    /// Ends it: nothing may have failed.
    fn finish(&mut self) {
        let child = self.child.take().expect("it runs");
        terminate(&child);
        let output = child.wait_with_output().expect("it ends");
        let summary: Value = serde_json::from_slice(&output.stdout).expect("a summary");
        let count = |key: &str| summary[key].as_u64().unwrap_or_default();
        eprintln!(
            "{}: {} requests in {} ms, slowest {} ms",
            self.who,
            count("ok"),
            count("milliseconds"),
            count("slowest_ms")
        );
        assert_eq!(summary["failed"], 0, "{}: {summary}", self.who);
        assert!(count("ok") > 500, "{}: {summary}", self.who);
        let endpoints = summary["by_endpoint"].as_object().expect("endpoints").len();
        assert!(
            endpoints >= 20,
            "{}: ten old and ten new: {summary}",
            self.who
        );
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            terminate(&child);
            let _reaped = child.wait();
        }
    }
}

fn terminate(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    let _gone_already = kill(pid, Signal::SIGTERM);
}

fn roll(lab: &Lab) {
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"round": "2"}}}}});
    lab.api()
        .patch(Kind::Deployment, ("default", "backend"), &patch)
        .expect("patched");
}

/// Kills an agent and waits for the next one to be done. An upgrade: that one finds other programs
/// pinned than its own (none, which is the same to it), and takes over every link and filter.
fn replace_agent(lab: &Lab, node: &str, upgrade: bool) {
    let began = Instant::now();
    let before = lab.agent_pid(node).expect("an agent");
    kill(
        Pid::from_raw(i32::try_from(before).expect("a pid")),
        Signal::SIGKILL,
    )
    .expect("killed");
    let programs = lab
        .state_dir()
        .join("bpf")
        .join(node)
        .join("flatnet/programs");
    if upgrade {
        let mut gone = 0;
        for pin in std::fs::read_dir(&programs).expect("pins") {
            std::fs::remove_file(pin.expect("a pin").path()).expect("removed");
            gone += 1;
        }
        assert!(gone >= 12, "{gone} programs");
    }
    let restarted = || Ok(lab.agent_pid(node).ok().filter(|pid| *pid != before));
    lab.wait("the agent's restart", PATIENCE, restarted)
        .expect("in time");
    let back = || {
        let pinned = std::fs::read_dir(&programs).map_or(0, Iterator::count);
        Ok((pinned >= 12 && is_settled(lab, node)).then_some(()))
    };
    if let Err(error) = lab.wait("an agent that is done", PATIENCE, back) {
        panic!(
            "{node}: {error}: {}",
            told(&lab.agent_diff(node).expect("a diff"))
        );
    }
    eprintln!("{node}: another agent at work after {:?}", began.elapsed());
}

/// Whether the programs and links are as the agent wants them; Services change all the time here.
fn is_settled(lab: &Lab, node: &str) -> bool {
    let diff = lab.agent_diff(node).expect("a diff");
    let text = String::from_utf8_lossy(&diff.stdout);
    let words = ["program", "link", "filter"];
    diff.status.success() && !words.iter().any(|word| text.contains(word))
}
