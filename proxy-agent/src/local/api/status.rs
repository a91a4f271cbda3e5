//! `GET /v1/status`: how the node fares.

use serde::{Deserialize, Serialize};

/// The node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Name of its Node object.
    pub node: String,
    /// Version of the agent.
    pub version: String,
    /// What the agent knows of the cluster.
    pub cluster: Cluster,
    /// What the node waits for before it works in full, in words.
    pub waiting: Vec<String>,
    /// What the kernel holds.
    pub kernel: Kernel,
}

/// The agent's view of the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Whether everything was listed at least once.
    pub synced: bool,
    /// Seconds since the API server was last heard of on the watch that has been silent longest;
    /// none before. Up to a minute is usual.
    pub age_seconds: Option<f64>,
    /// Services.
    pub services: usize,
    /// Nodes.
    pub nodes: usize,
}

/// What the kernel holds of ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// Pinned programs; those that are missing have no id.
    pub programs: Vec<Program>,
    /// Where programs run.
    pub attached: Vec<Attached>,
    /// How full the maps are; those that are missing are left out.
    pub maps: Vec<MapUse>,
    /// What the programs counted since their maps were made.
    pub counters: Vec<Count>,
}

/// A pinned program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// The kernel's id of it (`bpftool prog show id N`); none if nothing is pinned.
    pub id: Option<u32>,
}

/// A program where it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attached {
    /// `ingress` or `egress` of an interface, or `cgroup`.
    pub hook: String,
    /// The interface, or the number of the cgroup.
    pub place: String,
    /// The kernel's id of the program.
    pub id: u32,
    /// Its name, if it is the pinned one of that id: another id is an older program.
    pub program: Option<String>,
}

/// A map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapUse {
    /// Its name.
    pub name: String,
    /// Entries in it.
    pub used: u64,
    /// Entries that fit.
    pub size: u64,
}

/// A counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Its name, as in the metric `flatnet_counters_total`.
    pub name: String,
    /// How often.
    pub value: u64,
}
