//! The stage: a node that is a namespace, an API server in it, and an agent that follows.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::json;

use crate::bench::api::{Api, Objects};
use crate::bench::cgroup::Cgroup;
use crate::bench::namespace::{self, Room, inside};
use crate::bench::population::{self, PORT, Population, TARGET};
use crate::bench::{metrics, usage};
use crate::workspace::Workspace;

/// The node's name, and its address.
const NODE: &str = "bench";
const ADDRESS: &str = "172.31.0.1";
/// Endpoints of the Service that changes: addresses of the node itself, so that a connection to
/// one needs nobody else.
const LOCAL: [u8; 4] = [10, 244, 0, 10];
const POD_CIDR: &str = "10.244.0.0/24";
/// The first sync of anything here, or a change.
const PATIENCE: Duration = Duration::from_secs(60);
/// Slots for an endpoint: its list's, and those that a change of all lists takes meanwhile.
const SLOTS: usize = 3;

/// Frontends of a Service: its port's, and its cluster IP's own.
const ENTRIES: usize = 2;

/// What every start of the agent has in common.
pub(super) struct Stage<'a> {
    room: &'a Room,
    netns: PathBuf,
    cgroup: Cgroup,
    api: Api,
    population: Population,
    binary: PathBuf,
    programs: PathBuf,
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
            answer_at(TcpListener::bind((Ipv4Addr::UNSPECIFIED, TARGET))?);
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
    fn frontend(&self) -> SocketAddr {
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
fn changed(population: Population, ready: bool) -> String {
    let last = population.services - 1;
    population::slice(last, local_endpoints(population), ready).to_string()
}

/// A running agent. It ends, and what it pinned goes, when dropped.
pub(super) struct Agent<'a> {
    stage: &'a Stage<'a>,
    child: Child,
    started: Instant,
    bpffs: PathBuf,
    log: PathBuf,
    /// Whether the last change left the endpoints ready.
    ready: bool,
}

impl<'a> Agent<'a> {
    /// Starts it on a kernel that knows of no agent before, with `more` arguments.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(stage: &'a Stage<'a>, more: &[&str]) -> anyhow::Result<Self> {
        let Stage { room, .. } = stage;
        let bpffs = room.mount_bpffs("bpf")?;
        let log = room.path("agent.log");
        let slots = stage.population.services * stage.population.endpoints * SLOTS;
        let mut command = Command::new(&stage.binary);
        command.args(["run", "--node-name", NODE]);
        command.args(["--api-server", &format!("http://{}", stage.api.address)]);
        command.arg("--programs").arg(&stage.programs);
        command.arg("--bpffs").arg(&bpffs);
        command.arg("--cgroup-root").arg(stage.cgroup.dir());
        command.arg("--cni-conf-dir").arg(room.path("cni"));
        command.arg("--cni-data-dir").arg(room.path("leases"));
        command.arg("--socket").arg(room.path("agent.sock"));
        command.args(["--endpoint-slots", &slots.max(1024).to_string()]);
        command.args(more);
        let said = File::create(&log)?;
        command.stdout(said.try_clone()?).stderr(said);
        let (child, started) = inside(&stage.netns, || {
            let started = Instant::now();
            let child = command.spawn().context("cannot start flatnet-agent")?;
            Ok((child, started))
        })?;
        Ok(Self {
            stage,
            child,
            started,
            bpffs,
            log,
            ready: true,
        })
    }

    /// Waits until the last Service answers; the time since the start of the process.
    ///
    /// # Errors
    /// When it does not, or the agent ends.
    pub(super) fn first_sync(&mut self) -> anyhow::Result<Duration> {
        let frontend = self.stage.frontend();
        // Until the programs are attached nobody refuses a connection: it leads nowhere.
        let short = Duration::from_millis(2);
        let netns = &self.stage.netns;
        let answered = || {
            inside(netns, || {
                Ok(TcpStream::connect_timeout(&frontend, short).is_ok())
            })
        };
        while !answered()? {
            self.is_alive()?;
        }
        Ok(self.started.elapsed())
    }

    /// Makes sure that every Service is in the kernel, by the agent's own account.
    ///
    /// # Errors
    /// When one is missing.
    pub(super) fn knows_all(&self) -> anyhow::Result<()> {
        let all = self.stage.population.services * ENTRIES;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // It counts when its pass has ended, a moment after the first connection.
            let known = metrics::frontends(&self.stage.netns)?;
            if known == all {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the agent has {known} of {all} frontends"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many full passes there were, and the seconds that they took together.
    ///
    /// # Errors
    /// When it does not tell.
    pub(super) fn full_passes(&self) -> anyhow::Result<(f64, f64)> {
        metrics::full_passes(&self.stage.netns)
    }

    /// Changes the Service: all its endpoints become ready, or none is. The time until a
    /// connection shows it.
    ///
    /// # Errors
    /// When none does, or the agent ends.
    pub(super) fn change(&mut self) -> anyhow::Result<Duration> {
        self.ready = !self.ready;
        let slice = changed(self.stage.population, self.ready);
        let (frontend, ready) = (self.stage.frontend(), self.ready);
        let changed = inside(&self.stage.netns, || {
            let begun = Instant::now();
            self.stage.api.modified("endpointslices", &slice)?;
            while begun.elapsed() < PATIENCE {
                if is_answered(frontend)? == ready {
                    return Ok(Some(begun.elapsed()));
                }
                thread::yield_now();
            }
            Ok(None)
        })?;
        match changed {
            Some(time) => Ok(time),
            None => {
                self.is_alive()?;
                bail!("a change of {frontend} to {ready} is not seen")
            }
        }
    }

    /// CPU time that it has used.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        usage::cpu(self.child.id())
    }

    /// Memory that it holds, in MiB.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn mib(&self) -> anyhow::Result<f64> {
        usage::mib(self.child.id())
    }

    /// The most that it has held, in MiB.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn peak_mib(&self) -> anyhow::Result<f64> {
        usage::peak_mib(self.child.id())
    }

    fn is_alive(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        let late = self.started.elapsed() > PATIENCE * 2;
        if ended.is_none() && !late {
            return Ok(());
        }
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        bail!("the agent does not serve ({ended:?}); it said: {said}")
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Err(error) = self.stage.room.unmount_bpffs(&self.bpffs) {
            eprintln!("{error:#}");
        }
    }
}

/// Whether a connection is answered; refused, it is not.
///
/// # Errors
/// When neither happens.
fn is_answered(at: SocketAddr) -> anyhow::Result<bool> {
    match TcpStream::connect(at) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error).with_context(|| at.to_string()),
    }
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
