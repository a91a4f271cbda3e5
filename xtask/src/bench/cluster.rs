//! A lab of its own for a bench: up, a manifest applied and ready, commands in its pods, and down
//! again whatever happens.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab;
use crate::process::{self, Step, capture};
use crate::setup::cgroup2_root;
use crate::workspace::Workspace;

/// The lab's name: it lives beside whatever lab the developer has up.
const NAME: &str = "bench";
/// A server on the first node, a client beside it and one on the second node. The load is made by
/// the bench itself, in their network namespaces.
pub(super) const PODS: &str = include_str!("pods.yaml");
/// How long kubectl waits for all pods of a manifest.
const READY_TIMEOUT: &str = "--timeout=120s";

/// A running lab; taken down when dropped.
pub(super) struct Cluster {
    binary: PathBuf,
    environment: [(&'static str, PathBuf); 2],
    kubeconfig: String,
}

impl Cluster {
    /// Starts the lab with that many nodes.
    ///
    /// # Errors
    /// When it does not come up; what is left of it is taken down.
    pub(super) fn up(workspace: &Workspace, nodes: u8) -> anyhow::Result<Self> {
        let step = Step::start("starting a lab for the bench");
        let mut cluster = Self {
            binary: workspace.binaries(false).join("flatnet-lab"),
            environment: lab::environment(workspace),
            kubeconfig: String::new(),
        };
        // The name is ours alone: what is there is what an interrupted bench left.
        capture(&mut cluster.lab("down")?)?;
        let mut up = cluster.lab("up")?;
        up.args(["--nodes", &nodes.to_string()]);
        process::run(up.stdout(Stdio::null()))?;
        cluster.kubeconfig = capture(&mut cluster.lab("kubeconfig")?)?.trim().to_owned();
        step.done();
        Ok(cluster)
    }

    /// Applies a manifest and waits until every pod in it is ready.
    ///
    /// # Errors
    /// When kubectl fails or the pods do not get ready.
    pub(super) fn apply(&self, manifest: &str) -> anyhow::Result<()> {
        let step = Step::start("applying the bench's manifest, waiting for its pods");
        let mut kubectl = self.kubectl();
        kubectl
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = kubectl.spawn().context("cannot start kubectl")?;
        child
            .stdin
            .take()
            .context("kubectl has no stdin")?
            .write_all(manifest.as_bytes())
            .context("cannot hand the manifest to kubectl")?;
        let status = child.wait().context("cannot wait for kubectl")?;
        ensure!(status.success(), "kubectl apply ended with {status}");
        capture(self.kubectl().args([
            "wait",
            "pod",
            "--all",
            "--for=condition=Ready",
            READY_TIMEOUT,
        ]))?;
        step.done();
        Ok(())
    }

    /// One field of an object, as a JSONPath.
    ///
    /// # Errors
    /// When kubectl fails or the field is empty.
    pub(super) fn field(&self, object: &str, path: &str) -> anyhow::Result<String> {
        let output = format!("jsonpath={{{path}}}");
        let text = capture(self.kubectl().args(["get", object, "-o", &output]))?;
        ensure!(!text.is_empty(), "{object} has no {path}");
        Ok(text)
    }

    /// A whole object.
    ///
    /// # Errors
    /// When kubectl fails.
    pub(super) fn object(&self, object: &str) -> anyhow::Result<Value> {
        let text = capture(self.kubectl().args(["get", object, "-o", "json"]))?;
        serde_json::from_str(&text).with_context(|| format!("{object} is no JSON"))
    }

    /// Runs a command in a pod and returns its stdout.
    ///
    /// # Errors
    /// When it fails; with what it wrote on stderr.
    pub(super) fn exec(&self, pod: &str, words: &[&str]) -> anyhow::Result<String> {
        capture(self.lab("exec")?.args([pod, "--"]).args(words))
    }

    /// `flatnet`, asking every node.
    ///
    /// # Errors
    /// As [`Cluster::netns`].
    pub(super) fn flatnet(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(self.binary.with_file_name("flatnet"));
        command.env("KUBECONFIG", &self.kubeconfig);
        command.env("FLATNET_SOCKETS", self.state()?.join("sockets"));
        Ok(command)
    }

    /// Where the lab keeps the network namespace of one of its members: a node, or the fabric
    /// that joins them.
    ///
    /// # Errors
    /// Never, unless the lab keeps its kubeconfig at the root of the file system.
    pub(super) fn netns(&self, member: &str) -> anyhow::Result<PathBuf> {
        Ok(self.state()?.join("netns").join(member))
    }

    /// Where the network namespace of a pod is kept.
    ///
    /// # Errors
    /// When the pod does not run.
    pub(super) fn pod_netns(&self, pod: &str) -> anyhow::Result<PathBuf> {
        let shown = self.exec(pod, &["readlink", "/proc/self/ns/net"])?;
        for entry in std::fs::read_dir(self.state()?.join("netns"))? {
            let entry = entry?;
            // The inode of a namespace's file is the number that the link shows. Not
            // entry.metadata(): that asks for the file below the mount.
            let number = std::fs::metadata(entry.path())?.ino();
            if shown.trim() == format!("net:[{number}]") {
                return Ok(entry.path());
            }
        }
        bail!("the lab keeps no namespace {} for pod {pod}", shown.trim())
    }

    /// Where a node's bpffs is mounted, with what its agent pinned.
    ///
    /// # Errors
    /// As [`Cluster::netns`].
    pub(super) fn bpffs(&self, node: &str) -> anyhow::Result<PathBuf> {
        Ok(self.state()?.join("bpf").join(node))
    }

    /// Stops the agent of a node where it is, until the lab ends. What it has put into the kernel
    /// works on.
    ///
    /// # Errors
    /// When it does not run.
    pub(super) fn pause_agent(&self, node: &str) -> anyhow::Result<()> {
        let file = self.state()?.join("nodes").join(node).join("agent.pid");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let process = Pid::from_raw(text.trim().parse().context("a process id")?);
        kill(process, Signal::SIGSTOP).with_context(|| format!("cannot stop {node}'s agent"))
    }

    /// The cgroup of a node, with all its processes and pods.
    ///
    /// # Errors
    /// When no cgroup2 is mounted.
    pub(super) fn cgroup(&self, node: &str) -> anyhow::Result<PathBuf> {
        let root = cgroup2_root().context("no cgroup2 is mounted")?;
        Ok(root.join("flatnet-lab").join(NAME).join(node))
    }

    /// The cgroup of a pod.
    ///
    /// # Errors
    /// When there is no such pod.
    pub(super) fn pod_cgroup(&self, pod: &str) -> anyhow::Result<PathBuf> {
        let node = self.field(&format!("pod/{pod}"), ".spec.nodeName")?;
        let uid = self.field(&format!("pod/{pod}"), ".metadata.uid")?;
        Ok(self.cgroup(&node)?.join("pods").join(uid))
    }

    /// The lab's directory: the one that holds its kubeconfig.
    fn state(&self) -> anyhow::Result<&Path> {
        Path::new(&self.kubeconfig)
            .parent()
            .context("a kubeconfig without a folder")
    }

    fn lab(&self, verb: &str) -> anyhow::Result<Command> {
        let mut command = lab::as_root(&self.binary, &self.environment)?;
        command.args([verb, "--name", NAME]);
        Ok(command)
    }

    fn kubectl(&self) -> Command {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.lab("down").and_then(|mut down| capture(&mut down)) {
            eprintln!("the bench's lab was not taken down: {error:#}");
        }
    }
}
