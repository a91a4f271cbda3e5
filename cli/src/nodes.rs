//! Which nodes are asked, and where their agents listen.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use proxy_abi::ownership::{AGENT_SOCKET, DEFAULT_BPFFS};
use serde::de::DeserializeOwned;

use crate::agent::{self, AskError};
use crate::error::CliError;
use crate::exec;

/// The outside client's namespace in a folder of sockets.
const OUTSIDE: &str = "outside.netns";

/// The nodes. Every option has a twin in the environment.
#[derive(Debug, Args)]
pub(crate) struct Where {
    /// The Unix socket of this node's agent.
    #[arg(long, global = true, env = "FLATNET_SOCKET", default_value = AGENT_SOCKET)]
    socket: PathBuf,
    /// A folder of agents' sockets, each named NODE.sock: the nodes of a lab; and `outside.netns`,
    /// the network namespace of a client beyond them.
    #[arg(long, global = true, env = "FLATNET_SOCKETS", value_name = "FOLDER")]
    sockets: Option<PathBuf>,
    /// The nodes of the cluster that kubectl talks to: each agent is asked by `kubectl exec`.
    #[arg(
        long,
        global = true,
        env = "FLATNET_CLUSTER",
        conflicts_with = "sockets"
    )]
    cluster: bool,
    /// Only this node, of those of the folder or cluster.
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
    door: Door,
}

/// How an agent is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Door {
    /// By its socket.
    Socket(PathBuf),
    /// By a command in its pod.
    Pod(exec::AgentPod),
}

impl Agent {
    /// Asks it.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        match &self.door {
            Door::Socket(socket) => agent::get(socket, path).await,
            Door::Pod(pod) => exec::ask(pod, &[path]).await,
        }
    }

    /// Has it do something.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        match &self.door {
            Door::Socket(socket) => agent::post(socket, path).await,
            Door::Pod(pod) => exec::ask(pod, &["--post", path]).await,
        }
    }

    /// How to call it.
    pub(crate) fn name(&self) -> &str {
        self.node.as_deref().unwrap_or("this node")
    }
}

impl Where {
    /// The socket of this node's agent.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The network namespace of a client beyond the nodes: a lab's, else that of this process (which
    /// may be a node's).
    pub(crate) fn outside(&self) -> PathBuf {
        match &self.sockets {
            Some(folder) if !self.cluster => folder.join(OUTSIDE),
            _ => PathBuf::from("/proc/self/ns/net"),
        }
    }

    /// The agents to ask, by the names of their nodes.
    ///
    /// # Errors
    /// [`CliError`] if there is no such folder or node.
    pub(crate) async fn agents(&self) -> Result<Vec<Agent>, CliError> {
        let mut found: BTreeMap<String, Door> = match &self.sockets {
            _ if self.cluster => {
                let pods = exec::pods().await?.into_iter();
                pods.map(|(node, pod)| (node, Door::Pod(pod))).collect()
            }
            None => {
                return Ok(vec![Agent {
                    node: None,
                    door: Door::Socket(self.socket.clone()),
                }]);
            }
            Some(folder) => {
                let all = sockets(folder)?.into_iter();
                all.map(|(node, socket)| (node, Door::Socket(socket)))
                    .collect()
            }
        };
        if let Some(wanted) = &self.node {
            found.retain(|node, _| node == wanted);
        }
        if found.is_empty() {
            let which = self.node.as_deref().unwrap_or("any node");
            let text = format!("there is no agent of {which}");
            return Err(CliError::NotFound(text));
        }
        let agent = |(node, door)| Agent {
            node: Some(node),
            door,
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

    async fn named(line: &[&str]) -> Vec<String> {
        let at = Line::parse_from([&["x"], line].concat()).at;
        let agents = at.agents().await.unwrap_or_default();
        agents.iter().map(|agent| agent.name().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_folder_has_an_agent_for_each_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.sock", "a.sock", "c.123", "note"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let at = folder.path().to_str().expect("text");
        assert_eq!(named(&["--sockets", at]).await, ["a", "b"]);
        assert_eq!(named(&["--sockets", at, "--node", "b"]).await, ["b"]);
        assert!(named(&["--sockets", at, "--node", "z"]).await.is_empty());
        assert_eq!(named(&[]).await, ["this node"]);
    }
}
