//! What must not notice: loops of requests on every path to a Service, connections that stay open
//! all the while, and datagrams.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lab::Lab;
use lab::store::Kind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::datagrams::Datagrams;
use crate::stage::PATIENCE;
use crate::stage::place::Place;
use crate::stage::talk::Connection;

/// Requests a second of each of the four loops, which are 200 together.
const EACH_PER_SECOND: u32 = 50;
/// Between two questions on a connection that stays open.
const PAUSE: Duration = Duration::from_millis(20);
/// Where clients from outside find the backends.
const NODE_PORT: u16 = 30_080;
/// Beside the two-tier application: a pod whose connections go packet by packet, and the backends
/// for clients from outside and for datagrams.
const MORE: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: by-packets, labels: {app: by-packets}, annotations: \
{flatnet.dev/socket-lb: 'false'}}, spec: {terminationGracePeriodSeconds: 0, \
containers: [{name: c, image: none, command: [sleep, infinity]}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: outside}, spec: {type: NodePort, \
selector: {app: backend}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: datagrams}, spec: {selector: {app: backend}, \
ports: [{protocol: UDP, port: 80, targetPort: 8080}]}}
";

/// Requests and connections that end with the value.
pub(crate) struct Load {
    loops: Vec<(String, Child)>,
    talks: Vec<(String, JoinHandle<Result<u64, String>>)>,
    datagrams: Vec<Datagrams>,
    over: Arc<AtomicBool>,
    began: Instant,
}

/// What became of them.
pub(crate) struct Outcome {
    /// Requests that were answered.
    pub(crate) answered: u64,
    /// What was not, each with its cause and when.
    pub(crate) failed: Vec<String>,
}

impl Load {
    /// What it needs beside the two-tier application.
    pub(crate) fn prepare(lab: &Lab) {
        lab.apply(MORE).expect("applied");
        lab.wait_pods("by-packets", 1, PATIENCE).expect("it runs");
    }

    /// Begins: two pods by the socket path, one by packets, the outside client at a node's port;
    /// two connections that last; and datagrams of the two pods.
    pub(crate) fn start(lab: &Lab) -> Self {
        let outside = SocketAddr::new(lab.node_addresses("node3")[0], NODE_PORT);
        let inside = SocketAddr::new(cluster_ip(lab, "backend"), 80);
        let (by_name, by_port) = ("http://backend".to_owned(), format!("http://{outside}"));
        wait_answered(lab, &by_port);

        let mut this = Self {
            loops: Vec::new(),
            talks: Vec::new(),
            datagrams: Vec::new(),
            over: Arc::default(),
            began: Instant::now(),
        };
        let pods = lab.pods("frontend").expect("pods");
        let pods = pods.iter().map(|pod| pod.name.as_str());
        let by_datagram = SocketAddr::new(cluster_ip(lab, "datagrams"), 80);
        for pod in pods.clone() {
            let datagrams = Datagrams::start(pod, |argv| lab.in_pod(pod, argv), by_datagram);
            this.datagrams.push(datagrams);
        }
        for pod in pods.chain(["by-packets"]) {
            this.ask_often(pod, |argv| lab.in_pod(pod, argv), &by_name);
        }
        this.ask_often("the outside client", |argv| lab.on_client(argv), &by_port);
        this.talk("outside", Place::member(lab, "client"), outside);
        this.talk("by-packets", Place::pod(lab, "by-packets"), inside);
        this
    }

    fn ask_often(&mut self, who: &str, from: impl FnOnce(&[&str]) -> Command, url: &str) {
        let interval = (1000 / EACH_PER_SECOND).to_string();
        let mut command = from(&["flatnet-demo", "loop", url, "--interval-ms", &interval]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // Not killed with the lab's other processes, but by the value's own end.
        command.process_group(0);
        let child = command.spawn().expect("it runs");
        self.loops.push((who.to_owned(), child));
    }

    /// One connection, made past the programs at connect(), so that each packet is translated.
    fn talk(&mut self, who: &str, from: Place, to: SocketAddr) {
        let mut connection = Connection::open(&from, to).expect("connected");
        let (over, began) = (Arc::clone(&self.over), self.began);
        let talk = move || {
            let mut answered = 0;
            while !over.load(Ordering::Relaxed) {
                let asked = connection.ask();
                asked.map_err(|error| format!("{error} after {:?}", began.elapsed()))?;
                answered += 1;
                thread::sleep(PAUSE);
            }
            Ok(answered)
        };
        let who = format!("the connection of {who}");
        self.talks.push((who, thread::spawn(talk)));
    }

    /// Ends them.
    pub(crate) fn finish(mut self) -> Outcome {
        let mut outcome = Outcome {
            answered: 0,
            failed: Vec::new(),
        };
        for (who, mut child) in self.loops.drain(..) {
            let summary = summary(&mut child);
            outcome.answered += summary["ok"].as_u64().expect("a count");
            if summary["failed"] != 0 {
                let failed = format!("{who}: {} {}", summary["failed"], summary["failures"]);
                outcome.failed.push(failed);
            }
        }
        for datagrams in self.datagrams.drain(..) {
            outcome.failed.extend(datagrams.finish());
        }
        self.over.store(true, Ordering::Relaxed);
        for (who, talk) in self.talks.drain(..) {
            match talk.join().expect("it ends") {
                Ok(answered) => outcome.answered += answered,
                Err(error) => outcome.failed.push(format!("{who}: {error}")),
            }
        }
        outcome
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for (_, child) in &mut self.loops {
            let _gone_already = child.kill();
            let _reaped = child.wait();
        }
        self.datagrams.iter_mut().for_each(Datagrams::stop);
    }
}

/// Ends a loop, and reads what it says.
fn summary(child: &mut Child) -> Value {
    let pid = i32::try_from(child.id()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("asked to end");
    let mut text = String::new();
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_to_string(&mut text).expect("a summary");
    child.wait().expect("it ends");
    serde_json::from_str(&text).expect("JSON")
}

fn cluster_ip(lab: &Lab, service: &str) -> IpAddr {
    let found = lab.api().find(Kind::Service, "default", service);
    let found = found.expect("an answer").expect("the Service");
    let text = found["spec"]["clusterIP"].as_str().expect("a cluster IP");
    text.parse().expect("an address")
}

fn wait_answered(lab: &Lab, url: &str) {
    let answered = || {
        let asked = lab.on_client(&["flatnet-demo", "get", url]).output();
        Ok(asked.expect("it runs").status.success().then_some(()))
    };
    let waited = lab.wait("the NodePort", PATIENCE, answered);
    waited.expect("answered");
}
