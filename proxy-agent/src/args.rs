//! The command line. Every flag has a twin in the environment, as a DaemonSet sets it.

mod flows;
mod services;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;
use proxy_abi::ownership::{AGENT_SOCKET, DEFAULT_BPFFS, TUNNEL_PORT};

use crate::plan::peers::Routing;
use crate::plan::ports::{self, Ports};

pub use flows::FlowOptions;
pub use services::{Bind, ServiceOptions};

/// A reboot forgets what is there, as it forgets what that is about.
const STATE_DIR: &str = "/run/flatnet";

/// The agent of a flatnet node: keeps eBPF programs, maps and routes as the cluster says.
#[derive(Debug, Parser)]
#[command(name = "flatnet-agent", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keeps the node as the cluster says, until SIGTERM. Programs, maps, links and routes stay.
    Run(Options),
    /// Prints what `run` would change now, an operation a line, and changes nothing.
    Diff(Options),
    /// Makes the node ready for `run`, as an init container with more rights: puts the CNI plugin
    /// where the container runtime looks for it, and mounts a bpffs where there is none.
    Prepare(PrepareOptions),
    /// Says what keeps this node from working: a line for each thing, with its remedy. Ends in 0 if
    /// there is none, in 1 if the node works but not in full, in 2 if it does not.
    Doctor(DoctorOptions),
    /// Removes flatnet from this node: its links, programs, maps, interfaces, routes and files,
    /// and nothing that is not its own. Pods lose their network. To be run when no agent does.
    Uninstall(UninstallOptions),
}

/// What [`Command::Prepare`] needs to know.
#[derive(Clone, Debug, Args)]
pub struct PrepareOptions {
    /// Where bpffs is, or is to be, mounted.
    #[arg(long, env = "FLATNET_BPFFS", default_value = DEFAULT_BPFFS)]
    pub bpffs: PathBuf,
    /// The CNI plugin to install.
    #[arg(
        long,
        env = "FLATNET_CNI_PLUGIN",
        default_value = "/usr/bin/flatnet-cni"
    )]
    pub cni_plugin: PathBuf,
    /// Where the container runtime looks for CNI plugins.
    #[arg(long, env = "FLATNET_CNI_BIN_DIR", default_value = "/opt/cni/bin")]
    pub cni_bin_dir: PathBuf,
}

/// What [`Command::Doctor`] needs to know: what `run` does, and where the plugin is.
#[derive(Clone, Debug, Args)]
pub struct DoctorOptions {
    /// The agent's own.
    #[command(flatten)]
    pub agent: Options,
    /// Where the container runtime looks for CNI plugins.
    #[arg(long, env = "FLATNET_CNI_BIN_DIR", default_value = "/opt/cni/bin")]
    pub cni_bin_dir: PathBuf,
}

/// What [`Command::Uninstall`] needs to know: where things are, as `run` and `prepare` have it.
#[derive(Clone, Debug, Args)]
pub struct UninstallOptions {
    /// Where bpffs is mounted.
    #[arg(long, env = "FLATNET_BPFFS", default_value = DEFAULT_BPFFS)]
    pub bpffs: PathBuf,
    /// Where kernel parameters are.
    #[arg(long, env = "FLATNET_PROC_SYS", default_value = "/proc/sys")]
    pub proc_sys: PathBuf,
    /// Where the agent kept which values they had.
    #[arg(long, env = "FLATNET_STATE_DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// Where the container runtime reads CNI configurations.
    #[arg(long, env = "FLATNET_CNI_CONF_DIR", default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
    /// Where it looks for CNI plugins.
    #[arg(long, env = "FLATNET_CNI_BIN_DIR", default_value = "/opt/cni/bin")]
    pub cni_bin_dir: PathBuf,
    /// Where the CNI plugin keeps its leases.
    #[arg(
        long,
        env = "FLATNET_CNI_DATA_DIR",
        default_value = "/var/lib/cni/networks"
    )]
    pub cni_data_dir: PathBuf,
    /// Then to wait for SIGTERM, as the container of a DaemonSet has to.
    #[arg(long)]
    pub stay: bool,
}

