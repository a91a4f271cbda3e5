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
//! Nobody ever asks by ARP who has what, so there is nothing to wait for and nothing to spoof.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net};
use proxy_abi::ownership::{POD_NEXT_HOP_V4, map, program};

use crate::attachment::Mac;
use crate::program::Attach;
use crate::request::Add;

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
    /// Kernel settings of the host end: file below `/proc/sys`, value.
    pub(crate) sysctls: Vec<(PathBuf, &'static str)>,
    /// How the program that sees every packet of the pod's is attached to the host end.
    pub(crate) attach: Attach,
    /// Where its link is pinned, if it is attached by one.
    pub(crate) link_pin: PathBuf,
    /// Pin of the map in which the programs find the pod.
    pub(crate) pods_pin: PathBuf,
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
    /// Its addresses, with prefix.
    pub(crate) addresses: Vec<IpNet>,
    /// Whom it can reach without asking.
    pub(crate) neighbours: Vec<Neighbour>,
    /// Routes out of it, in the order to add them.
    pub(crate) routes: Vec<Route>,
}

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

impl Plan {
    /// The attachment that `request` asks for, with one leased address from each range set, on a
    /// node whose kernel has IPv6 or has not.
    pub(crate) fn new(request: &Add, addresses: &[IpAddr], ipv6: bool) -> Self {
        let attachment = &request.attachment;
        let name = attachment.host_interface();
        let (host_mac, pod_mac) = (attachment.host_mac(), attachment.pod_mac());
        // The kernel has no IPv6 on an interface whose MTU is too small for it.
        let no_link_local = ipv6 && request.mtu.is_none_or(|mtu| mtu >= SMALLEST_IPV6_MTU);
        Self {
            mtu: request.mtu,
            sysctls: sysctls(&name, no_link_local),
            attach: request.attach,
            link_pin: request.places.link_pin(program::FROM_POD, &name),
            pods_pin: request.places.map_pin(map::PODS),
            host: End {
                name,
                mac: host_mac,
                alias: Some(attachment.alias(&request.places.network)),
                forwards: true,
                no_link_local,
                addresses: Vec::new(),
                neighbours: neighbours(addresses, pod_mac),
                routes: addresses
                    .iter()
                    .map(|pod| Route {
                        to: (*pod).into(),
                        via: None,
                    })
                    .collect(),
            },
            pod: End {
                name: attachment.interface.as_str().to_owned(),
                mac: pod_mac,
                alias: None,
                forwards: false,
                no_link_local,
                addresses: addresses.iter().map(|pod| (*pod).into()).collect(),
                neighbours: neighbours(&[next_hop()], host_mac),
                routes: vec![
                    Route {
                        to: next_hop().into(),
                        via: None,
                    },
                    Route {
                        to: everywhere(),
                        via: Some(next_hop()),
                    },
                ],
            },
        }
    }
}

/// Where pods send everything.
pub(crate) fn next_hop() -> IpAddr {
    Ipv4Addr::from(POD_NEXT_HOP_V4).into()
}

/// The default route's destination.
pub(crate) fn everywhere() -> IpNet {
    Ipv4Net::default().into()
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
/// (CVE-2020-10749), and it would on an interface that does not forward IPv6.
fn sysctls(host_interface: &str, ipv6: bool) -> Vec<(PathBuf, &'static str)> {
    let of_interface = PathBuf::from("net/ipv6/conf").join(host_interface);
    let settings = ipv6.then(|| (of_interface.join("accept_ra"), "0"));
    settings.into_iter().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::attachment::tests::mk_attachment;
    use crate::config::Places;
    use crate::lease::Pool;
    use crate::range::tests::mk_set;
    use crate::version::CniVersion;

    /// An ADD as the lab sends it.
    pub(crate) fn mk_add(version: CniVersion) -> Add {
        Add {
            version,
            attachment: mk_attachment("cnitest-7", "eth0"),
            netns: "/run/netns/p".to_owned(),
            places: Places {
                network: "flatnet".to_owned(),
                leases: "/leases/flatnet".into(),
                bpffs: "/bpf".into(),
            },
            pools: vec![Pool {
                ranges: mk_set(&["10.244.1.0/24"]),
                wish: None,
            }],
            mtu: Some(1450),
            attach: Attach::Filter,
            dns: serde_json::json!({}),
        }
    }

    #[test]
    fn the_plan_of_a_pod() {
        let address: IpAddr = "10.244.1.7".parse().unwrap();
        let plan = Plan::new(&mk_add(CniVersion::NEWEST), &[address], true);
        let net = |text: &str| -> IpNet { text.parse().unwrap() };
        let hop: IpAddr = "169.254.1.1".parse().unwrap();

        assert_eq!(plan.pod.name, "eth0");
        assert_eq!(plan.pod.addresses, [net("10.244.1.7/32")]);
        assert_eq!(
            plan.pod.neighbours,
            [Neighbour {
                address: hop,
                mac: plan.host.mac
            }]
        );
        let link = Route {
            to: net("169.254.1.1/32"),
            via: None,
        };
        let default = Route {
            to: net("0.0.0.0/0"),
            via: Some(hop),
        };
        assert_eq!(
            plan.pod.routes,
            [link, default],
            "the next hop's route first: the other needs it"
        );

        assert_eq!(plan.host.addresses, []);
        assert_eq!(
            plan.host.neighbours,
            [Neighbour {
                address,
                mac: plan.pod.mac
            }]
        );
        assert_eq!(
            plan.host.routes,
            [Route {
                to: net("10.244.1.7/32"),
                via: None
            }]
        );
        assert_eq!(
            plan.link_pin,
            PathBuf::from(format!("/bpf/flatnet/links/from_pod-{}", plan.host.name))
        );
        assert_eq!(plan.host.alias.as_deref(), Some("flatnet/cnitest-7/eth0"));
        let accept_ra = format!("net/ipv6/conf/{}/accept_ra", plan.host.name);
        assert_eq!(plan.sysctls, [(accept_ra.into(), "0")]);
    }

    #[test]
    fn where_there_is_no_ipv6_nothing_is_set_for_it() {
        let mut request = mk_add(CniVersion::NEWEST);
        let plan = Plan::new(&request, &[], false);
        request.mtu = Some(1279);
        for plan in [plan, Plan::new(&request, &[], true)] {
            assert_eq!(plan.sysctls, []);
            assert!(!plan.host.no_link_local && !plan.pod.no_link_local);
        }
    }
}
