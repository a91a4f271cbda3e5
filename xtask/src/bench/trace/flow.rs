//! One flow, followed by `flatnet trace --watch` while a hundred thousand packets a second of others
//! pass (ours), and while nothing else does.
//!
//! Each datagram of the flow is answered. Everywhere on the way (an interface of a pod or node, in
//! or out) as many events have to be told as there were datagrams; what is missing has to be told as
//! lost, or the bench fails.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::NAME;
use super::flood::Flood;
use crate::bench::Plan;
use crate::bench::cluster::{Cluster, PODS};
use crate::bench::frame::{self, Better, Case, Metric, Row};
use crate::bench::namespace::inside;
use crate::process::Step;
use crate::workspace::Workspace;

const CASE: &str = "flow-in-a-flood";
/// Packets a second of others.
const OTHERS: u32 = 110_000;
/// Where the flow goes.
const PORT: u16 = 7001;
/// Datagrams of the flow, and the time between two.
const DATAGRAMS: u64 = 500;
const PAUSE: Duration = Duration::from_millis(4);
const PATIENCE: Duration = Duration::from_secs(20);
/// Where its events are told: at the pod's end, in and out of its node, into the other node, and
/// the same back. (Into a pod it is handed without a sound.)
const PLACES: u64 = 8;
/// Each takes seconds, and counts rather than times.
const FEWER: usize = 3;

const fn metric(name: &'static str, unit: &'static str, better: Better) -> Metric {
    Metric { name, unit, better }
}

const METRICS: &[Metric] = &[
    metric("others", "packets/s", Better::Higher),
    metric("answered", "of 500", Better::Higher),
    metric("places", "of 8", Better::Higher),
    metric("events", "of 4000", Better::Higher),
    metric("told-lost", "events", Better::Lower),
];

/// An event's place: node, pod, interface, direction.
type Places = BTreeMap<String, u64>;

pub(super) fn run(workspace: &Workspace, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    if !plan.wants(CASE) {
        return Ok(Vec::new());
    }
    let cluster = Cluster::up(workspace, 2)?;
    cluster.apply(PODS)?;
    let stage = Stage::of(&cluster)?;
    let step = Step::start(format!("{NAME}, {CASE}"));
    let case = Case {
        name: CASE.to_owned(),
        metrics: METRICS,
        ours: Box::new(|| stage.measure(true)),
        peers: vec![("alone".to_owned(), Box::new(|| stage.measure(false)))],
    };
    let rows = frame::measure(NAME, case, plan.rounds.div_ceil(FEWER));
    step.done();
    rows
}

/// Who is where.
struct Stage<'a> {
    cluster: &'a Cluster,
    server: PathBuf,
    near: PathBuf,
    far: PathBuf,
    at: SocketAddrV4,
    echo: UdpSocket,
}

impl<'a> Stage<'a> {
    fn of(cluster: &'a Cluster) -> anyhow::Result<Self> {
        let address: Ipv4Addr = cluster.field("pod/server", ".status.podIP")?.parse()?;
        let server = cluster.pod_netns("server")?;
        let at = SocketAddrV4::new(address, PORT);
        let echo = inside(&server, || Ok(UdpSocket::bind(at)?))?;
        Ok(Self {
            cluster,
            server,
            near: cluster.pod_netns("near")?,
            far: cluster.pod_netns("far")?,
            at,
            echo,
        })
    }

    /// The values of [`METRICS`].
    fn measure(&self, others: bool) -> anyhow::Result<Vec<f64>> {
        let mut watch = Watch::start(self)?;
        let server = (&*self.server, *self.at.ip());
        let flood = others.then(|| Flood::start(&self.near, server, OTHERS));
        let flood = flood.transpose()?;
        self.settle(&mut watch)?;
        let client = self.client()?;
        let port = client.local_addr()?.port();
        let answered = self.talk(&client)?;
        let rate = flood.map_or(Ok(0.0), Flood::stop)?;
        let (events, lost) = watch.end()?;
        let places = places(&events, port);
        let seen: u64 = places.values().sum();
        // A datagram that was lost has fewer events; one that was answered all.
        let least = answered * PLACES;
        ensure!(
            seen + lost >= least,
            "{answered} datagrams were answered, {seen} events told and {lost} told as lost: {places:?}"
        );
        let values = [answered, places.len() as u64, seen, lost].map(|value| value as f64);
        Ok([&[rate], &values[..]].concat())
    }

