//! What ours is told of the Services: an agent that comes for one pass.
//!
//! The lab's API server is small, and slow with tens of thousands of objects. So a second agent
//! takes the place of the lab's own, which is stopped, with an API server of the bench's that lists the
//! Services; it is ended when all of them are in the kernel's maps. What the maps hold stays.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::layout::{PORT, Service};
use crate::bench::api::{Api, Objects};
use crate::bench::cluster::Cluster;
use crate::bench::metrics;
use crate::bench::namespace::{Room, inside};
use crate::workspace::Workspace;

/// Where the second agent answers, beside the first.
const METRICS: &str = "127.0.0.1:10349";
/// How long it may take to have all Services in the maps.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node of the lab, as an agent is told of it.
pub(in crate::bench) struct Node {
    pub(in crate::bench) name: String,
    pub(in crate::bench) address: Ipv4Addr,
    pub(in crate::bench) netns: PathBuf,
    bpffs: PathBuf,
    cgroup: PathBuf,
    /// The Node object, as the lab has it.
    object: Value,
}

impl Node {
    /// Asks the lab, and stops the node's agent.
    ///
    /// # Errors
    /// When there is no such node.
    pub(in crate::bench) fn of(cluster: &Cluster, name: &str) -> anyhow::Result<Self> {
        let object = cluster.object(&format!("node/{name}"))?;
        // It knows other Services, and would put them back.
        cluster.pause_agent(name)?;
        let address = object.pointer("/status/addresses/0/address");
        let address = address
            .and_then(Value::as_str)
            .context("a node's address")?;
        Ok(Self {
            name: name.to_owned(),
            address: address.parse().context("a node's address")?,
            netns: cluster.netns(name)?,
            bpffs: cluster.bpffs(name)?,
            cgroup: cluster.cgroup(name)?,
            object,
        })
    }
}

/// The agent's files.
pub(in crate::bench) struct Feeder {
    binary: PathBuf,
    programs: PathBuf,
}

impl Feeder {
    /// Those that the lab runs.
    pub(in crate::bench) fn of(workspace: &Workspace) -> Self {
        Self {
            binary: workspace.binaries(false).join("flatnet-agent"),
            programs: workspace.programs(),
        }
    }

    /// Makes these the Services of all nodes.
    ///
    /// # Errors
    /// When an agent does not come to know them.
    pub(in crate::bench) fn feed(
        &self,
        room: &Room,
        nodes: &[Node],
        services: &[Service],
    ) -> anyhow::Result<()> {
        let objects = Arc::new(Objects::from([
            (
                "services",
                services.iter().map(|one| object(one).to_string()).collect(),
            ),
            (
                "endpointslices",
                services
                    .iter()
                    .flat_map(slices)
                    .map(|one| one.to_string())
                    .collect(),
            ),
            (
                "nodes",
                nodes.iter().map(|node| node.object.to_string()).collect(),
            ),
        ]));
        let ports = services
            .iter()
            .filter(|service| service.node_port.is_some());
        let frontends = services.len() + ports.count();
        for node in nodes {
            let api = inside(&node.netns, || Api::start(objects.clone()))?;
            let mut agent = self.start(room, node, &api)?;
            agent.wait(node, frontends)?;
        }
        Ok(())
    }

    fn start(&self, room: &Room, node: &Node, api: &Api) -> anyhow::Result<Agent> {
        let log = room.path(&format!("{}.log", node.name));
        let said = File::create(&log)?;
        let mut command = Command::new(&self.binary);
        command.args(["run", "--node-name", &node.name]);
        command.args(["--api-server", &format!("http://{}", api.address)]);
        command.args([
            "--healthz-bind-address",
            "",
            "--metrics-bind-address",
            METRICS,
        ]);
        command.arg("--programs").arg(&self.programs);
        command.arg("--bpffs").arg(&node.bpffs);
        command.arg("--cgroup-root").arg(&node.cgroup);
        command.arg("--cni-conf-dir").arg(room.path("cni"));
        command.arg("--cni-data-dir").arg(room.path("leases"));
        command.arg("--socket").arg(room.path("agent.sock"));
        command.stdout(said.try_clone()?).stderr(said);
        let child = inside(&node.netns, || {
            command.spawn().context("cannot start flatnet-agent")
        })?;
        Ok(Agent { child, log })
    }
}

/// A running agent. It ends when dropped.
struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    /// Waits until it serves so many frontends: they come all at once, at the end of its first pass.
    fn wait(&mut self, node: &Node, frontends: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // It does not answer from the beginning.
            let known = metrics::frontends_at(&node.netns, METRICS).unwrap_or(0);
            if known >= frontends {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                bail!(
                    "{} has {known} frontends of {frontends}; its agent said: {}",
                    node.name,
                    said(&self.log)
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

fn object(service: &Service) -> Value {
    let protocol = service.protocol.name().to_uppercase();
    let mut port = json!({"name": "p", "port": PORT, "protocol": protocol});
    if let Some(number) = service.node_port {
        port["nodePort"] = json!(number);
    }
    let kind = match service.node_port {
        Some(_) => "NodePort",
        None => "ClusterIP",
    };
    json!({
        "metadata": {"name": service.name, "namespace": "default", "resourceVersion": "1"},
        "spec": {
            "type": kind, "clusterIP": service.cluster_ip, "clusterIPs": [service.cluster_ip],
            "ipFamilies": ["IPv4"], "ports": [port],
        },
    })
}

/// A slice for each of the endpoints' ports: a slice has one of a name.
fn slices(service: &Service) -> Vec<Value> {
    let mut by_port: BTreeMap<u16, Vec<Ipv4Addr>> = BTreeMap::new();
    for (address, port) in &service.endpoints {
        by_port.entry(*port).or_default().push(*address);
    }
    let protocol = service.protocol.name().to_uppercase();
    let slice = |(port, addresses): (u16, Vec<Ipv4Addr>)| {
        let endpoint = |address| json!({"addresses": [address], "conditions": {"ready": true}});
        let endpoints: Vec<Value> = addresses.into_iter().map(endpoint).collect();
        json!({
            "metadata": {
                "name": format!("{}-{port}", service.name), "namespace": "default",
                "resourceVersion": "1",
                "labels": {"kubernetes.io/service-name": service.name},
            },
            "addressType": "IPv4",
            "ports": [{"name": "p", "port": port, "protocol": protocol}],
            "endpoints": endpoints,
        })
    };
    by_port.into_iter().map(slice).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout;
    use super::*;

    #[test]
    fn the_endpoints_of_a_service_are_all_in_its_slices() {
        let services = layout::services(3, Ipv4Addr::new(10, 244, 1, 2));
        let shown: Vec<_> = services
            .iter()
            .map(|service| {
                let port = &object(service)["spec"]["ports"][0];
                let slices = slices(service).into_iter().map(|slice| {
                    let endpoints = slice["endpoints"].as_array().map_or(0, Vec::len);
                    format!(" {endpoints} at {}", slice["ports"][0]["port"])
                });
                let slices: String = slices.collect();
                format!("{} {}:{slices}", port["protocol"], port["nodePort"])
            })
            .collect();
        assert_eq!(
            shown,
            [
                r#""TCP" 30081: 1 at 9000 1 at 9001"#,
                r#""UDP" 30082: 1 at 9000 1 at 9001"#,
                r#""TCP" 31000: 2 at 8080"#,
            ]
        );
    }
}
