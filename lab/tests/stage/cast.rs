//! The cast of the rows about Services: three nodes in two zones, on each a server and a client,
//! an outside client, and Services whose endpoints are written by hand, condition by condition.
//!
//! The client on node3 says no to the socket path: what holds for all three holds on both paths.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lab::Lab;
use lab::handle::RunningPod;
use lab::patience::longer;
use lab::store::Kind;
use serde_json::{Value, json};

use super::askers::From;
use super::place::Place;
use super::{PATIENCE, output, product_in_zones, told};

/// Where the servers listen; a second container of each pod listens on the next port.
pub(crate) const PORT: u16 = 8080;
/// Enough for all of three endpoints to answer, nearly always.
const QUESTIONS: &str = "20";
/// The pods that ask.
pub(crate) const CLIENTS: [From; 3] = [From::Pod("node1"), From::Pod("node2"), From::Pod("node3")];

/// A row: its name, and what shows it.
pub(crate) type Row = (&'static str, fn(&Cast));

/// The lab and who is in it.
pub(crate) struct Cast {
    pub(crate) lab: Lab,
    /// `s1` on node1, and so on.
    pub(crate) servers: Vec<RunningPod>,
    clients: Vec<RunningPod>,
}

/// An endpoint: one of the servers, as a slice tells of it.
#[derive(Clone, Debug)]
pub(crate) struct End {
    server: usize,
    conditions: Value,
    hints: Value,
}

impl End {
    pub(crate) fn with(server: usize, conditions: Value) -> Self {
        Self {
            server,
            conditions,
            hints: Value::Null,
        }
    }

    pub(crate) fn ready(server: usize) -> Self {
        Self::with(server, json!({"ready": true}))
    }

    pub(crate) fn unready(server: usize) -> Self {
        Self::with(server, json!({"ready": false, "serving": false}))
    }

    pub(crate) fn draining(server: usize) -> Self {
        let conditions = json!({"ready": false, "serving": true, "terminating": true});
        Self::with(server, conditions)
    }

    /// The same, hinted to these zones and nodes.
    pub(crate) fn hinted(mut self, zones: &[&str], nodes: &[&str]) -> Self {
        let named =
            |names: &[&str]| -> Vec<_> { names.iter().map(|name| json!({"name": name})).collect() };
        self.hints = json!({"forZones": named(zones), "forNodes": named(nodes)});
        self
    }
}

/// Each of the servers, ready.
pub(crate) fn all_three() -> [End; 3] {
    [1, 2, 3].map(End::ready)
}

/// The fields of a Service that keeps its clients for so long.
pub(crate) fn affinity(seconds: u32) -> Value {
    json!({
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}},
    })
}

impl Cast {
    /// The cast on a lab of its own.
    pub(crate) fn new(prefix: &str) -> Option<Self> {
        let lab = product_in_zones(prefix, 3, &["a", "b"], &["kubectl"])?;
        Some(Self::on(lab))
    }

    /// The cast on this lab.
    pub(crate) fn on(lab: Lab) -> Self {
        for number in 1..=3 {
            lab.apply(&server(number).to_string()).expect("applied");
            lab.apply(&client(number).to_string()).expect("applied");
        }
        Self {
            servers: lab.wait_pods("server", 3, PATIENCE).expect("they serve"),
            clients: lab.wait_pods("client", 3, PATIENCE).expect("they run"),
            lab,
        }
    }

    /// Shows rows, all at once: each has Services of its own. Fails with the names of those that
    /// do not hold.
    pub(crate) fn show(&self, rows: &[Row]) {
        let failed: Vec<_> = thread::scope(|scope| {
            let start = |(name, row): &Row| {
                let (name, row) = (*name, *row);
                let show = move || {
                    let began = Instant::now();
                    row(self);
                    eprintln!("held in {:?}: {name}", began.elapsed());
                };
                let thread = thread::Builder::new().name(name.to_owned());
                (name, thread.spawn_scoped(scope, show).expect("a thread"))
            };
            let running: Vec<_> = rows.iter().map(start).collect();
            let ended = running
                .into_iter()
                .map(|(name, thread)| (name, thread.join()));
            let failed = ended.filter(|(_, ended)| ended.is_err());
            failed.map(|(name, _)| name).collect()
        });
        assert!(failed.is_empty(), "rows that do not hold: {failed:?}");
    }

    /// A Service without a selector, of port 80 over TCP and UDP, in both families; `fields` add to
    /// its spec.
    pub(crate) fn service(&self, name: &str, fields: Value) {
        self.service_at(name, None, fields);
    }

