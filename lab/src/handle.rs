//! A lab in a program's hand: started by it, entered by it, gone with it.
//!
//! The demonstration and the end-to-end tests stand on this. Dropping a [`Lab`] ends it, also
//! while a failed assertion unwinds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli;
use crate::client::Client;
use crate::error::LabError;
use crate::launch::{self, Options};
use crate::node::agent;
use crate::objects::{self, Pod};
use crate::places::Places;
use crate::settings::Settings;
use crate::store::Kind;

/// How often to look again while waiting for something.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// What lab a test wants. The rest is as `flatnet-lab up` has it by default.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Begins the lab's name; what follows makes it unique.
    pub prefix: String,
    /// How many nodes.
    pub nodes: u8,
    /// Zones the nodes are dealt to in turn.
    pub zones: Vec<String>,
    /// Where the product's binaries are.
    pub bin_dir: PathBuf,
    /// The eBPF object.
    pub programs: Option<PathBuf>,
    /// Whether the cluster DNS runs.
    pub dns: bool,
}

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    exe: PathBuf,
    places: Places,
    settings: Settings,
    client: Client,
    /// The serving process; absent once it was let go.
    serve: Option<Child>,
}

impl Lab {
    /// Starts a lab with a name of its own; `exe` is the `flatnet-lab` binary.
    ///
    /// # Errors
    /// When it does not become ready; nothing but its logs is left then.
    pub fn start(exe: &Path, options: LabOptions) -> Result<Self, LabError> {
        let LabOptions {
            prefix,
            nodes,
            zones,
            bin_dir,
            programs,
            dns,
        } = options;
        let name = format!("{prefix}-{:06x}", fastrand::u32(..1 << 24)).parse()?;
        let options = Options {
            name,
            nodes,
            zones,
            bin_dir,
            programs,
            port: 0,
            dns,
        };
        Self::start_as(exe, &options, |_step| ())
    }

    pub(crate) fn start_as(
        exe: &Path,
        options: &Options,
        tell: impl FnMut(&str),
    ) -> Result<Self, LabError> {
        let places = options.places()?;
        let mut serve = launch::spawn(exe, options)?;
        if let Err(error) = launch::wait_ready(&mut serve, &places, tell) {
            end(&mut serve);
            return Err(error);
        }
        let settings = Settings::load(&places).map_err(LabError::doing("settings"))?;
        let client = cli::client(&places)?;
        Ok(Self {
            exe: exe.to_owned(),
            places,
            settings,
            client,
            serve: Some(serve),
        })
    }

