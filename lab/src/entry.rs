//! How to start a process inside a pod's container: namespaces, cgroup, private files, variables.
//!
//! The kubelet writes it down beside the pod's files, so that `flatnet-lab exec` enters the same
//! place in the same way. Nothing needs to run in the container for that: it has no file system
//! of its own, so its mounts can be made again for each process.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::namespaces::{Placement, Root};
use crate::places::Places;

/// One container as seen from the door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) container: String,
    pub(crate) netns: PathBuf,
    pub(crate) cgroup: PathBuf,
    /// Files of the pod and where they are seen.
    pub(crate) binds: Vec<(PathBuf, PathBuf)>,
    /// Absent for a pod in the node's own network, which keeps the node's name.
    pub(crate) hostname: Option<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) working_dir: Option<PathBuf>,
    pub(crate) path: OsString,
    /// Its file system and its rights; absent: this machine's, and all.
    pub(crate) root: Option<Root>,
}

impl Entry {
    /// `argv` to run in this container; `argv[0]` is looked up in the container's PATH.
    ///
    /// # Errors
    /// When `argv` is empty or the container is gone.
    pub(crate) fn command(&self, argv: &[String]) -> io::Result<Command> {
        self.placed(argv, self.placement()?)
    }

    /// As [`Entry::command`], for the process the container is there for: out of reach of the
    /// terminal the lab was started from.
    pub(crate) fn main_command(&self, argv: &[String]) -> io::Result<Command> {
        self.placed(argv, self.placement()?.own_session())
    }

    fn placed(&self, argv: &[String], placement: Placement) -> io::Result<Command> {
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no command given"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", "/root");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.working_dir.as_deref().unwrap_or(Path::new("/")));
        placement.apply(&mut command);
        Ok(command)
    }

    fn placement(&self) -> io::Result<Placement> {
        let mut placement = Placement::default()
            .netns(&self.netns)?
            .cgroup(&self.cgroup)?;
        if let Some(root) = &self.root {
            placement = placement.root(root)?;
        }
        for (source, target) in &self.binds {
            // The lab makes no files outside its own directories, not even to mount over.
            if target.exists() {
                placement = placement.bind(source.clone(), target);
            }
        }
        if let Some(hostname) = &self.hostname {
            placement = placement.hostname(hostname);
        }
        Ok(placement)
    }
}

/// Writes down how the containers of a pod are entered.
pub(crate) fn store(pod_dir: &Path, entries: &[Entry]) -> io::Result<()> {
    fs::write(file(pod_dir), serde_json::to_vec_pretty(entries)?)
}

/// How a container of a pod is entered; without a name, its first.
///
/// # Errors
/// When the pod does not run or has no such container.
pub(crate) fn load(
    places: &Places,
    (namespace, pod): (&str, &str),
    container: Option<&str>,
) -> io::Result<Entry> {
    let not_found = |text: String| io::Error::new(io::ErrorKind::NotFound, text);
    let dir = newest(places, &Places::pod_dir_prefix(namespace, pod))?
        .ok_or_else(|| not_found(format!("pod {namespace}/{pod} does not run in this lab")))?;
    let text = fs::read(file(&dir))
        .map_err(|_early| not_found(format!("pod {namespace}/{pod} is not started yet")))?;
    let entries: Vec<Entry> = serde_json::from_slice(&text)?;
    let wanted = |entry: &Entry| container.is_none_or(|name| entry.container == name);
    entries.into_iter().find(wanted).ok_or_else(|| {
        not_found(format!(
            "pod {namespace}/{pod} has no container {container:?}"
        ))
    })
}

fn newest(places: &Places, prefix: &str) -> io::Result<Option<PathBuf>> {
    let mut found = vec![];
    for entry in fs::read_dir(places.pods_dir())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    Ok(found.into_iter().max().map(|(_, path)| path))
}

fn file(pod_dir: &Path) -> PathBuf {
    pod_dir.join("containers.json")
}
