//! What is: the node as the cluster describes it and as the kernel shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use cluster_model::Node;
use ipnet::IpNet;
use proxy_abi::ThisNode;
use proxy_abi::ownership::CNI_CONFIG_FILE;

use super::{PassError, Wish};
use crate::args::Options;
use crate::kernel::earlier::Pinned;
use crate::kernel::pins::Pins;
use crate::kernel::routes::Netlink;
use crate::kernel::sysctl::Families;
use crate::kernel::{earlier, links, namespace, node_maps, programs, sysctl};
use crate::plan::filters::{Observed as PodInterface, Place};
use crate::plan::interfaces::{self, Interface, Interfaces};
use crate::plan::links::Observed as Link;
use crate::plan::node_maps::{Masquerade, NodeMaps};
use crate::plan::peers::{self, Unreachable, Ways};
use crate::plan::ports;
use crate::plan::routes::Routes;
use crate::plan::tunnels::{Tunnel, Tunnels};

/// Everything a full pass looks at, but the maps.
pub struct Observed {
    /// Kernel parameters with other values than they should have.
    pub sysctls: Vec<sysctl::Wanted>,
    /// Pinned links.
    pub links: BTreeMap<String, Link>,
    /// The host ends of pods' veths.
    pub pod_interfaces: BTreeMap<String, PodInterface>,
    /// Our filters on the node's own interfaces.
    pub own_filters: BTreeMap<Place, u32>,
    /// Whether interfaces can have links.
    pub tcx: bool,
    /// The id of the node's cgroup, if sockets are to be translated.
    pub cgroup: Option<u64>,
    /// Every interface.
    pub interfaces: Interfaces,
    /// What the programs are told of the node; nothing where there are no maps yet.
    pub node_maps: NodeMaps,
    /// How packets of pods leave the cluster.
    pub masquerade: Masquerade,
    /// What the programs should know of the node itself.
    pub this: ThisNode,
    /// Our routes.
    pub routes: Routes,
    /// Our routing rules, by the CIDRs that they are for.
    pub rules: BTreeSet<IpNet>,
    /// Our tunnels.
    pub tunnels: Tunnels,
    /// Pins of another version.
    pub earlier: Vec<Pinned>,
    /// The text of the CNI configuration, if there is one.
    pub cni_config: Option<String>,
    /// Every node, as the cluster describes it.
    pub nodes: Vec<Node>,
    /// Where cluster IPs come from, as the options or the cluster say.
    pub service_cidrs: Vec<IpNet>,
    /// What can be known only once the Node object and its address are there.
    pub place: Option<Position>,
}

/// Where the node is in the network.
pub struct Position {
    /// The Node object.
    pub own: Node,
    /// The uplinks; the first holds the node's first address.
    pub uplinks: Vec<Interface>,
    /// The ways to the other nodes' pods.
    pub ways: Ways,
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
    /// The uplinks cannot carry what a tunnel must.
    Narrow,
    /// Sockets of the node may have every port.
    Ports,
    /// The agent's own sockets do not meet the socket programs.
    SocketPrograms,
}

impl Waiting {
    /// Whether no pod can have a network meanwhile.
    #[must_use]
    pub fn blocks(&self) -> bool {
        matches!(self, Self::Node(_) | Self::Address(_) | Self::PodCidr(_))
    }
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
            Self::Narrow => write!(
                out,
                "the uplinks' MTU is less than 1350 bytes, so VXLAN over IPv6 cannot carry the \
                 packets of 1280 bytes that IPv6 promises to pods"
            ),
            Self::SocketPrograms => write!(
                out,
                "a connect() of the agent's own does not meet the socket programs: is \
                 --cgroup-root the cgroup2 folder that holds every process of this node? Services \
                 work by packets meanwhile; ports of the node's own addresses not from the node"
            ),
            Self::Ports => write!(
                out,
                "net.ipv4.ip_local_port_range leaves no 1024 ports to masquerade, so packets of \
                 pods do not leave the cluster; narrow it, or give --masquerade-ports"
            ),
        }
    }
}

