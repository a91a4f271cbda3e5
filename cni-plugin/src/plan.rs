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
use proxy_abi::ownership::{POD_NEXT_HOP_V4, program};

use crate::attachment::Mac;
use crate::request::Add;

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
    /// Pin of the program that sees every packet the pod sends.
    pub(crate) program_pin: PathBuf,
    /// Where the program's link to the host end is pinned.
    pub(crate) link_pin: PathBuf,
}

/// One end of the veth pair and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Interface name.
    pub(crate) name: String,
    /// Its MAC address.
    pub(crate) mac: Mac,
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
    /// The attachment that `request` asks for, with one leased address from each range set.
    pub(crate) fn new(request: &Add, addresses: &[IpAddr]) -> Self {
        let attachment = &request.attachment;
        let name = attachment.host_interface();
        Self {
            mtu: request.mtu,
            sysctls: sysctls(&name),
            program_pin: request.places.program_pin(program::FROM_POD),
            link_pin: request.places.link_pin(program::FROM_POD, &name),
            host: End {
                name,
                mac: attachment.host_mac(),
                addresses: Vec::new(),
                neighbours: neighbours(addresses, attachment.pod_mac()),
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
                mac: attachment.pod_mac(),
                addresses: addresses.iter().map(|pod| (*pod).into()).collect(),
                neighbours: neighbours(&[next_hop()], attachment.host_mac()),
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

/// The host end must forward whatever the node's defaults are. The reverse path filter is off on
/// it because a reply that the proxy translated carries the frontend's address, and the route to
/// that does not lead back to this interface.
fn sysctls(host_interface: &str) -> Vec<(PathBuf, &'static str)> {
    let of_interface = PathBuf::from("net/ipv4/conf").join(host_interface);
    vec![
        (of_interface.join("rp_filter"), "0"),
        (of_interface.join("forwarding"), "1"),
    ]
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::attachment::tests::mk_attachment;
    use crate::config::Places;
    use crate::range::tests::mk_set;
    use crate::version::CniVersion;

    /// An ADD as the lab sends it.
    pub(crate) fn mk_add(version: CniVersion) -> Add {
        Add {
            version,
            attachment: mk_attachment("cnitest-7", "eth0"),
            netns: "/run/netns/p".to_owned(),
            places: Places {
                leases: "/leases/flatnet".into(),
                bpffs: "/bpf".into(),
            },
            range_sets: vec![mk_set(&["10.244.1.0/24"])],
            mtu: Some(1450),
            dns: serde_json::json!({}),
        }
    }

    #[test]
    fn the_plan_of_a_pod() {
        let address: IpAddr = "10.244.1.7".parse().unwrap();
        let plan = Plan::new(&mk_add(CniVersion::NEWEST), &[address]);
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
        assert_eq!(
            plan.program_pin,
            PathBuf::from("/bpf/flatnet/programs/from_pod")
        );
        let rp_filter = format!("net/ipv4/conf/{}/rp_filter", plan.host.name);
        assert!(plan.sysctls.contains(&(rp_filter.into(), "0")));
    }
}
