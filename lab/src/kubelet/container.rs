//! One container: a process kept running as the restart policy says, asked by its probes, and
//! ended in the order Kubernetes promises (preStop, SIGTERM, grace, SIGKILL).

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};

use super::probe::{Rhythm, Tally, Target};
use super::state::{ContainerState, Ended, back_off};
use crate::cgroup;
use crate::objects::{Lifecycle, Probe};
use crate::patience::longer;
use crate::store::clock;

/// A run this long counts as a success: the next failure starts patience from the beginning.
const GOOD_RUN: Duration = Duration::from_secs(60);
/// What a liveness failure leaves a process to end by itself.
const LIVENESS_GRACE: Duration = Duration::from_secs(30);

/// What is needed to run one container.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) index: usize,
    pub(super) argv: Vec<String>,
    pub(super) log: PathBuf,
    pub(super) target: Target,
    pub(super) restart_policy: String,
    /// The states of the pod's containers; this one writes its own only.
    pub(super) states: watch::Sender<Vec<ContainerState>>,
    /// How long it may take to end, from the moment it is to end.
    pub(super) stop: watch::Receiver<Option<Duration>>,
}

impl Container {
    /// Runs it until it is stopped or has ended for good.
    pub(super) async fn run(self) {
        let mut failures = 0;
        while self.stop.borrow().is_none() {
            let began = Instant::now();
            let again = match self.run_once().await {
                Ok(code) => match self.restart_policy.as_str() {
                    "Never" => false,
                    "OnFailure" => code != 0,
                    _ => true,
                },
                Err(error) => {
                    self.update(|state| state.waiting("RunContainerError", error.to_string()));
                    true
                }
            };
            if !again || self.stop.borrow().is_some() {
                return;
            }
            failures = if began.elapsed() > GOOD_RUN {
                1
            } else {
                failures + 1
            };
            self.pause(failures).await;
        }
    }

    async fn pause(&self, failures: u32) {
        let pause = back_off(failures);
        let message = format!("back-off {pause:?} restarting failed container");
        self.update(|state| {
            if !matches!(state.phase, super::state::Phase::Waiting { .. }) {
                state.waiting("CrashLoopBackOff", message);
            }
        });
        let mut stop = self.stop.clone();
        tokio::select! {
            () = sleep(pause) => {}
            _ = stop.wait_for(Option::is_some) => {}
        }
    }

    /// One run of the process: its exit code, once nothing of it is left.
    async fn run_once(&self) -> io::Result<i32> {
        let mut child = self.spawn()?;
        let began = clock::timestamp();
        let started = self.target.container.startup_probe.is_none();
        let ready = started && self.target.container.readiness_probe.is_none();
        self.update(|state| state.running(began.clone(), started, ready));
        // Readiness is asked also while the container ends: a terminating endpoint that still
        // serves is told from one that does not.
        let (exit, message) = tokio::select! {
            outcome = self.wait(&mut child) => outcome?,
            never = self.watch_readiness() => match never {},
        };
        // The process had children perhaps; a container ends with its first process.
        let dir = self.target.entry.cgroup.clone();
        tokio::task::block_in_place(|| cgroup::kill(&dir))?;
        let code = exit
            .code()
            .unwrap_or_else(|| 128 + exit.signal().unwrap_or_default());
        self.update(|state| {
            state.terminated(Ended {
                exit_code: code,
                signal: exit.signal(),
                message,
                started_at: began,
                finished_at: clock::timestamp(),
            });
        });
        Ok(code)
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut command = self.target.entry.main_command(&self.argv)?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        tokio::process::Command::from(command)
            .spawn()
            .map_err(|error| {
                let program = self.argv.first().map(String::as_str).unwrap_or_default();
                io::Error::new(error.kind(), format!("cannot run {program:?}: {error}"))
            })
    }

    /// Until the process is gone, whoever wanted it so; and why, if it was the lab.
    async fn wait(&self, child: &mut Child) -> io::Result<(ExitStatus, String)> {
        let mut stop = self.stop.clone();
        let why = tokio::select! {
            exit = child.wait() => return Ok((exit?, String::new())),
            why = self.watch_liveness() => why,
            _ = stop.wait_for(Option::is_some) => String::new(),
        };
        let exit = self.end(child, stop).await?;
        Ok((exit, why))
    }