    /// The same with a node port.
    pub(crate) fn service_at(&self, name: &str, node_port: Option<u16>, fields: Value) {
        let port = |name, protocol| json!({"name": name, "port": 80, "protocol": protocol, "nodePort": node_port});
        let mut spec = json!({
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [port("t", "TCP"), port("u", "UDP")],
        });
        for (key, value) in fields.as_object().expect("fields") {
            spec[key] = value.clone();
        }
        self.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}));
    }

    /// Merges into a Service.
    pub(crate) fn change(&self, name: &str, patch: Value) {
        let key = ("default", name);
        self.lab
            .api()
            .patch(Kind::Service, key, &patch)
            .expect("patched");
    }

    /// Makes these all the endpoints of a Service, at the servers' first port.
    pub(crate) fn ends(&self, service: &str, ends: &[End]) {
        self.ends_at(service, PORT, ends);
    }

    /// The same at another port.
    pub(crate) fn ends_at(&self, service: &str, port: u16, ends: &[End]) {
        let ports = json!([
            {"name": "t", "port": port},
            {"name": "u", "port": port, "protocol": "UDP"},
        ]);
        self.slice(service, "1", ports, ends);
    }

    /// A slice of each family, of this name behind the Service's.
    pub(crate) fn slice(&self, service: &str, name: &str, ports: Value, ends: &[End]) {
        for v4 in [true, false] {
            let endpoint = |end: &End| {
                let pod = &self.servers[end.server - 1];
                let address = pod.addresses.iter().find(|it| it.is_ipv4() == v4);
                json!({
                    "addresses": [address.expect("an address")], "conditions": end.conditions,
                    "nodeName": pod.node, "hints": end.hints,
                })
            };
            let family = if v4 { "IPv4" } else { "IPv6" };
            let endpoints: Vec<_> = ends.iter().map(endpoint).collect();
            self.endpoints(
                service,
                &format!("{name}-{}", family.to_lowercase()),
                family,
                (&ports, &json!(endpoints)),
            );
        }
    }

    /// A slice.
    pub(crate) fn endpoints(
        &self,
        service: &str,
        name: &str,
        family: &str,
        (ports, endpoints): (&Value, &Value),
    ) {
        self.apply(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {"name": format!("{service}-{name}"), "labels": {"kubernetes.io/service-name": service}},
            "ports": ports, "endpoints": endpoints,
        }));
    }

    pub(crate) fn apply(&self, object: Value) {
        self.lab.apply(&object.to_string()).expect("applied");
    }

    /// Where a Service answers: its cluster IPs, at port 80.
    pub(crate) fn frontends(&self, service: &str) -> Vec<SocketAddr> {
        let found = self.lab.api().find(Kind::Service, "default", service);
        let service = found.expect("an answer").expect("the Service");
        let ips = service["spec"]["clusterIPs"].as_array().expect("addresses");
        let ip = |ip: &Value| ip.as_str().expect("text").parse().expect("an address");
        ips.iter().map(|it| SocketAddr::new(ip(it), 80)).collect()
    }

    /// Where a node answers at a port.
    pub(crate) fn at(&self, node: &str, port: u16) -> Vec<SocketAddr> {
        let addresses = self.lab.node_addresses(node).into_iter();
        addresses.map(|it| SocketAddr::new(it, port)).collect()
    }

    /// The client pod on a node.
    pub(crate) fn client(&self, node: &str) -> &RunningPod {
        let found = self.clients.iter().find(|pod| pod.node == node);
        found.expect("a client there")
    }

    /// A command there.
    pub(crate) fn command(&self, from: From, argv: &[&str]) -> Command {
        match from {
            From::Outside => self.lab.on_client(argv),
            From::Node(node) => self.lab.on_node(node, argv),
            From::Pod(node) => self.lab.in_pod(&self.client(node).name, argv),
        }
    }

    /// The network namespace that commands from there run in.
    pub(crate) fn place(&self, from: From) -> Place {
        match from {
            From::Outside => Place::member(&self.lab, "client"),
            From::Node(node) => Place::member(&self.lab, node),
            From::Pod(node) => Place::pod(&self.lab, &self.client(node).name),
        }
    }

    /// Waits until exactly these servers answer at `at`, over TCP and over UDP.
    pub(crate) fn until(&self, from: From, at: SocketAddr, servers: &[usize]) {
        self.until_over(&["get", "udp"], from, at, servers);
    }

    /// The same over some of the demo's verbs.
    pub(crate) fn until_over(&self, verbs: &[&str], from: From, at: SocketAddr, servers: &[usize]) {
        let names: BTreeSet<_> = servers.iter().map(|number| format!("s{number}")).collect();
        for verb in verbs {
            let mut last = Ok(BTreeSet::new());
            let since = Instant::now();
            while last.as_ref() != Ok(&names) {
                assert!(
                    since.elapsed() < longer(PATIENCE),
                    "{from:?} {verb} {at}: {last:?} instead of {names:?}"
                );
                last = self.who(verb, from, at);
            }
        }
    }

    /// Who answers there; all about it if a question is not answered.
    pub(crate) fn who(
        &self,
        verb: &str,
        from: From,
        at: SocketAddr,
    ) -> Result<BTreeSet<String>, String> {
        let argv = [
            "flatnet-demo",
            verb,
            &target(verb, at),
            "--count",
            QUESTIONS,
            "--timeout-ms",
            "1000",
        ];
        let asked = self.command(from, &argv).output().expect("it runs");
        if !asked.status.success() {
            return Err(told(&asked));
        }
        let text = String::from_utf8(asked.stdout).expect("text");
        Ok(text.lines().map(answerer).collect())
    }

    /// The status of a load balancer with these addresses.
    pub(crate) fn balance(&self, service: &str, ingress: Value) {
        let status = json!({"status": {"loadBalancer": {"ingress": ingress}}}).to_string();
        let patch = ["patch", "service", service, "--subresource=status"];
        let merge = ["--type=merge", "-p", &status];
        output(self.lab.kubectl(&[&patch[..], &merge].concat()));
    }

    /// Waits until nobody answers there and connections and datagrams are refused at once.
    pub(crate) fn until_refused(&self, from: From, at: SocketAddr) {
        for verb in ["get", "udp"] {
            self.until_not(verb, from, at, true);
        }
    }

    /// Waits until nobody answers there and nobody refuses: the packets are dropped.
    pub(crate) fn until_dropped(&self, from: From, at: SocketAddr) {
        for verb in ["get", "udp"] {
            self.until_not(verb, from, at, false);
        }
    }

    /// Waits until nobody answers there any more, refused or not.
    pub(crate) fn until_nobody(&self, from: From, at: SocketAddr) {
        for verb in ["get", "udp"] {
            let argv = [
                "flatnet-demo",
                verb,
                &target(verb, at),
                "--timeout-ms",
                "300",
            ];
            let asked = || self.command(from, &argv).output().expect("it runs");
            let gone = || Ok((!asked().status.success()).then_some(()));
            let waited = self.lab.wait("silence", PATIENCE, gone);
            assert!(
                waited.is_ok(),
                "{from:?} {verb} {at} is still answered: {}",
                told(&asked())
            );
        }
    }

    /// Waits until a question over one of the demo's verbs is refused at once, or dropped.
    pub(crate) fn until_not(&self, verb: &str, from: From, at: SocketAddr, refused: bool) {
        let since = Instant::now();
        let timeout = longer(Duration::from_secs(1)).as_millis().to_string();
        loop {
            let argv = [
                "flatnet-demo",
                verb,
                &target(verb, at),
                "--timeout-ms",
                &timeout,
            ];
            let began = Instant::now();
            let asked = self.command(from, &argv).output().expect("it runs");
            let words = told(&asked);
            let at_once = began.elapsed() < longer(Duration::from_millis(900));
            let is_refused = words.contains("refused") && at_once;
            if !asked.status.success() && is_refused == refused {
                return;
            }
            assert!(
                since.elapsed() < longer(PATIENCE),
                "{from:?} {verb} {at}: refused was to be {refused}: {words}"
            );
        }
    }

    /// An address of the server in the family of another address.
    pub(crate) fn server_address(&self, server: usize, like: IpAddr) -> IpAddr {
        super::servers::of_family(&self.servers[server - 1].addresses, like)
    }
}

