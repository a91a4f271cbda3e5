//! Which nodes are asked, and where their agents listen.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use proxy_abi::ownership::{AGENT_SOCKET, DEFAULT_BPFFS};
use serde::de::DeserializeOwned;

use crate::agent::{self, AskError};
use crate::error::CliError;

/// The nodes. Every option has a twin in the environment.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The Unix socket of this node's agent.
    #[arg(long, global = true, env = "FLATNET_SOCKET", default_value = AGENT_SOCKET)]
    socket: PathBuf,
    /// A folder of agents' sockets, each named NODE.sock: the nodes of a lab.
    #[arg(long, global = true, env = "FLATNET_SOCKETS", value_name = "FOLDER")]
    sockets: Option<PathBuf>,
    /// Only this node, of those in the folder.
    #[arg(long, global = true, env = "FLATNET_NODE")]
    node: Option<String>,
    /// Where bpffs is mounted: read while the agent of this node does not run.
    #[arg(long, global = true, env = "FLATNET_BPFFS", default_value = DEFAULT_BPFFS)]
    pub(crate) bpffs: PathBuf,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    /// What its node is called, where that is known without asking.
    pub(crate) node: Option<String>,
    socket: PathBuf,
}

impl Agent {
    /// Asks it.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        agent::get(&self.socket, path).await
    }

    /// Has it do something.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        agent::post(&self.socket, path).await
    }

    /// How to call it.
    pub(crate) fn name(&self) -> &str {
        self.node.as_deref().unwrap_or("this node")
    }
}

impl Where {
    /// The agents to ask, by the names of their nodes.
    ///
    /// # Errors
    /// [`CliError`] if there is no such folder or node.
    pub(crate) fn agents(&self) -> Result<Vec<Agent>, CliError> {
        let Some(folder) = &self.sockets else {
            return Ok(vec![Agent {
                node: None,
                socket: self.socket.clone(),
            }]);
        };
        let mut found = sockets(folder)?;
        if let Some(wanted) = &self.node {
            found.retain(|node, _| node == wanted);
        }
        if found.is_empty() {
            let which = self.node.as_deref().unwrap_or("any node");
            let text = format!("{} has no socket of {which}", folder.display());
            return Err(CliError::NotFound(text));
        }
        let agent = |(node, socket)| Agent {
            node: Some(node),
            socket,
        };
        Ok(found.into_iter().map(agent).collect())
    }
}

fn sockets(folder: &Path) -> Result<BTreeMap<String, PathBuf>, CliError> {
    let failed = || CliError::doing(format!("list {}", folder.display()));
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let (Some(name), Some("sock")) = (
            path.file_stem().and_then(|stem| stem.to_str()),
            path.extension().and_then(|end| end.to_str()),
        ) else {
            continue;
        };
        found.insert(name.to_owned(), path);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        at: Where,
    }

    fn named(line: &[&str]) -> Vec<String> {
        let at = Line::parse_from([&["x"], line].concat()).at;
        let agents = at.agents().unwrap_or_default();
        agents.iter().map(|agent| agent.name().to_owned()).collect()
    }

    #[test]
    fn a_folder_has_an_agent_for_each_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.sock", "a.sock", "c.123", "note"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let at = folder.path().to_str().expect("text");
        assert_eq!(named(&["--sockets", at]), ["a", "b"]);
        assert_eq!(named(&["--sockets", at, "--node", "b"]), ["b"]);
        assert!(named(&["--sockets", at, "--node", "z"]).is_empty());
        assert_eq!(named(&[]), ["this node"]);
    }
}