    /// preStop, SIGTERM, grace, SIGKILL. The grace can become shorter on the way.
    async fn end(
        &self,
        child: &mut Child,
        mut stop: watch::Receiver<Option<Duration>>,
    ) -> io::Result<ExitStatus> {
        let grace = stop.borrow_and_update().unwrap_or(LIVENESS_GRACE);
        let mut deadline = tokio::time::Instant::now() + grace;
        if let Lifecycle {
            pre_stop: Some(hook),
        } = &self.target.container.lifecycle
            && let Ok(Err(why)) = timeout(grace, self.target.ask(hook)).await
        {
            tracing::warn!(
                container = self.target.container.name,
                why,
                "preStop failed"
            );
        }
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // Not reaped yet (`id` is there), so the number is still this process.
            kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        }
        loop {
            tokio::select! {
                exit = child.wait() => return exit,
                () = sleep_until(deadline) => break,
                Ok(()) = stop.changed() => {
                    let shorter = stop.borrow_and_update().unwrap_or(LIVENESS_GRACE);
                    deadline = deadline.min(tokio::time::Instant::now() + shorter);
                }
            }
        }
        child.kill().await?;
        child.wait().await
    }

    /// Keeps `ready` up to date; never returns.
    async fn watch_readiness(&self) -> Infallible {
        let Some(probe) = &self.target.container.readiness_probe else {
            return std::future::pending().await;
        };
        self.until_started().await;
        let rhythm = Rhythm::of(probe);
        sleep(rhythm.initial_delay).await;
        let mut tally = Tally::new(rhythm.clone());
        loop {
            if let Some(ready) = tally.count(self.ask("readiness", probe, &rhythm).await) {
                self.update(|state| state.ready = ready);
            }
            sleep(rhythm.period).await;
        }
    }

    /// Returns why the container must be restarted.
    async fn watch_liveness(&self) -> String {
        if let Some(probe) = &self.target.container.startup_probe {
            if !self.verdict("startup", probe, None).await {
                return "startup probe failed".to_owned();
            }
            let ready = self.target.container.readiness_probe.is_none();
            self.update(|state| (state.started, state.ready) = (true, ready));
        }
        let Some(probe) = &self.target.container.liveness_probe else {
            return std::future::pending().await;
        };
        self.verdict("liveness", probe, Some(false)).await;
        "liveness probe failed".to_owned()
    }

    /// Asks until there is a verdict, or until it is `wanted`.
    async fn verdict(&self, kind: &str, probe: &Probe, wanted: Option<bool>) -> bool {
        let rhythm = Rhythm::of(probe);
        sleep(rhythm.initial_delay).await;
        let mut tally = Tally::new(rhythm.clone());
        loop {
            let verdict = tally.count(self.ask(kind, probe, &rhythm).await);
            if let Some(verdict) = verdict
                && wanted.is_none_or(|wanted| wanted == verdict)
            {
                return verdict;
            }
            sleep(rhythm.period).await;
        }
    }

    async fn ask(&self, kind: &str, probe: &Probe, rhythm: &Rhythm) -> bool {
        let answer = timeout(longer(rhythm.timeout), self.target.ask(&probe.handler)).await;
        let problem = match answer {
            Ok(Ok(())) => return true,
            Ok(Err(why)) => why,
            Err(_elapsed) => format!("no answer in {:?}", longer(rhythm.timeout)),
        };
        tracing::debug!(
            container = self.target.container.name,
            kind,
            problem,
            "probe"
        );
        false
    }

    async fn until_started(&self) {
        let mut states = self.states.subscribe();
        let started = |states: &Vec<ContainerState>| states[self.index].started;
        // The sender is `self.states`: it cannot be gone.
        let _never = states.wait_for(started).await;
    }

    fn update(&self, change: impl FnOnce(&mut ContainerState)) {
        self.states.send_if_modified(|states| {
            let before = states[self.index].clone();
            change(&mut states[self.index]);
            states[self.index] != before
        });
    }
}
