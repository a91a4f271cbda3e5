//! What is, as far as it decides whether flatnet can work here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use cluster_model::ServiceName;
use ipnet::IpNet;
use proxy_abi::ownership::CNI_TYPE;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::args::DoctorOptions;
use crate::kernel::pins::Pins;
use crate::kernel::routes::Netlink;
use crate::kernel::{cgroup, probe, programs};
use crate::run;

/// How long the API server and a neighbour at a port of ours may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The plugin by which containerd brings up `lo`, unless it is told to do so itself.
pub const LOOPBACK: &str = "loopback";

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Numbers of the capabilities of this process (linux/capability.h).
    pub capabilities: BTreeSet<u32>,
    /// The kernel's version.
    pub kernel: (u32, u32),
    /// Why there is no bpffs, if there is none.
    pub bpffs: Option<String>,
    /// Why the node's cgroup was not found, if it was not.
    pub cgroup: Option<String>,
    /// Whether a connect() meets the socket programs; nothing if no program is pinned.
    pub sockets: Option<bool>,
    /// Why the eBPF object cannot be read, if it cannot.
    pub object: Option<String>,
    /// The CNI configurations, as the runtime sorts them; or why there are none.
    pub configurations: Result<Vec<String>, String>,
    /// Whether the CNI plugin is where the runtime looks for it; or why not.
    pub plugin: Result<(), String>,
    /// Likewise the plugin that brings up `lo` in a pod, which comes with the runtime.
    pub loopback: Result<(), String>,
    /// Kernel parameters: name and value, of those that were looked for.
    pub sysctls: Vec<(&'static str, Option<String>)>,
    /// The API server and what it says of this node.
    pub cluster: Cluster,
    /// The node's name, as it was told.
    pub node_name: String,
    /// The addresses of this machine.
    pub addresses: BTreeSet<IpAddr>,
    /// Ports of ours that somebody else has.
    pub taken: Vec<SocketAddr>,
}

/// What the API server says.
#[derive(Clone, Debug)]
pub enum Cluster {
    /// It was not asked.
    Unasked,
    /// It does not answer; why.
    Away(String),
    /// It answers and knows no node of this name, but these.
    Unknown(Vec<String>),
    /// It knows the node.
    Known {
        /// Its addresses.
        addresses: Vec<IpAddr>,
        /// Its pod CIDRs.
        pod_cidrs: Vec<IpNet>,
        /// Whether the API server was asked at an address of the Service `kubernetes`.
        by_cluster_ip: bool,
    },
}

/// The kernel parameters that are looked at.
pub const SYSCTLS: [&str; 5] = [
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/ip_local_port_range",
    "net/core/bpf_jit_enable",
];

/// Looks at everything.
pub async fn observe(options: &DoctorOptions) -> Facts {
    let agent = &options.agent;
    let pins = Pins::below(&agent.bpffs);
    let pinned = pins.as_ref().is_ok_and(programs::maps_exist);
    let services = &agent.services;
    let ports = [
        (services.healthz_bind_address, ("/readyz", "\"waiting\"")),
        (services.metrics_bind_address, ("/proxyMode", "ebpf")),
    ];
    let mut taken = Vec::new();
    for (bind, mark) in ports {
        if let Some(port) = bind.0
            && is_taken(port, mark).await
        {
            taken.push(port);
        }
    }
    Facts {
        capabilities: capabilities(),
        kernel: kernel(),
        bpffs: pins.err().map(|error| error.to_string()),
        cgroup: cgroup::root(agent.cgroup_root.as_deref())
            .err()
            .map(|error| error.to_string()),
        sockets: pinned.then(probe::socket_programs_work),
        object: fs::File::open(&agent.programs)
            .err()
            .map(|error| format!("{}: {error}", agent.programs.display())),
        configurations: configurations(&agent.cni_conf_dir),
        plugin: plugin(&options.cni_bin_dir.join(CNI_TYPE)),
        loopback: linked_plugin(&options.cni_bin_dir.join(LOOPBACK)),
        sysctls: SYSCTLS
            .map(|name| (name, value(&agent.proc_sys, name)))
            .into(),
        cluster: cluster(options).await,
        node_name: agent.node_name.clone(),
        addresses: addresses().await,
        taken,
    }
}

