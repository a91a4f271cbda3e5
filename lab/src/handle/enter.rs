//! Commands inside the lab, and beside it.

use std::fs;
use std::process::{Command, Output};

use super::Lab;
use crate::error::LabError;
use crate::node::agent;

impl Lab {
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

    /// `flatnet`, asking every node of this lab, with its kubeconfig.
    #[must_use]
    pub fn flatnet(&self, argv: &[&str]) -> Command {
        let mut command = Command::new(self.settings.bin_dir.join("flatnet"));
        command.env("KUBECONFIG", self.kubeconfig());
        command.env("FLATNET_SOCKETS", self.sockets());
        command.args(argv);
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
}
