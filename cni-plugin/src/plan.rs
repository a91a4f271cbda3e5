//! What a pod's attachment consists of, as a value: computed from the request and the leased
//! addresses, touching nothing. `message` turns it into netlink, `reply` into the result.
//!
//! In the pod an address of its own and nothing on-link but a next hop that is on no interface:
//!
//! ```text
//! pod   eth0 A/32     169.254.1.1 dev eth0 scope link; default via 169.254.1.1
//!                     169.254.1.1 lladdr <host MAC> PERMANENT
//! node  fn…           A dev fn… scope link proto 170
//!                     A lladdr <pod MAC> PERMANENT
//! ```
//!
//! IPv6 the same with A/128 and fe80::1, which as a link-local address needs no route of its own.
//! Nobody ever asks by ARP or neighbour discovery who has what, so there is nothing to wait for
//! and nothing to spoof.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proxy_abi::ownership::{POD_NEXT_HOP_V4, POD_NEXT_HOP_V6, map};
use proxy_abi::{Endpoint, FrontendKey, Pod};

use crate::attachment::Mac;
use crate::program::{Attach, HOOKS};
use crate::request::Shape;

/// The smallest MTU of an interface that IPv6 runs on (RFC 8200, section 5).
pub(crate) const SMALLEST_IPV6_MTU: u32 = 1280;

/// The whole attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The end in the node's network namespace.
    pub(crate) host: End,
    /// The end in the pod's.
    pub(crate) pod: End,
    /// MTU of both in bytes; `None` leaves the kernel's default.
    pub(crate) mtu: Option<u32>,
    /// How the programs that see every packet of the pod's are attached to the host end.
    pub(crate) attach: Attach,
    /// Where their links are pinned, if they are attached by such, in the order of [`HOOKS`].
    pub(crate) link_pins: [PathBuf; HOOKS.len()],
    /// Pin of the map in which the programs find the pod.
    pub(crate) pods_pin: PathBuf,
    /// Whether its traffic is to stay on the node's stack, where it is limited.
    pub(crate) shaped: bool,
    /// Pin of the map in which the programs at connect() find it, if they are to leave its
    /// sockets alone.
    pub(crate) packet_pods_pin: Option<PathBuf>,
    /// The node's ports that are the pod's, and the pod's behind them.
    pub(crate) host_ports: BTreeMap<FrontendKey, Endpoint>,
    /// Pin of the map in which the programs find those.
    pub(crate) host_ports_pin: PathBuf,
}

/// One end of the veth pair and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Interface name.
    pub(crate) name: String,
    /// Its MAC address.
    pub(crate) mac: Mac,
    /// Says whose it is, to `ip link`, and to GC which network it belongs to.
    pub(crate) alias: Option<String>,
    /// Whether IPv4 packets that come in here are forwarded, whatever the node's defaults are.
    /// The reverse path filter is off on such an end because a reply that the proxy translated
    /// carries the frontend's address, and the route to that does not lead back to it.
    pub(crate) forwards: bool,
    /// Whether the kernel is kept from giving it an IPv6 link-local address, which would take
    /// part in duplicate address detection, multicast reports and router solicitation, all to
    /// no purpose on a link of two.
    pub(crate) no_link_local: bool,
    /// Kernel settings for it that netlink has no words for, made in its namespace.
    pub(crate) sysctls: Vec<Sysctl>,
    /// Its addresses, with prefix.
    pub(crate) addresses: Vec<IpNet>,
    /// Whom it can reach without asking.
    pub(crate) neighbours: Vec<Neighbour>,
    /// Routes out of it, in the order to add them.
    pub(crate) routes: Vec<Route>,
}

/// A kernel setting: file below `/proc/sys`, value.
pub(crate) type Sysctl = (PathBuf, &'static str);

/// A permanent neighbour entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// Who.
    pub(crate) address: IpAddr,
    /// By which MAC address.
    pub(crate) mac: Mac,
}

/// A route in the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Destination.
    pub(crate) to: IpNet,
    /// Next hop; `None` when the destination is on the link itself.
    pub(crate) via: Option<IpAddr>,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.via {
            Some(hop) => write!(f, "{} via {hop}", self.to),
            None => write!(f, "{} on-link", self.to),
        }
    }
}