fn target(verb: &str, at: SocketAddr) -> String {
    match verb {
        "get" => format!("http://{at}"),
        _ => at.to_string(),
    }
}

fn answerer(line: &str) -> String {
    let answer: Value = serde_json::from_str(line).expect("an answer");
    answer["pod"].as_str().expect("a name").to_owned()
}

fn server(number: usize) -> Value {
    let serve = |name: &str, port: u16| {
        let command = [
            "flatnet-demo",
            "serve",
            "--drain-ms",
            "0",
            "--port",
            &port.to_string(),
        ];
        json!({"name": name, "image": "none", "command": command})
    };
    pod(
        &format!("s{number}"),
        "server",
        number,
        json!([serve("a", PORT), serve("b", PORT + 1)]),
    )
}

fn client(number: usize) -> Value {
    let containers = json!([{"name": "c", "image": "none", "command": ["sleep", "infinity"]}]);
    let mut pod = pod(&format!("c{number}"), "client", number, containers);
    if number == 3 {
        pod["metadata"]["annotations"] = json!({"flatnet.dev/socket-lb": "false"});
    }
    pod
}

fn pod(name: &str, app: &str, node: usize, containers: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app, "name": name}},
        "spec": {"nodeName": format!("node{node}"), "terminationGracePeriodSeconds": 0, "containers": containers},
    })
}
