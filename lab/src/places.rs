//! Where a lab keeps what it makes: one state directory, one cgroup directory, nothing else.
//!
//! Everything that has to be removed again is found below these two, so the sweep needs no
//! memory of the process that made it. No other file joins these paths by hand.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::cgroup;

/// The directory under which every lab of this machine has its own (env `FLATNET_LAB_STATE`).
const STATE_BASE: &str = "/run/flatnet-lab";
/// Network namespace file names are `<lab state>/netns/<name>`; paths stay short because
/// `sun_path`-like limits and terminal widths do too.
const NAME_LIMIT: usize = 32;

/// Why a word is not a lab's name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no lab name: 1 to 32 of a-z, 0-9 and '-', beginning with a letter or digit")]
pub struct InvalidName(String);

/// A lab's name: a file name and a cgroup name at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabName(String);

impl LabName {
    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=NAME_LIMIT).contains(&text.len());
        if fits && text.chars().all(legal) && !text.starts_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName(text.to_owned()))
        }
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The places of one lab.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    name: LabName,
    base: PathBuf,
    cgroup_base: PathBuf,
}

impl Places {
    /// The places of the lab `name` on this machine.
    ///
    /// # Errors
    /// When no cgroup2 file system is mounted.
    pub(crate) fn of(name: &LabName) -> std::io::Result<Self> {
        Ok(Self::below(name, &Self::base_dir(), &cgroup::root()?))
    }

    /// The directory of all labs of this machine.
    pub(crate) fn base_dir() -> PathBuf {
        std::env::var_os("FLATNET_LAB_STATE")
            .unwrap_or_else(|| STATE_BASE.into())
            .into()
    }

    fn below(name: &LabName, base: &Path, cgroup2: &Path) -> Self {
        Self {
            name: name.clone(),
            base: base.to_owned(),
            cgroup_base: cgroup2.join("flatnet-lab"),
        }
    }

    pub(crate) fn name(&self) -> &LabName {
        &self.name
    }

    /// The directory of all labs; removed with the last of them.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// The cgroup of all labs; removed with the last of them.
    pub(crate) fn cgroup_base(&self) -> &Path {
        &self.cgroup_base
    }

    /// Held (flock) by the serving process. Beside the state directory, not in it, because the
    /// holder of the lock is who may remove the directory.
    pub(crate) fn lock(&self) -> PathBuf {
        self.base.join(format!("{}.lock", self.name))
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.base.join(self.name.as_str())
    }

    pub(crate) fn cgroup(&self) -> PathBuf {
        self.cgroup_base.join(self.name.as_str())
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state().join("kubeconfig")
    }

    /// One line for every step of the start, as they happen.
    pub(crate) fn progress(&self) -> PathBuf {
        self.state().join("progress")
    }

    /// Exists from the moment the cluster is ready.
    pub(crate) fn ready(&self) -> PathBuf {
        self.state().join("ready")
    }

    /// What `serve` was started with, for the commands that enter the lab later.
    pub(crate) fn settings(&self) -> PathBuf {
        self.state().join("settings.json")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.state().join("logs")
    }

    pub(crate) fn serve_log(&self) -> PathBuf {
        self.logs().join("serve.log")
    }

    pub(crate) fn agent_log(&self, node: &str) -> PathBuf {
        self.logs().join(format!("agent-{node}.log"))
    }

    pub(crate) fn container_log(&self, namespace: &str, pod: &str, container: &str) -> PathBuf {
        self.logs()
            .join("pods")
            .join(format!("{namespace}_{pod}_{container}.log"))
    }

    pub(crate) fn netns_dir(&self) -> PathBuf {
        self.state().join("netns")
    }

    /// The network namespace of a node, the outside client or the fabric.
    pub(crate) fn netns(&self, member: &str) -> PathBuf {
        self.netns_dir().join(member)
    }

    /// The network namespace of a pod sandbox.
    pub(crate) fn pod_netns(&self, sandbox: &str) -> PathBuf {
        self.netns_dir().join(format!("pod-{sandbox}"))
    }

    /// Where a node's own bpffs is mounted.
    pub(crate) fn bpffs(&self, node: &str) -> PathBuf {
        self.state().join("bpf").join(node)
    }

