//! The agent that is measured, from its start to its end.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::stage::{NODE, Stage, changed};
use crate::bench::namespace::inside;
use crate::bench::{metrics, usage};

/// The first sync of anything here, or a change.
const PATIENCE: Duration = Duration::from_secs(60);
/// Slots for an endpoint: its list's, and those that a change of all lists takes meanwhile.
const SLOTS: usize = 3;
/// Frontends of a Service: its port's, and its cluster IP's own.
const ENTRIES: usize = 2;

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
            // It tells, and counts, when its pass has ended, a moment after the first connection.
            let known = metrics::frontends(&self.stage.netns);
            if known.as_ref().is_ok_and(|known| *known == all) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the agent has {known:?} of {all} frontends"
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
