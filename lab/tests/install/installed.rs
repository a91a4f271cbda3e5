//! Bare nodes of a lab, and flatnet installed on them as its README says.

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::Lab;
use lab::handle::LabOptions;
use lab::network::Network;
use tempfile::TempDir;

use crate::archive;
use crate::stage::{EXE, PATIENCE, output};

/// How long a rollout may take.
const ROLLOUT: &str = "--timeout=300s";

/// Bare nodes, and flatnet on them.
pub(crate) struct Installed {
    pub(crate) lab: Lab,
    /// The overlay that says where this cluster's API server is.
    overlay: TempDir,
}

impl Installed {
    /// Flatnet on them.
    pub(crate) fn new(prefix: &str) -> Option<Self> {
        let this = Self::bare(prefix)?;
        this.apply();
        Some(this)
    }

    /// Nodes that have nothing yet.
    pub(crate) fn bare(prefix: &str) -> Option<Self> {
        let image = archive(&["kubectl"])?;
        let options = LabOptions {
            prefix: prefix.to_owned(),
            nodes: 3,
            zones: vec![],
            network: Network::default(),
            bin_dir: Path::new(EXE).parent().expect("a folder").to_owned(),
            programs: None,
            dns: false,
            image: Some(image),
        };
        let lab = Lab::start(Path::new(EXE), options).expect("the lab starts");
        let overlay = tempfile::tempdir().expect("a folder");
        let this = Self { lab, overlay };
        this.configure(&[]);
        Some(this)
    }

    /// A folder of `kind-config`.
    pub(crate) fn manifests(&self, folder: &str) -> String {
        let room = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
        let manifests = Path::new(&room).join("../kind-config").join(folder);
        let manifests = manifests.canonicalize().expect("the manifests");
        manifests.display().to_string()
    }

    /// The overlay's folder.
    pub(crate) fn overlay(&self) -> String {
        self.overlay.path().display().to_string()
    }

    /// Writes the overlay, with `options` more.
    pub(crate) fn configure(&self, options: &[&str]) {
        let manifests = self.manifests("manifests");
        // kustomize takes no absolute path.
        let up = self.overlay.path().canonicalize().expect("a folder");
        let up = "../".repeat(up.components().count() - 1);
        let address = self.lab.node_addresses("node1")[0];
        let mut text = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
             namespace: kube-system\nresources: [{up}{}]\n\
             configMapGenerator:\n- name: flatnet\n  behavior: merge\n  literals:\n  \
             - FLATNET_API_SERVER=http://{address}:6443\n",
            manifests.trim_start_matches('/')
        );
        for option in options {
            text.push_str(&format!("  - {option}\n"));
        }
        fs::write(self.overlay.path().join("kustomization.yaml"), text).expect("written");
    }

    pub(crate) fn kubectl(&self, words: &[&str]) -> String {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(self.lab.kubeconfig())
            .args(words);
        output(command)
    }

    pub(crate) fn apply(&self) {
        self.kubectl(&["apply", "-k", &self.overlay()]);
        let nodes = ["wait", "--for=condition=Ready", "node", "--all", ROLLOUT];
        self.kubectl(&nodes);
        for workload in ["daemonset/flatnet-agent", "deployment/flatnet-dns"] {
            self.wait_rolled_out(workload);
        }
    }

    /// Until every pod of a workload is of its newest template, and ready.
    pub(crate) fn wait_rolled_out(&self, workload: &str) {
        let status = ["-n", "kube-system", "rollout", "status", workload, ROLLOUT];
        self.kubectl(&status);
    }

    /// The pods of the agents, and their nodes.
    pub(crate) fn agents(&self) -> Vec<(String, String)> {
        let columns = "custom-columns=N:.metadata.name,O:.spec.nodeName";
        let selector = "app.kubernetes.io/name=flatnet-agent";
        let words = [
            "-n",
            "kube-system",
            "get",
            "pod",
            "-l",
            selector,
            "--no-headers",
            "-o",
        ];
        let text = self.kubectl(&[&words[..], &[columns]].concat());
        let pair = |line: &str| {
            let (name, node) = line.split_once(char::is_whitespace).expect("two columns");
            (name.to_owned(), node.trim().to_owned())
        };
        text.lines().map(pair).collect()
    }

    /// Runs a program of the image in the container of each agent: what it printed, by node.
    pub(crate) fn in_agents(&self, words: &[&str]) -> Vec<(String, String)> {
        let run = |(pod, node): (String, String)| {
            let mut command = Command::new(EXE);
            command.args([
                "exec",
                "--name",
                self.lab.name(),
                "-n",
                "kube-system",
                &pod,
                "--",
            ]);
            command.args(words);
            (node, output(command))
        };
        self.agents().into_iter().map(run).collect()
    }

    /// What is pinned on a node.
    pub(crate) fn pins(&self, node: &str) -> Vec<String> {
        let folder = self.lab.state_dir().join("bpf").join(node).join("flatnet");
        let mut found = Vec::new();
        for kind in ["maps", "programs", "links"] {
            for entry in fs::read_dir(folder.join(kind)).expect("pins") {
                let name = entry.expect("a pin").file_name();
                found.push(format!("{kind}/{}", name.to_string_lossy()));
            }
        }
        found.sort();
        found
    }

    /// Until every agent has made a whole pass.
    pub(crate) fn wait_settled(&self) {
        let settled = || {
            let diffs = self.in_agents(&["flatnet-agent", "diff"]);
            let all = diffs
                .iter()
                .all(|(_, text)| text.lines().last() == Some("0 operations"));
            Ok((all && diffs.len() == 3).then_some(()))
        };
        let done = self
            .lab
            .wait("0 operations on every node", PATIENCE, settled);
        done.expect("settled");
    }

    pub(crate) fn two_tier(&self) {
        let text = include_str!("../../manifests/two-tier.yaml");
        self.lab.apply(text).expect("applied");
        for app in ["backend", "frontend"] {
            self.lab.wait_pods(app, 2, PATIENCE).expect("two pods");
        }
    }
}