fn capabilities() -> BTreeSet<u32> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    let bits = bits.unwrap_or_default();
    (0..64).filter(|number| bits >> number & 1 == 1).collect()
}

fn kernel() -> (u32, u32) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse().ok());
    let mut next = || numbers.next().unwrap_or_default();
    (next(), next())
}

fn configurations(folder: &Path) -> Result<Vec<String>, String> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy().into_owned();
        // What runtimes read.
        let read = [".conf", ".conflist", ".json"];
        if read.iter().any(|end| name.ends_with(end)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn plugin(path: &Path) -> Result<(), String> {
    let failed = |what: &str| format!("{}: {what}", path.display());
    let meta = fs::metadata(path).map_err(|error| failed(&error.to_string()))?;
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(failed("it is not executable"));
    }
    Ok(())
}

/// As [`plugin`], of one that may be a link to a file of the node that a pod does not see (k3s).
fn linked_plugin(path: &Path) -> Result<(), String> {
    if fs::read_link(path).is_ok() && !path.exists() {
        return Ok(());
    }
    plugin(path)
}

fn value(root: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(name)).ok()?;
    Some(text.trim().to_owned())
}

async fn addresses() -> BTreeSet<IpAddr> {
    let Ok(netlink) = Netlink::open() else {
        return BTreeSet::new();
    };
    let interfaces = netlink.interfaces().await.unwrap_or_default();
    let nets = interfaces.values().flat_map(|one| &one.addresses);
    nets.map(IpNet::addr).collect()
}

/// What an agent of ours answers at one of its ports, and nobody else: a path, and a part of what
/// comes.
type Mark = (&'static str, &'static str);

/// Whether somebody who is no flatnet agent has the port.
async fn is_taken(at: SocketAddr, mark: Mark) -> bool {
    let Err(error) = TcpListener::bind(at) else {
        return false;
    };
    let answer = timeout(PATIENCE, ask(at, mark.0)).await;
    let answer = answer.ok().and_then(Result::ok).unwrap_or_default();
    error.kind() == io::ErrorKind::AddrInUse && !answer.contains(mark.1)
}

async fn ask(at: SocketAddr, path: &str) -> io::Result<String> {
    let host = match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let mut stream = TcpStream::connect((host, at.port())).await?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn cluster(options: &DoctorOptions) -> Cluster {
    let agent = &options.agent;
    let feed = match run::feed(agent).await {
        Ok(feed) => feed,
        Err(error) => return Cluster::Away(error.to_string()),
    };
    if timeout(PATIENCE, feed.synced()).await.is_err() {
        let server = agent.api_server.as_deref().unwrap_or("the pod's own");
        let text = format!("{server} did not list Nodes within {PATIENCE:?}");
        return Cluster::Away(text);
    }
    let index = feed.read();
    let Some(node) = index.node(&agent.node_name) else {
        let names = index.nodes().map(|node| node.name.to_string());
        return Cluster::Unknown(names.collect());
    };
    let asked = agent.api_server.as_deref().unwrap_or_default();
    let name = ServiceName::new("default", "kubernetes");
    let own = index.services().find(|service| service.name == name);
    let by_cluster_ip = own.is_some_and(|service| {
        let mut ips = service.cluster_ips.iter();
        ips.any(|ip| asked.contains(&format!("//{ip}")) || asked.contains(&format!("//[{ip}]")))
    });
    Cluster::Known {
        addresses: node.addresses.to_vec(),
        pod_cidrs: node.pod_cidrs.to_vec(),
        by_cluster_ip,
    }
}