/// What the agent needs to know.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Name of this node's Node object.
    #[arg(long, env = "NODE_NAME")]
    pub node_name: String,
    /// URL of the API server by a node's address; never a cluster IP, which is what this makes
    /// work.
    #[arg(long, env = "FLATNET_API_SERVER")]
    pub api_server: Option<String>,
    /// A kubeconfig file; without it, the pod's service account.
    #[arg(long, env = "FLATNET_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Where bpffs is mounted.
    #[arg(long, env = "FLATNET_BPFFS", default_value = DEFAULT_BPFFS)]
    pub bpffs: PathBuf,
    /// The cgroup2 folder that holds every process of this node and its pods; without it, the one
    /// nearest to the root among those that are mounted here.
    #[arg(long, env = "FLATNET_CGROUP_ROOT")]
    pub cgroup_root: Option<PathBuf>,
    /// Where kernel parameters are, for a pod that may not write below /proc/sys and mounts
    /// /proc/sys/net from the node.
    #[arg(long, env = "FLATNET_PROC_SYS", default_value = "/proc/sys")]
    pub proc_sys: PathBuf,
    /// Where the agent keeps what the next one or `uninstall` must know: which values kernel
    /// parameters had.
    #[arg(long, env = "FLATNET_STATE_DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// Where the container runtime reads CNI configurations.
    #[arg(long, env = "FLATNET_CNI_CONF_DIR", default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
    /// Where the CNI plugin keeps its leases.
    #[arg(
        long,
        env = "FLATNET_CNI_DATA_DIR",
        default_value = "/var/lib/cni/networks"
    )]
    pub cni_data_dir: PathBuf,
    /// The Unix socket at which the agent answers `flatnet`.
    #[arg(long, env = "FLATNET_SOCKET", default_value = AGENT_SOCKET)]
    pub socket: PathBuf,
    /// The eBPF object file.
    #[arg(
        long,
        env = "FLATNET_PROGRAMS",
        default_value = "/usr/lib/flatnet/flatnet-proxy.bpf.o"
    )]
    pub programs: PathBuf,
    /// Entries of the flow table when it is created, two for each flow.
    #[arg(long, env = "FLATNET_FLOW_TABLE_SIZE", value_parser = clap::value_parser!(u32).range(1024..))]
    pub flow_table_size: Option<u32>,
    /// Slots for endpoints when their map is created; about twice the endpoints of all Services.
    #[arg(long, env = "FLATNET_ENDPOINT_SLOTS", value_parser = clap::value_parser!(u32).range(1024..))]
    pub endpoint_slots: Option<u32>,
    /// Frontends (an address, port and protocol of a Service, and each cluster IP once more) that fit
    /// into their map when it is created.
    #[arg(long, env = "FLATNET_FRONTEND_TABLE_SIZE", value_parser = clap::value_parser!(u32).range(1024..))]
    pub frontend_table_size: Option<u32>,
    /// Whether TCP sockets are pointed at endpoints when they connect. Packets are translated
    /// either way.
    #[arg(long, env = "FLATNET_SOCKET_LB", default_value_t = true, action = clap::ArgAction::Set)]
    pub socket_lb: bool,
    /// How the pods of other nodes are reached: through their node addresses where those are on
    /// a link of this node, by VXLAN, or each as it can be.
    #[arg(long, env = "FLATNET_ROUTING", value_enum, default_value_t)]
    pub routing: Routing,
    /// UDP port of VXLAN, the same on every node.
    #[arg(long, env = "FLATNET_VXLAN_PORT", default_value_t = TUNNEL_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub vxlan_port: u16,
    /// Whether packets of pods that leave the cluster carry the node's address.
    #[arg(long, env = "FLATNET_MASQUERADE", default_value_t = true, action = clap::ArgAction::Set)]
    pub masquerade: bool,
    /// CIDRs outside the cluster to which packets go with the pod's own address all the same.
    #[arg(
        long,
        env = "FLATNET_MASQUERADE_EXCLUDE",
        value_name = "CIDR,...",
        value_delimiter = ','
    )]
    pub masquerade_exclude: Vec<IpNet>,
    /// Ports for masquerade alone. Without it, a range that neither the kernel
    /// (net.ipv4.ip_local_port_range) nor a NodePort uses.
    #[arg(long, env = "FLATNET_MASQUERADE_PORTS", value_name = "FIRST-LAST", value_parser = ports::parse)]
    pub masquerade_ports: Option<Ports>,
    /// Whether programs hang on interfaces by tcx links; without it, as the kernel can.
    #[arg(long, env = "FLATNET_TCX", hide = true)]
    pub tcx: Option<bool>,
    /// Maps in another layout than this version's, to try what an upgrade does.
    #[arg(long, env = "FLATNET_MAP_LAYOUTS", hide = true, value_delimiter = ',', value_parser = layout)]
    pub map_layouts: Vec<(String, u32)>,
    /// Where cluster IPs come from (kube-apiserver's --service-cluster-ip-range), for an API server
    /// that has no ServiceCIDRs (before Kubernetes 1.33), or in their place: what goes to one of
    /// them that no Service has is refused.
    #[arg(
        long,
        env = "FLATNET_SERVICE_CIDR",
        value_delimiter = ',',
        value_name = "CIDR,..."
    )]
    pub service_cidr: Vec<IpNet>,
    /// What concerns Services.
    #[command(flatten)]
    pub services: ServiceOptions,
    /// What concerns conversations.
    #[command(flatten)]
    pub flows: FlowOptions,
    /// Seconds between two looks at the whole of the kernel's state.
    #[arg(long, env = "FLATNET_AUDIT_SECONDS", default_value = "30", value_parser = seconds)]
    pub audit_seconds: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected whole seconds from 1 to 86400".into()),
    }
}

fn layout(text: &str) -> Result<(String, u32), String> {
    let pair = text.split_once('=');
    let pair = pair.and_then(|(name, layout)| Some((name.to_owned(), layout.parse().ok()?)));
    pair.ok_or_else(|| "expected MAP=NUMBER".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_audit_interval_is_bounded() {
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        for wrong in ["0", "-1", "x", "100000"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
