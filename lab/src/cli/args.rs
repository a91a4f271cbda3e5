//! What may be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::error::LabError;
use crate::launch::Options;
use crate::network::{MOST_NODES, Network};
use crate::places::LabName;

/// Where the eBPF object lies relative to the directory of the binaries, as `cargo xtask build`
/// leaves them (`target/debug`, `target/bpf`).
const PROGRAMS: &str = "../bpf/flatnet-proxy.bpf.o";

/// A Kubernetes cluster on one machine, on the real kernel: nodes as network namespaces.
#[derive(Debug, Parser)]
#[command(name = "flatnet-lab", version)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a lab, wait until its cluster is ready, print where its kubeconfig is
    Up(Start),
    /// Be the process that owns a lab, in the foreground
    Serve(Start),
    /// End a lab and remove everything it made; also what a crashed one left
    Down {
        #[command(flatten)]
        name: Name,
    },
    /// Show a two-tier application at work, and check every step
    Demo {
        #[command(flatten)]
        start: Start,
        /// Leave the lab running
        #[arg(long)]
        keep: bool,
    },
    /// Run a command in a pod; exits with its status
    Exec {
        #[command(flatten)]
        name: Name,
        /// The pod's namespace
        #[arg(short, long, default_value = "default")]
        namespace: String,
        /// The container; without it, the first
        #[arg(short, long)]
        container: Option<String>,
        /// The pod, or `deploy/NAME` for a ready one of a Deployment
        pod: String,
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run a command as a process of a node; exits with its status
    Node {
        #[command(flatten)]
        name: Name,
        /// The node
        node: String,
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run a command on the outside client; exits with its status
    Client {
        #[command(flatten)]
        name: Name,
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Set up an exercise of docs/exercises and ask its question; with a word, say whether that
    /// answers it
    Exercise {
        #[command(flatten)]
        name: Name,
        /// Its number
        number: usize,
        /// The answer
        answer: Option<String>,
    },
    /// Print where the kubeconfig of a lab is
    Kubeconfig {
        #[command(flatten)]
        name: Name,
    },
    /// List the labs of this machine
    List,
}

impl Command {
    /// Whether the exit status is to be that of a command in the lab.
    pub(super) fn enters(&self) -> bool {
        matches!(
            self,
            Self::Exec { .. } | Self::Node { .. } | Self::Client { .. }
        )
    }
}

/// Which lab.
#[derive(Debug, Args)]
pub(super) struct Name {
    /// The lab's name
    #[arg(long = "name", default_value = "default", env = "FLATNET_LAB_NAME")]
    pub(super) name: LabName,
}

impl std::ops::Deref for Name {
    type Target = LabName;

    fn deref(&self) -> &LabName {
        &self.name
    }
}

/// What lab.
#[derive(Debug, Args)]
pub(super) struct Start {
    #[command(flatten)]
    name: Name,
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_NODES)))]
    nodes: u8,
    /// Zones the nodes are dealt to in turn
    #[arg(long, value_delimiter = ',')]
    zones: Vec<String>,
    #[command(flatten)]
    network: Network,
    /// Where the product's binaries are; without it, where this one is
    #[arg(long, env = "FLATNET_BIN_DIR")]
    bin_dir: Option<PathBuf>,
    /// The eBPF object for the agents; without it, the one built beside the binaries, if any
    #[arg(long, env = "FLATNET_PROGRAMS")]
    programs: Option<PathBuf>,
    /// Port of the API server on 127.0.0.1; 0 takes any
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Whether the cluster DNS runs
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    dns: bool,
    /// An image archive (`cargo xtask image`): the nodes are bare, and flatnet is for you to
    /// install with `kubectl apply -k`. Containers that name the image run in it
    #[arg(long)]
    image: Option<PathBuf>,
}

impl Start {
    /// With everything that has a default filled in, and paths that hold from anywhere.
    pub(super) fn options(self) -> Result<Options, LabError> {
        let Self {
            name,
            nodes,
            zones,
            network,
            bin_dir,
            programs,
            port,
            dns,
            image,
        } = self;
        let absolute = |path: PathBuf| {
            let io = LabError::doing(path.display().to_string());
            path.canonicalize().map_err(io)
        };
        let bin_dir = match bin_dir {
            Some(dir) => absolute(dir)?,
            None => super::own_exe()?
                .parent()
                .map(PathBuf::from)
                .unwrap_or_default(),
        };
        let programs = match programs {
            Some(file) => Some(absolute(file)?),
            None => bin_dir.join(PROGRAMS).canonicalize().ok(),
        };
        let image = image.map(absolute).transpose()?;
        Ok(Options {
            name: name.name,
            nodes,
            zones,
            network,
            bin_dir,
            programs,
            port,
            dns,
            image,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_command_in_the_lab_is_what_follows_the_dashes() {
        let typed = [
            "flatnet-lab",
            "exec",
            "-n",
            "shop",
            "deploy/web",
            "--",
            "ls",
            "-n",
            "--x",
        ];
        let arguments = Arguments::try_parse_from(typed).expect("it parses");
        let Command::Exec {
            namespace,
            pod,
            command,
            ..
        } = arguments.command
        else {
            panic!("not exec");
        };
        assert_eq!((namespace.as_str(), pod.as_str()), ("shop", "deploy/web"));
        assert_eq!(command, ["ls", "-n", "--x"]);
    }

    #[test]
    fn impossible_labs_are_refused() {
        for typed in [
            vec!["flatnet-lab", "up", "--nodes", "0"],
            vec!["flatnet-lab", "up", "--nodes", "101"],
            vec!["flatnet-lab", "up", "--name", "../x"],
            vec!["flatnet-lab", "node", "node1"],
        ] {
            assert!(Arguments::try_parse_from(&typed).is_err(), "{typed:?}");
        }
    }
}