    /// The lab's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.places.name().as_str()
    }

    /// The `flatnet-lab` binary that serves it.
    #[must_use]
    pub fn exe(&self) -> &Path {
        &self.exe
    }

    /// Where the lab keeps its files.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.places.state()
    }

    /// The cgroup of everything that runs in the lab.
    #[must_use]
    pub fn cgroup(&self) -> PathBuf {
        self.places.cgroup()
    }

    /// Where the logs are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.places.logs()
    }

    /// The kubeconfig for `kubectl` on this machine.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.places.kubeconfig()
    }

    /// The names of the nodes.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        self.settings
            .nodes
            .iter()
            .map(|node| node.name.clone())
            .collect()
    }

    /// The process that serves the lab.
    #[must_use]
    pub fn serve_pid(&self) -> Option<u32> {
        self.serve.as_ref().map(Child::id)
    }

    /// A client of the API server.
    #[must_use]
    pub fn api(&self) -> &Client {
        &self.client
    }

    /// Creates or changes what `yaml` describes.
    ///
    /// # Errors
    /// When the manifest cannot be read, or the server refuses.
    pub fn apply(&self, yaml: &str) -> Result<(), LabError> {
        self.client.apply(yaml)
    }

    /// Sets the number of replicas of a Deployment in `default`.
    ///
    /// # Errors
    /// When there is no such Deployment.
    pub fn scale(&self, deployment: &str, replicas: u32) -> Result<(), LabError> {
        let patch = json!({"spec": {"replicas": replicas}});
        self.client
            .patch(Kind::Deployment, ("default", deployment), &patch)
            .map(drop)
    }

    /// A command in a pod (or `deploy/NAME`) of `default`, to be started by the caller.
    #[must_use]
    pub fn in_pod(&self, pod: &str, argv: &[&str]) -> Command {
        self.entering(&["exec", pod], argv)
    }

    /// A command as a process of a node.
    #[must_use]
    pub fn on_node(&self, node: &str, argv: &[&str]) -> Command {
        self.entering(&["node", node], argv)
    }

    /// A command on the outside client.
    #[must_use]
    pub fn on_client(&self, argv: &[&str]) -> Command {
        self.entering(&["client"], argv)
    }

    fn entering(&self, verb: &[&str], argv: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command
            .arg(verb[0])
            .args(["--name", self.name()])
            .args(&verb[1..])
            .arg("--")
            .args(argv);
        command
    }

    /// `kubectl` with this lab's kubeconfig.
    #[must_use]
    pub fn kubectl(&self, argv: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", self.kubeconfig()).args(argv);
        command
    }

    /// The process of a node's agent.
    ///
    /// # Errors
    /// When it has never been started.
    pub fn agent_pid(&self, node: &str) -> Result<u32, LabError> {
        let path = self.places.agent_pid(node);
        let text = fs::read_to_string(&path);
        let text = text.map_err(LabError::doing(path.display().to_string()))?;
        text.trim()
            .parse()
            .map_err(|_| LabError::NotFound(format!("no process {text:?}")))
    }

    /// Asks what the agent of a node would change now (`flatnet-agent diff`).
    ///
    /// # Errors
    /// When there is no such node, or the agent cannot be run.
    pub fn agent_diff(&self, node: &str) -> Result<Output, LabError> {
        let known = self.settings.node(node);
        let known = known.ok_or_else(|| LabError::NotFound(format!("no node {node:?}")))?;
        let mut command = self.on_node(node, &[agent::BINARY, "diff"]);
        command.args(agent::arguments(&self.places, &self.settings, known));
        command.output().map_err(LabError::doing(agent::BINARY))
    }

    /// The pods in `default` with the label `app=<app>` that are not going, ready or not.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn pods(&self, app: &str) -> Result<Vec<RunningPod>, LabError> {
        let pods = self.client.list(Kind::Pod, "default")?;
        Ok(pods
            .iter()
            .filter_map(|pod| RunningPod::read(pod, app))
            .collect())
    }

    /// Waits until `app` has exactly `count` pods, all ready, and an endpoint of its Service for
    /// each; returns them by name.
    ///
    /// # Errors
    /// When that does not come about within `within`.
    pub fn wait_pods(
        &self,
        app: &str,
        count: usize,
        within: Duration,
    ) -> Result<Vec<RunningPod>, LabError> {
        let settled = || {
            let pods = self.pods(app)?;
            let ready = pods.len() == count && pods.iter().all(|pod| pod.ready);
            Ok(ready.then_some(pods))
        };
        self.wait(&format!("{count} ready pods of {app}"), within, settled)
    }

    /// Waits until `look` finds something.
    ///
    /// # Errors
    /// When it does not within `within`, or fails; `what` names it.
    pub fn wait<T>(
        &self,
        what: &str,
        within: Duration,
        look: impl Fn() -> Result<Option<T>, LabError>,
    ) -> Result<T, LabError> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if Instant::now() > deadline {
                return Err(LabError::NotInTime {
                    what: format!("{what} did not come about"),
                    seconds: within.as_secs(),
                    log: self.logs(),
                });
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Lets the lab live on; `flatnet-lab down` ends it.
    pub fn keep(mut self) {
        self.serve = None;
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let Some(mut serve) = self.serve.take() else {
            return;
        };
        end(&mut serve);
        if let Err(error) = launch::down(&self.places) {
            eprintln!("lab {}: {error}", self.name());
        }
    }
}

/// Asks the serving process to end, and reaps it.
fn end(serve: &mut Child) {
    use nix::sys::signal::{Signal, kill};
    let pid = nix::unistd::Pid::from_raw(i32::try_from(serve.id()).unwrap_or_default());
    let deadline = Instant::now() + STOPPED_WITHIN;
    // Not reaped yet, so the number is still this child.
    if matches!(serve.try_wait(), Ok(None)) {
        let _gone_already = kill(pid, Signal::SIGTERM);
    }
    while matches!(serve.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            let _gone_already = serve.kill();
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A pod as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunningPod {
    /// Its name.
    pub name: String,
    /// Its address; empty until it has one.
    pub address: String,
    /// Its node; empty until it has one.
    pub node: String,
    /// Whether its Ready condition holds.
    pub ready: bool,
}

impl RunningPod {
    fn read(object: &Value, app: &str) -> Option<Self> {
        let pod: Pod = objects::read(object).ok()?;
        let labelled = pod
            .metadata
            .labels
            .get("app")
            .is_some_and(|label| label == app);
        if !labelled || pod.metadata.terminating() {
            return None;
        }
        let address = pod
            .status
            .pod_ips
            .first()
            .map(|pod_ip| pod_ip.ip.to_string());
        Some(Self {
            ready: pod.ready(),
            name: pod.metadata.name,
            address: address.unwrap_or_default(),
            node: pod.spec.node_name,
        })
    }
}
