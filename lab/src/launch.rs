//! Starting the process that serves a lab, and waiting until its cluster is ready.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::lock::{Attempt, Lock};
use crate::namespaces::Placement;
use crate::network::Network;
use crate::node::agent;
use crate::patience::longer;
use crate::places::{LabName, Places};
use crate::sweep::{self, Leave};

/// What the cluster DNS needs.
const DNS_PROGRAM: &str = "flatnet-dns";
/// From nothing to a ready cluster; a machine under load takes a few seconds.
const READY_WITHIN: Duration = Duration::from_secs(90);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a lab is to be.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) name: LabName,
    pub(crate) nodes: u8,
    pub(crate) zones: Vec<String>,
    pub(crate) network: Network,
    pub(crate) bin_dir: PathBuf,
    pub(crate) programs: Option<PathBuf>,
    /// Of the API server on 127.0.0.1; 0 takes any.
    pub(crate) port: u16,
    pub(crate) dns: bool,
    /// The product as an image archive, to be installed by the cluster's user.
    pub(crate) image: Option<PathBuf>,
}

impl Options {
    pub(crate) fn places(&self) -> Result<Places, LabError> {
        Places::of(&self.name).map_err(LabError::doing("cgroup2"))
    }

    /// The arguments of `serve` that say the same.
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["serve".into()];
        let mut flag = |name: &str, value: OsString| {
            arguments.push(name.into());
            arguments.push(value);
        };
        flag("--name", self.name.as_str().into());
        flag("--nodes", self.nodes.to_string().into());
        flag("--bin-dir", self.bin_dir.clone().into());
        flag("--port", self.port.to_string().into());
        flag("--dns", self.dns.to_string().into());
        for (name, value) in self.network.arguments() {
            flag(name, value.into());
        }
        if !self.zones.is_empty() {
            flag("--zones", self.zones.join(",").into());
        }
        if let Some(programs) = &self.programs {
            flag("--programs", programs.into());
        }
        if let Some(image) = &self.image {
            flag("--image", image.into());
        }
        arguments
    }

    /// Everything that will be needed, before anything is made.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        if self.network.families.has_v6() && !Path::new("/proc/sys/net/ipv6").exists() {
            return Err(LabError::NoIpv6);
        }
        let bare = self.image.is_some();
        let needed = (!bare).then_some(agent::BINARY);
        let needed = needed
            .into_iter()
            .chain((self.dns && !bare).then_some(DNS_PROGRAM));
        let missing = needed.filter(|program| !self.bin_dir.join(program).is_file());
        let programs: Vec<_> = missing.map(str::to_owned).collect();
        if programs.is_empty() {
            return Ok(());
        }
        Err(LabError::MissingPrograms {
            dir: self.bin_dir.clone(),
            programs,
        })
    }
}

/// How long a lab goes on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Until somebody ends it.
    Own,
    /// No longer than the thread that started it, also if that is killed.
    OfCaller,
}

/// Starts `serve`, detached from the terminal, with its log in the state directory.
///
/// # Errors
/// When the lab is up already, or something it needs is missing.
pub(crate) fn spawn(exe: &Path, options: &Options, lifetime: Lifetime) -> Result<Child, LabError> {
    options.check()?;
    let places = options.places()?;
    let io = || LabError::doing(format!("starting the lab {:?}", options.name.as_str()));
    match Lock::attempt(&places).map_err(io())? {
        Attempt::HeldBy(pid) => {
            return Err(LabError::AlreadyUp {
                name: options.name.to_string(),
                pid,
            });
        }
        Attempt::Taken(lock) => {
            // What a dead lab left goes now, so that the log below is of the new one alone.
            sweep::sweep(&places, Leave::Nothing).map_err(io())?;
            drop(lock);
        }
    }
    fs::create_dir_all(places.logs()).map_err(io())?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(places.serve_log());
    let log = log.map_err(io())?;
    let mut command = Command::new(exe);
    command.args(options.arguments());
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(io())?)
        .stderr(log);
    let placement = Placement::default().own_session();
    match lifetime {
        Lifetime::Own => placement.apply(&mut command),
        Lifetime::OfCaller => placement.ends_with_caller().apply(&mut command),
    }
    command.spawn().map_err(io())
}

/// Waits until the cluster is ready, and tells each step of the start as it happens.
pub(crate) fn wait_ready(
    serve: &mut Child,
    places: &Places,
    mut tell: impl FnMut(&str),
) -> Result<(), LabError> {
    let patience = longer(READY_WITHIN);
    let deadline = Instant::now() + patience;
    let mut told = 0;
    loop {
        // Asked before the file is read, so that the last lines of a ready lab are told too.
        let ready = places.ready().exists();
        let progress = fs::read_to_string(places.progress()).unwrap_or_default();
        for line in progress.get(told..).unwrap_or_default().lines() {
            tell(line);
        }
        told = progress.len();
        if ready {
            return Ok(());
        }
        let io = LabError::doing("waiting for the lab");
        if let Some(status) = serve.try_wait().map_err(io)? {
            let reason = format!("`serve` ended with {status}: {}", last_words(places));
            return Err(LabError::DidNotStart {
                reason,
                log: places.serve_log(),
            });
        }
        if Instant::now() > deadline {
            return Err(LabError::NotInTime {
                what: "the lab did not become ready".to_owned(),
                seconds: patience.as_secs(),
                log: places.serve_log(),
            });
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn last_words(places: &Places) -> String {
    let log = fs::read_to_string(places.serve_log()).unwrap_or_default();
    log.lines().last().unwrap_or("it said nothing").to_owned()
}

/// Ends the process that serves the lab, if one does, and removes what is left.
pub(crate) fn down(places: &Places) -> Result<(), LabError> {
    let io = || LabError::doing(format!("ending the lab {:?}", places.name().as_str()));
    let deadline = Instant::now() + longer(STOPPED_WITHIN);
    let mut asked = None;
    loop {
        match Lock::attempt(places).map_err(io())? {
            Attempt::Taken(lock) => {
                sweep::sweep(places, Leave::Nothing).map_err(io())?;
                drop(lock);
                return Ok(());
            }
            Attempt::HeldBy(pid) => {
                use nix::sys::signal::{Signal, kill};
                // The number is that of a living process: it holds the lock. Zero means that it
                // has the lock and has not yet written who it is.
                let signal = if Instant::now() > deadline {
                    Signal::SIGKILL
                } else {
                    Signal::SIGTERM
                };
                if pid != 0 && asked != Some((pid, signal)) {
                    let target = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap_or_default());
                    asked = Some((pid, signal));
                    match kill(target, signal) {
                        Ok(()) | Err(nix::Error::ESRCH) => {}
                        Err(errno) => return Err(io()(errno.into())),
                    }
                }
            }
        }
        thread::sleep(LOOK_EVERY);
    }
}