/// Where the kernel's state is looked at.
#[derive(Clone, Copy)]
pub(super) struct Doors<'a> {
    pub(super) pins: &'a Pins,
    pub(super) cgroup: &'a Path,
    pub(super) netlink: &'a Netlink,
}

/// Looks at everything.
///
/// # Errors
/// [`PassError`] if something cannot be looked at.
pub(super) async fn observe(
    wish: &Wish,
    options: &Options,
    Doors {
        pins,
        cgroup,
        netlink,
    }: Doors<'_>,
) -> Result<(Observed, Vec<Waiting>), PassError> {
    let interfaces = netlink.interfaces().await?;
    let (routes, defaults) = netlink.routes(&interfaces).await?;
    let (place, mut waiting) = place(&wish.nodes, options, &interfaces, &defaults);
    let cgroup = Some(links::cgroup_id(cgroup)?);
    let tunnels = place
        .as_ref()
        .is_some_and(|place| !place.ways.tunnels.is_empty());
    let pod_cidrs = place.as_ref().map_or(&[][..], |place| &place.own.pod_cidrs);
    let masquerade = masquerade(options)?;
    if options.masquerade && masquerade.ports.is_none() {
        waiting.push(Waiting::Ports);
    }
    let observed = Observed {
        sysctls: sysctl::diff(&options.proc_sys, Families::of(pod_cidrs), tunnels)?,
        links: links::observe(pins, &interfaces)?,
        pod_interfaces: netlink.pod_interfaces().await?,
        own_filters: netlink.own_filters(&interfaces).await?,
        tcx: options.tcx.unwrap_or_else(links::has_tcx),
        cgroup,
        rules: netlink.rules().await?,
        tunnels: netlink.tunnels(&interfaces).await?,
        interfaces,
        node_maps: match programs::maps_exist(pins) {
            true => node_maps::Open::new(pins)?.observe()?,
            false => NodeMaps::default(),
        },
        masquerade,
        this: ThisNode::new(
            namespace::cookie().map_err(PassError::Namespace)?,
            options.socket_lb,
        ),
        routes,
        earlier: earlier::observe(pins).map_err(PassError::Earlier)?,
        cni_config: read_config(options)?,
        nodes: wish.nodes.clone(),
        service_cidrs: match options.service_cidr.is_empty() {
            true => wish.service_cidrs.clone(),
            false => options.service_cidr.clone(),
        },
        place,
    };
    Ok((observed, waiting))
}

fn place(
    nodes: &[Node],
    options: &Options,
    all: &Interfaces,
    defaults: &BTreeSet<u32>,
) -> (Option<Position>, Vec<Waiting>) {
    let name = &options.node_name;
    let Some(own) = nodes.iter().find(|node| &*node.name == name.as_str()) else {
        return (None, vec![Waiting::Node(name.clone())]);
    };
    let uplinks = interfaces::uplinks(all, &own.addresses, defaults);
    let uplinks: Vec<Interface> = uplinks.into_iter().cloned().collect();
    if uplinks.is_empty() {
        return (None, vec![Waiting::Address(name.clone())]);
    }
    let (ways, unreachable) = peers::ways(&peers::Facts {
        nodes,
        own,
        interfaces: all,
        uplinks: &uplinks,
        routing: options.routing,
        port: options.vxlan_port,
    });
    let mut waiting: Vec<Waiting> = unreachable.into_iter().map(Waiting::Peer).collect();
    if own.pod_cidrs.is_empty() {
        waiting.push(Waiting::PodCidr(name.clone()));
    }
    if ways.tunnels.values().any(Tunnel::is_too_narrow) {
        waiting.push(Waiting::Narrow);
    }
    let place = Position {
        own: own.clone(),
        uplinks,
        ways,
    };
    (Some(place), waiting)
}

fn masquerade(options: &Options) -> Result<Masquerade, PassError> {
    let ports = match (options.masquerade, options.masquerade_ports) {
        (false, _) => None,
        (true, Some(ports)) => Some(ports),
        (true, None) => ports::outside(sysctl::local_ports(&options.proc_sys)?),
    };
    Ok(Masquerade {
        ports,
        exclude: options.masquerade_exclude.clone(),
    })
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