impl Plan {
    /// The attachment of that shape with these addresses, on a node whose kernel has IPv6 or has
    /// not.
    pub(crate) fn new(shape: &Shape, addresses: &[IpAddr], ipv6: bool) -> Self {
        let attachment = &shape.attachment;
        let name = attachment.host_interface();
        let (host_mac, pod_mac) = (attachment.host_mac(), shape.mac);
        // The kernel has no IPv6 on an interface whose MTU is too small for it.
        let no_link_local = ipv6 && shape.mtu.is_none_or(|mtu| mtu >= SMALLEST_IPV6_MTU);
        let speaks_ipv6 = addresses.iter().any(IpAddr::is_ipv6);
        let link_pins = shape.places.link_pins(&name);
        let host = End {
            mac: host_mac,
            alias: Some(attachment.alias(&shape.places.network)),
            forwards: true,
            no_link_local,
            sysctls: host_sysctls(&name, no_link_local, speaks_ipv6),
            addresses: Vec::new(),
            neighbours: neighbours(addresses, pod_mac),
            routes: addresses.iter().map(|pod| on_link(*pod)).collect(),
            name,
        };
        let name = attachment.interface.as_str().to_owned();
        let hops: Vec<_> = addresses.iter().map(|pod| next_hop(*pod)).collect();
        let pod = End {
            mac: pod_mac,
            alias: None,
            forwards: false,
            no_link_local,
            sysctls: pod_sysctls(&name, speaks_ipv6),
            addresses: addresses.iter().map(|pod| (*pod).into()).collect(),
            neighbours: neighbours(&hops, host_mac),
            routes: hops.iter().flat_map(|hop| way_out(*hop)).collect(),
            name,
        };
        Self {
            host,
            pod,
            mtu: shape.mtu,
            attach: shape.attach,
            link_pins,
            pods_pin: shape.places.map_pin(map::PODS),
            shaped: shape.shaped,
            packet_pods_pin: shape
                .packets_only
                .then(|| shape.places.map_pin(map::PACKET_PODS)),
            host_ports: shape.mappings.entries(addresses),
            host_ports_pin: shape.places.map_pin(map::HOST_PORTS),
        }
    }

    /// What the programs are to know of the pod, when its host end has that index.
    pub(crate) fn entry(&self, host: u32) -> Pod {
        let pod = Pod::new(host, self.pod.mac.0);
        if self.shaped { pod.shaped() } else { pod }
    }
}

/// Where a pod sends everything of the family of its address.
pub(crate) fn next_hop(pod: IpAddr) -> IpAddr {
    match pod {
        IpAddr::V4(_) => Ipv4Addr::from(POD_NEXT_HOP_V4).into(),
        IpAddr::V6(_) => Ipv6Addr::from(POD_NEXT_HOP_V6).into(),
    }
}

/// The default route's destination, in the family of an address.
pub(crate) fn everywhere(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(_) => Ipv4Net::default().into(),
        IpAddr::V6(_) => Ipv6Net::default().into(),
    }
}

fn on_link(address: IpAddr) -> Route {
    Route {
        to: address.into(),
        via: None,
    }
}

/// A next hop of IPv4 has to be on the link by a route before another route can go through it.
fn way_out(hop: IpAddr) -> impl Iterator<Item = Route> {
    let default = Route {
        to: everywhere(hop),
        via: Some(hop),
    };
    let link = hop.is_ipv4().then(|| on_link(hop));
    link.into_iter().chain([default])
}

fn neighbours(addresses: &[IpAddr], mac: Mac) -> Vec<Neighbour> {
    addresses
        .iter()
        .map(|address| Neighbour {
            address: *address,
            mac,
        })
        .collect()
}

/// The node must not take a default route from a pod that advertises itself as a router
/// (CVE-2020-10749), also where pods have no IPv6 address but the kernel has IPv6.
fn host_sysctls(interface: &str, ipv6: bool, speaks_ipv6: bool) -> Vec<Sysctl> {
    let accept_ra = [("accept_ra", "0")].into_iter().filter(|_| ipv6);
    let speak = [("disable_ipv6", "0"), ("forwarding", "1")];
    let speak = speak.into_iter().filter(|_| speaks_ipv6);
    ipv6_sysctls(interface, accept_ra.chain(speak))
}

/// All that the pod has to know about the link it has been told.
fn pod_sysctls(interface: &str, speaks_ipv6: bool) -> Vec<Sysctl> {
    let settings = [
        ("disable_ipv6", "0"),
        ("accept_ra", "0"),
        ("accept_dad", "0"),
    ];
    ipv6_sysctls(interface, settings.into_iter().filter(|_| speaks_ipv6))
}

fn ipv6_sysctls(
    interface: &str,
    settings: impl Iterator<Item = (&'static str, &'static str)>,
) -> Vec<Sysctl> {
    let of_interface = PathBuf::from("net/ipv6/conf").join(interface);
    settings
        .map(|(name, value)| (of_interface.join(name), value))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
