//! A lab in a program's hand: started by it, entered by it, gone with it.
//!
//! The demonstration and the end-to-end tests stand on this. Dropping a [`Lab`] ends it, also
//! while a failed assertion unwinds.

mod enter;
mod pods;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use serde_json::json;

pub use pods::RunningPod;

use crate::client::Client;
use crate::error::LabError;
use crate::launch::{self, Lifetime, Options};
use crate::network::Network;
use crate::patience::longer;
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
    /// What it stands on.
    pub network: Network,
    /// Where the product's binaries are.
    pub bin_dir: PathBuf,
    /// The eBPF object.
    pub programs: Option<PathBuf>,
    /// Whether the cluster DNS runs.
    pub dns: bool,
    /// An image archive: the nodes are bare, and the product is to be installed from manifests.
    pub image: Option<PathBuf>,
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
    /// The lab ends with the calling thread at the latest, so that a test that is killed leaves
    /// nothing behind either.
    ///
    /// # Errors
    /// When it does not become ready; nothing but its logs is left then.
    pub fn start(exe: &Path, options: LabOptions) -> Result<Self, LabError> {
        let LabOptions {
            prefix,
            nodes,
            zones,
            network,
            bin_dir,
            programs,
            dns,
            image,
        } = options;
        let name = format!("{prefix}-{:06x}", fastrand::u32(..1 << 24)).parse()?;
        let options = Options {
            name,
            nodes,
            zones,
            network,
            bin_dir,
            programs,
            port: 0,
            dns,
            image,
        };
        Self::start_as(exe, &options, Lifetime::OfCaller, |_step| ())
    }

    pub(crate) fn start_as(
        exe: &Path,
        options: &Options,
        lifetime: Lifetime,
        tell: impl FnMut(&str),
    ) -> Result<Self, LabError> {
        let places = options.places()?;
        let mut serve = launch::spawn(exe, options, lifetime)?;
        if let Err(error) = launch::wait_ready(&mut serve, &places, tell) {
            end(&mut serve);
            return Err(error);
        }
        let settings = Settings::load(&places).map_err(LabError::doing("settings"))?;
        let client = Client::of_kubeconfig(&places.kubeconfig())?;
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

    /// The agents' sockets for `flatnet`, each named by its node.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.places.sockets()
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

    /// The addresses of a node, the cluster's first family first; none if there is no such node.
    #[must_use]
    pub fn node_addresses(&self, node: &str) -> Vec<IpAddr> {
        let node = self.settings.node(node);
        node.map(|node| node.addresses().collect())
            .unwrap_or_default()
    }

    /// The pod CIDRs of a node, in the same order.
    #[must_use]
    pub fn pod_cidrs(&self, node: &str) -> Vec<IpNet> {
        let node = self.settings.node(node);
        node.map(|node| node.pod_cidrs.clone()).unwrap_or_default()
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
    let deadline = Instant::now() + longer(STOPPED_WITHIN);
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