    /// Where the agent of a node writes the CNI configuration and the kubelet reads it.
    pub(crate) fn cni_conf(&self, node: &str) -> PathBuf {
        self.state().join("cni").join(node).join("net.d")
    }

    /// Where a node's container runtime looks for CNI plugins, if the lab installs none itself.
    pub(crate) fn cni_bin(&self, node: &str) -> PathBuf {
        self.state().join("cni").join(node).join("bin")
    }

    /// What a node's CNI plugins see as /var/lib, likewise.
    pub(crate) fn var_lib(&self, node: &str) -> PathBuf {
        self.state().join("cni").join(node).join("var-lib")
    }

    /// Where the image is unpacked.
    pub(crate) fn image(&self) -> PathBuf {
        self.state().join("image")
    }

    /// Where a node's address management keeps its leases.
    pub(crate) fn cni_data(&self, node: &str) -> PathBuf {
        self.state().join("cni").join(node).join("networks")
    }

    /// The agents' sockets for `flatnet`, each named by its node.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.state().join("sockets")
    }

    /// Beside them, for `flatnet` too: a link to the outside client's network namespace.
    pub(crate) fn outside(&self) -> PathBuf {
        self.sockets().join("outside.netns")
    }

    /// The socket of a node's agent.
    pub(crate) fn socket(&self, node: &str) -> PathBuf {
        self.sockets().join(format!("{node}.sock"))
    }

    /// What a node's agent keeps for the next one.
    pub(crate) fn agent_state(&self, node: &str) -> PathBuf {
        self.state().join("nodes").join(node).join("state")
    }

    /// The process id of a node's running agent.
    pub(crate) fn agent_pid(&self, node: &str) -> PathBuf {
        self.state().join("nodes").join(node).join("agent.pid")
    }

    /// The directories of all pods' own files (resolv.conf, hosts, how to enter it), each named
    /// by [`Places::pod_dir_prefix`] and the uid: a pod replaced by force lives on beside its
    /// namesake for a while.
    pub(crate) fn pods_dir(&self) -> PathBuf {
        self.state().join("pods")
    }

    pub(crate) fn pod_dir(&self, namespace: &str, pod: &str, uid: &str) -> PathBuf {
        self.pods_dir()
            .join(format!("{}{uid}", Self::pod_dir_prefix(namespace, pod)))
    }

    /// No Kubernetes name contains an underscore, so this cannot match another pod.
    pub(crate) fn pod_dir_prefix(namespace: &str, pod: &str) -> String {
        format!("{namespace}_{pod}_")
    }

    pub(crate) fn node_cgroup(&self, node: &str) -> PathBuf {
        self.cgroup().join(node)
    }

    /// The cgroup of a node's own processes: agent, CNI plugins, `flatnet-lab node`.
    pub(crate) fn system_cgroup(&self, node: &str) -> PathBuf {
        self.node_cgroup(node).join("system")
    }

    /// The cgroup of what the outside client runs: no node's.
    pub(crate) fn client_cgroup(&self) -> PathBuf {
        self.cgroup().join("client")
    }

    pub(crate) fn pod_cgroup(&self, node: &str, uid: &str) -> PathBuf {
        self.node_cgroup(node).join("pods").join(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_file_name_and_nothing_else() {
        let long = "a".repeat(NAME_LIMIT + 1);
        let rows = [
            ("default", true),
            ("e2e-7f3a", true),
            ("0", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("-x", false),
            ("Upper", false),
            (long.as_str(), false),
        ];
        for (text, legal) in rows {
            assert_eq!(text.parse::<LabName>().is_ok(), legal, "{text:?}");
        }
    }

    #[test]
    fn all_places_are_below_the_two_directories() {
        let name: LabName = "x".parse().expect("a legal name");
        let places = Places::below(&name, Path::new("/run/l"), Path::new("/cg"));
        assert!(places.pod_netns("s").starts_with(places.state()));
        assert!(places.bpffs("node1").starts_with(places.state()));
        assert!(places.pod_cgroup("node1", "u").starts_with(places.cgroup()));
        assert_eq!(places.cgroup(), Path::new("/cg/flatnet-lab/x"));
        assert!(!places.lock().starts_with(places.state()));
    }
}
