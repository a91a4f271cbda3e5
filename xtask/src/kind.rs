//! `cargo xtask kind`: the cluster of `kind-config/` on this machine, where docker and kind are.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};

use crate::image;
use crate::process::{self, Step, find_program};
use crate::workspace::Workspace;

/// The cluster's name in `kind-config/cluster*.yaml`.
const CLUSTER: &str = "flatnet";
/// How long a rollout may take: images of examples are pulled.
const PATIENCE: &str = "--timeout=180s";

/// Arguments of `cargo xtask kind`.
#[derive(Args, Debug)]
pub(crate) struct KindArgs {
    #[command(subcommand)]
    verb: Verb,
    /// The address families of the cluster.
    #[arg(long, value_enum, default_value_t, global = true)]
    families: Families,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Verb {
    /// Make the cluster. Its nodes are NotReady until flatnet is installed.
    Up,
    /// Build the image and bring it to the nodes.
    Load,
    /// Install flatnet and an application, and see that it answers.
    Test,
    /// Delete the cluster.
    Down,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Families {
    #[default]
    Dual,
    Ipv4,
    Ipv6,
}

impl Families {
    fn cluster(self) -> &'static str {
        match self {
            Self::Dual => "cluster.yaml",
            Self::Ipv4 => "cluster-ipv4.yaml",
            Self::Ipv6 => "cluster-ipv6.yaml",
        }
    }

    fn overlay(self) -> &'static str {
        match self {
            Self::Dual | Self::Ipv4 => "kind",
            Self::Ipv6 => "kind-ipv6",
        }
    }
}

/// What each verb starts, and where it comes from.
const TOOLS: [(&str, &str); 3] = [
    ("docker", "apt-get install docker.io"),
    (
        "kind",
        "https://kind.sigs.k8s.io/docs/user/quick-start/#installation",
    ),
    ("kubectl", "apt-get install kubernetes-client"),
];

/// Does what is asked.
///
/// # Errors
/// When a tool is missing, or one that runs fails.
pub(crate) fn run(workspace: &Workspace, args: &KindArgs) -> anyhow::Result<ExitCode> {
    let KindArgs { verb, families } = *args;
    let missing = missing(|tool| find_program(tool).is_some());
    if !missing.is_empty() {
        bail!("missing: {}", missing.join("; "));
    }
    let folder = workspace.root().join("kind-config");
    match verb {
        Verb::Up => {
            let config = folder.join(families.cluster());
            kind(&["create", "cluster", "--config"], Some(config))?;
        }
        Verb::Load => {
            crate::build::ebpf(workspace)?;
            let image = image::build(workspace, true)?;
            kind(
                &["load", "image-archive", "--name", CLUSTER],
                Some(image.archive),
            )?;
        }
        Verb::Test => test(&folder, families)?,
        Verb::Down => kind(&["delete", "cluster", "--name", CLUSTER], None)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The tools that are not there, each with its remedy.
fn missing(is_here: impl Fn(&str) -> bool) -> Vec<String> {
    let gone = TOOLS.iter().filter(|(tool, _)| !is_here(tool));
    gone.map(|(tool, remedy)| format!("{tool} ({remedy})"))
        .collect()
}

fn kind(words: &[&str], path: Option<PathBuf>) -> anyhow::Result<()> {
    process::run(Command::new("kind").args(words).args(path))
}

fn test(folder: &Path, families: Families) -> anyhow::Result<()> {
    let context = format!("kind-{CLUSTER}");
    let kubectl = |words: &[&str]| {
        let mut command = Command::new("kubectl");
        command.args(["--context", &context]).args(words);
        command
    };
    let path = |name: &str| folder.join(name).display().to_string();
    let step = Step::start("installing flatnet");
    process::run(&mut kubectl(&["apply", "-k", &path(families.overlay())]))?;
    for workload in ["daemonset/flatnet-agent", "deployment/flatnet-dns"] {
        let words = ["-n", "kube-system", "rollout", "status", workload, PATIENCE];
        process::run(&mut kubectl(&words))?;
    }
    let nodes = ["wait", "--for=condition=Ready", "node", "--all", PATIENCE];
    process::run(&mut kubectl(&nodes))?;
    step.done();
    let step = Step::start("an application of two tiers, and a NodePort");
    for example in ["examples/two-tier.yaml", "examples/node-port.yaml"] {
        process::run(&mut kubectl(&["apply", "-f", &path(example)]))?;
    }
    for workload in ["deployment/backend", "deployment/frontend"] {
        process::run(&mut kubectl(&["rollout", "status", workload, PATIENCE]))?;
    }
    let ask = ["exec", "deploy/frontend", "--", "curl", "-sS", "-m", "5"];
    let by_name = [&ask[..], &["http://backend/hostname"]].concat();
    let answer = process::capture(&mut kubectl(&by_name))?;
    if !answer.contains("backend") {
        bail!("http://backend answered {answer:?}");
    }
    let node = format!("{CLUSTER}-worker");
    let url = format!("http://{CLUSTER}-worker2:30080/hostname");
    let outside = ["exec", &node, "curl", "-sS", "-m", "5", &url];
    let answer = process::capture(Command::new("docker").args(outside))?;
    if !answer.contains("backend") {
        bail!("{url} answered {answer:?}");
    }
    step.done();
    println!("flatnet works on this cluster");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_its_remedy() {
        let gone = missing(|tool| tool == "docker");
        assert_eq!(gone.len(), 2);
        assert!(gone[0].starts_with("kind (https://"), "{gone:?}");
        assert!(gone[1].contains("kubernetes-client"), "{gone:?}");
        assert!(missing(|_| true).is_empty());
    }

    #[test]
    fn each_familys_files_exist() {
        let room = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
        let folder = Path::new(&room).join("../kind-config");
        for families in [Families::Dual, Families::Ipv4, Families::Ipv6] {
            let cluster = folder.join(families.cluster());
            let text = std::fs::read_to_string(cluster).expect("a cluster");
            assert!(text.contains(&format!("name: {CLUSTER}\n")), "{families:?}");
            let overlay = folder.join(families.overlay()).join("kustomization.yaml");
            assert!(overlay.exists(), "{families:?}");
        }
    }
}