    fn client(&self) -> anyhow::Result<UdpSocket> {
        let client = inside(&self.far, || {
            Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?)
        })?;
        client.connect(self.at)?;
        client.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(client)
    }

    /// Speaks until both nodes tell of it: only then do both watch.
    fn settle(&self, watch: &mut Watch) -> anyhow::Result<()> {
        let (client, begun) = (self.client()?, Instant::now());
        let mut nodes = Vec::new();
        while nodes.len() < 2 {
            ensure!(begun.elapsed() < PATIENCE, "only {nodes:?} tell of packets");
            self.exchange(&client)?;
            thread::sleep(Duration::from_millis(100));
            for event in watch.lines.try_iter() {
                let node = event["node"].as_str().unwrap_or_default().to_owned();
                if !nodes.contains(&node) {
                    nodes.push(node);
                }
            }
        }
        Ok(())
    }

    /// How many datagrams were answered.
    fn talk(&self, client: &UdpSocket) -> anyhow::Result<u64> {
        let mut answered = 0;
        for _ in 0..DATAGRAMS {
            answered += u64::from(self.exchange(client)?);
            thread::sleep(PAUSE);
        }
        Ok(answered)
    }

    /// A datagram there and back; whether it came back.
    fn exchange(&self, client: &UdpSocket) -> anyhow::Result<bool> {
        let mut words = [0; 8];
        self.echo
            .set_read_timeout(Some(Duration::from_millis(500)))?;
        client.send(b"wanted!\n")?;
        let Ok((length, from)) = self.echo.recv_from(&mut words) else {
            return Ok(false);
        };
        self.echo.send_to(&words[..length], from)?;
        Ok(client.recv(&mut words).is_ok())
    }
}

/// `flatnet trace --watch` of the flow.
struct Watch {
    process: Child,
    lines: Receiver<Value>,
    reader: JoinHandle<()>,
}

impl Watch {
    fn start(stage: &Stage<'_>) -> anyhow::Result<Self> {
        let port = PORT.to_string();
        let mut command = stage.cluster.flatnet()?;
        command.args([
            "trace",
            "--watch",
            "pod/server",
            "--port",
            &port,
            "-p",
            "udp",
        ]);
        command.args(["-o", "json", "--seconds", "60"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().context("cannot start flatnet")?;
        let out = process.stdout.take().context("no stdout")?;
        let (told, lines) = channel();
        let reader = thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            for line in lines {
                _ = told.send(serde_json::from_str(&line).unwrap_or_default());
            }
        });
        Ok(Self {
            process,
            lines,
            reader,
        })
    }

    /// Ends it: the events that nobody has taken yet, and how many it says are lost.
    fn end(mut self) -> anyhow::Result<(Vec<Value>, u64)> {
        let id = i32::try_from(self.process.id())?;
        kill(Pid::from_raw(id), Signal::SIGINT)?;
        let mut said = String::new();
        let errors = self.process.stderr.take().context("no stderr")?;
        BufReader::new(errors).read_to_string(&mut said)?;
        self.process.wait()?;
        self.reader.join().map_err(|_panic| anyhow!("a panic"))?;
        Ok((self.lines.try_iter().collect(), lost(&said)))
    }
}

/// What `flatnet` says on stderr of events that had no room.
fn lost(said: &str) -> u64 {
    let count = |line: &str| {
        let (count, _) = line.split_once(": ")?.1.split_once(" events had no room")?;
        count.parse::<u64>().ok()
    };
    said.lines().filter_map(count).sum()
}

/// How often packets of this port were seen at each place.
fn places(events: &[Value], port: u16) -> Places {
    let mut places = Places::new();
    let own = format!(":{port}");
    for event in events {
        let ends = [&event["from"], &event["to"]];
        let is_own = ends
            .iter()
            .any(|end| end.as_str().is_some_and(|end| end.ends_with(&own)));
        let kind = event["what"]["kind"].as_str().unwrap_or_default();
        if is_own && ["received", "sent"].contains(&kind) {
            let (node, pod, interface) = (&event["node"], &event["pod"], &event["interface"]);
            let place = format!("{node} {pod} {interface} {kind} from {}", event["from"]);
            *places.entry(place).or_default() += 1;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_counted_by_place_and_losses_read() {
        let event = |kind: &str, from: &str| {
            json!({"node": "n1", "pod": null, "interface": "eth0", "what": {"kind": kind},
                   "from": from, "to": "10.0.0.2:7001"})
        };
        let events = [
            event("received", "10.0.0.1:4000"),
            event("received", "10.0.0.1:4000"),
            event("sent", "10.0.0.1:4000"),
            event("freed", "10.0.0.1:4000"),
            event("sent", "10.0.0.1:4001"),
        ];
        let places = places(&events, 4000);
        assert_eq!(places.values().copied().collect::<Vec<_>>(), [2, 1]);
        let said = "seen in part: n1: why\nn1: 7 events had no room\nn2: 3 events had no room\n";
        assert_eq!(lost(said), 10);
    }
}
