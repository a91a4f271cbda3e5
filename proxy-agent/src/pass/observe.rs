//! What is: the node as the cluster describes it and as the kernel shows it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;

use cluster_model::Node;
use ipnet::IpNet;
use proxy_abi::ownership::CNI_CONFIG_FILE;

use super::PassError;
use crate::args::Options;
use crate::kernel::pins::Pins;
use crate::kernel::routes::Netlink;
use crate::kernel::sysctl::Families;
use crate::kernel::{links, sysctl};
use crate::plan::filters::Observed as PodInterface;
use crate::plan::links::Observed as Link;
use crate::plan::routes::{self, Routes, Unreachable, Uplink};

/// Everything a full pass looks at, but the maps.
pub struct Observed {
    /// Kernel parameters with other values than they should have.
    pub sysctls: Vec<sysctl::Wanted>,
    /// Pinned links.
    pub links: BTreeMap<String, Link>,
    /// The host ends of pods' veths.
    pub pod_interfaces: BTreeMap<String, PodInterface>,
    /// The id of the node's cgroup, if sockets are to be translated.
    pub cgroup: Option<u64>,
    /// Our routes.
    pub routes: Routes,
    /// The text of the CNI configuration, if there is one.
    pub cni_config: Option<String>,
    /// What can be known only once the Node object and its address are there.
    pub place: Option<Place>,
}

/// Where the node is in the network.
pub struct Place {
    /// The interface with the node's address.
    pub uplink: Uplink,
    /// The node's own pod CIDRs; empty until they are assigned.
    pub pod_cidrs: Vec<IpNet>,
    /// The routes to the other nodes' pods.
    pub routes: Routes,
}

/// What the node waits for before it can work in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// There is no Node object of this name.
    Node(String),
    /// The Node object has no address that an interface here holds.
    Address(String),
    /// The Node object has no pod CIDR.
    PodCidr(String),
    /// A peer cannot be reached.
    Peer(Unreachable),
}

impl fmt::Display for Waiting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(
                out,
                "there is no Node named {name}; is --node-name (NODE_NAME) the name that \
                 `kubectl get nodes` shows?"
            ),
            Self::Address(name) => {
                write!(
                    out,
                    "no interface of this machine holds an InternalIP of Node {name}"
                )
            }
            Self::PodCidr(name) => write!(
                out,
                "Node {name} has no pod CIDR yet; the controller manager assigns it with \
                 --allocate-node-cidrs"
            ),
            Self::Peer(unreachable) => write!(out, "{unreachable}"),
        }
    }
}

/// Looks at everything.
///
/// # Errors
/// [`PassError`] if something cannot be looked at.
pub(super) async fn observe(
    nodes: &[Node],
    options: &Options,
    pins: &Pins,
    netlink: &Netlink,
) -> Result<(Observed, Vec<Waiting>), PassError> {
    let (place, waiting) = place(nodes, &options.node_name, netlink).await?;
    let cgroup = match options.socket_lb {
        true => Some(links::cgroup_id(&options.cgroup_root)?),
        false => None,
    };
    let pod_cidrs = place.as_ref().map_or(&[][..], |place| &place.pod_cidrs);
    let observed = Observed {
        sysctls: sysctl::diff(Families::of(pod_cidrs))?,
        links: links::observe(pins)?,
        pod_interfaces: netlink.pod_interfaces().await?,
        cgroup,
        routes: netlink.routes().await?,
        cni_config: read_config(options)?,
        place,
    };
    Ok((observed, waiting))
}

async fn place(
    nodes: &[Node],
    name: &str,
    netlink: &Netlink,
) -> Result<(Option<Place>, Vec<Waiting>), PassError> {
    let Some(node) = nodes.iter().find(|node| &*node.name == name) else {
        return Ok((None, vec![Waiting::Node(name.into())]));
    };
    let Some(uplink) = netlink.uplink(&node.addresses).await? else {
        return Ok((None, vec![Waiting::Address(name.into())]));
    };
    let (routes, unreachable) = routes::wanted(nodes.iter(), name, &uplink);
    let mut waiting: Vec<Waiting> = unreachable.into_iter().map(Waiting::Peer).collect();
    if node.pod_cidrs.is_empty() {
        waiting.push(Waiting::PodCidr(name.into()));
    }
    let place = Place {
        uplink,
        pod_cidrs: node.pod_cidrs.to_vec(),
        routes,
    };
    Ok((Some(place), waiting))
}

fn read_config(options: &Options) -> Result<Option<String>, PassError> {
    let path = options.cni_conf_dir.join(CNI_CONFIG_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PassError::CniConfig {
            doing: "read",
            path: path.display().to_string(),
            source,
        }),
    }
}
