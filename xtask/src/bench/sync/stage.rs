//! The stage: a node that is a namespace, an API server in it, and an agent that follows.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use nix::sys::socket::{self, Backlog};
use serde_json::json;

use crate::bench::api::{Api, Objects};
use crate::bench::cgroup::Cgroup;
use crate::bench::namespace::{self, Room, inside};
use crate::bench::population::{self, PORT, Population, TARGET};
use crate::workspace::Workspace;

/// The node's name, and its address.
pub(super) const NODE: &str = "bench";
const ADDRESS: &str = "172.31.0.1";
/// Endpoints of the Service that changes: addresses of the node itself, so that a connection to
/// one needs nobody else.
const LOCAL: [u8; 4] = [10, 244, 0, 10];
/// Connections that wait to be ended: the kernel's limit, unless it is told another.
const QUEUE: i32 = 4_096;
const POD_CIDR: &str = "10.244.0.0/24";
/// What every start of the agent has in common.
pub(super) struct Stage<'a> {
    pub(super) room: &'a Room,
    pub(super) netns: PathBuf,
    pub(super) cgroup: Cgroup,
    pub(super) api: Api,
    pub(super) population: Population,
    pub(super) binary: PathBuf,
    pub(super) programs: PathBuf,
}

impl<'a> Stage<'a> {
    /// Sets it: the node is there, its API server answers, the endpoints of the last Service
    /// listen.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn set(
        workspace: &Workspace,
        room: &'a Room,
        population: Population,
    ) -> anyhow::Result<Self> {
        let netns = room.create_netns(&format!("{NODE}-{}", population.services))?;
        namespace::ip(&netns, &node(population))?;
        let objects = Arc::new(objects(population));
        let api = inside(&netns, || {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, TARGET))?;
            // A change that is awaited makes connections faster than they are ended. With std's
            // 128 one would be dropped now and then, and be tried again a second later.
            socket::listen(&listener, Backlog::new(QUEUE)?)?;
            answer_at(listener);
            Api::start(objects)
        })?;
        Ok(Self {
            room,
            netns,
            cgroup: Cgroup::enter(&format!("flatnet-bench-{}", std::process::id()))?,
            api,
            population,
            binary: workspace.binaries(true).join("flatnet-agent"),
            programs: workspace.programs(),
        })
    }

    /// The cluster IP of the Service that changes: the last, which the agent hears of last.
    pub(super) fn frontend(&self) -> SocketAddr {
        let last = self.population.services - 1;
        (population::cluster_ip(last), PORT).into()
    }
}

/// Ends each connection as it comes. Ends with this process.
fn answer_at(listener: TcpListener) {
    thread::spawn(move || listener.incoming().for_each(drop));
}

fn local_endpoints(population: Population) -> impl Iterator<Item = Ipv4Addr> {
    let first = u32::from(Ipv4Addr::from(LOCAL));
    (first..).map(Ipv4Addr::from).take(population.endpoints)
}

/// Lines of `ip`: an uplink with the node's address, and the local endpoints.
fn node(population: Population) -> Vec<String> {
    let mut lines = vec![
        "link set lo up".to_owned(),
        "link add eth0 type veth peer name far0".to_owned(),
        format!("address add {ADDRESS}/24 dev eth0"),
        "link set eth0 up".to_owned(),
        "link set far0 up".to_owned(),
    ];
    let endpoints = local_endpoints(population);
    lines.extend(endpoints.map(|address| format!("address add {address}/32 dev lo")));
    lines
}

fn objects(population: Population) -> Objects {
    let mut slices = population.slices();
    if let Some(last) = slices.last_mut() {
        *last = changed(population, true);
    }
    let node = json!({
        "metadata": {"name": NODE, "resourceVersion": "1"},
        "spec": {"podCIDR": POD_CIDR, "podCIDRs": [POD_CIDR]},
        "status": {"addresses": [{"type": "InternalIP", "address": ADDRESS}]},
    });
    Objects::from([
        ("services", population.services()),
        ("endpointslices", slices),
        ("nodes", vec![node.to_string()]),
    ])
}

/// The slice of the Service that changes.
pub(super) fn changed(population: Population, ready: bool) -> String {
    let last = population.services - 1;
    population::slice(last, local_endpoints(population), ready).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_service_has_the_nodes_own_endpoints() {
        let population = Population {
            services: 3,
            endpoints: 2,
        };
        let objects = objects(population);
        assert!(objects["endpointslices"][2].contains("10.244.0.11"));
        assert!(!objects["endpointslices"][1].contains("10.244.0."));
        let lines = node(population);
        assert!(lines.contains(&"address add 10.244.0.11/32 dev lo".to_owned()));
    }
}
