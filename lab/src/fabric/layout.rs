//! The fabric as `ip -batch` lines and kernel parameters (pure): names, cables, addresses.

use std::path::Path;

use crate::network::{Network, Seat, Subnets};

/// The namespace of the bridge, or of the router.
pub(super) const FABRIC: &str = "fabric";
/// The namespace of the outside client.
pub(crate) const CLIENT: &str = "client";

const BRIDGE: &str = "br0";

/// A file below `/proc/sys/net` and what to write there.
pub(super) type Parameter = (&'static str, &'static str);

/// Something with one cable to the fabric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Names the namespace, and the fabric's end of the cable.
    pub(crate) name: String,
    /// Where its `eth0` sits, in each family.
    pub(crate) seats: Vec<Seat>,
}

/// Run in the fabric's namespace before anything is joined to it. Where members share a link the
/// fabric is a bridge and holds the routers' addresses itself.
pub(super) fn hub(network: &Network) -> Vec<String> {
    let mut lines = vec!["link set lo up".to_owned()];
    let routers = network.shared_routers();
    if !routers.is_empty() {
        let mtu = mtu(network);
        lines.push(format!("link add {BRIDGE}{mtu} type bridge"));
        lines.extend(routers.iter().map(|router| address(BRIDGE, *router)));
        lines.push(format!("link set {BRIDGE} up"));
    }
    lines
}

/// Set in the fabric's namespace, before anything is made there. Nobody else is on this wire, so
/// an address needs no second to make sure that it is alone (RFC 4862, 5.4).
pub(super) fn hub_parameters(network: &Network) -> Vec<Parameter> {
    let routes = network.subnets != Subnets::Shared;
    let (v4, v6) = (network.families.has_v4(), network.families.has_v6());
    let all = [
        (routes && v4, ("ipv4/ip_forward", "1")),
        (routes && v6, ("ipv6/conf/all/forwarding", "1")),
        (v6, ("ipv6/conf/all/accept_dad", "0")),
        (v6, ("ipv6/conf/default/accept_dad", "0")),
    ];
    let set = all.into_iter().filter(|(needed, _)| *needed);
    set.map(|(_, parameter)| parameter).collect()
}

/// Run in the fabric's namespace; `netns` is the file of the member's.
pub(super) fn cable(network: &Network, member: &Member, netns: &Path) -> Vec<String> {
    let (name, mtu, netns) = (&member.name, mtu(network), netns.display());
    let mut lines = vec![format!(
        "link add {name}{mtu} type veth peer name eth0{mtu} netns {netns}"
    )];
    let own: Vec<_> = member.seats.iter().map(|seat| seat.router).collect();
    if own == network.shared_routers() {
        lines.push(format!("link set {name} master {BRIDGE}"));
    } else {
        lines.extend(own.iter().map(|router| address(name, *router)));
    }
    lines.push(format!("link set {name} up"));
    lines
}

/// Set in the member's namespace once its cable is there. The default for other interfaces stays
/// as it is: a pod's veth must be fast without the lab's help.
pub(super) fn inside_parameters(network: &Network) -> Vec<Parameter> {
    if network.families.has_v6() {
        vec![
            ("ipv6/conf/all/accept_dad", "0"),
            ("ipv6/conf/eth0/accept_dad", "0"),
        ]
    } else {
        vec![]
    }
}

/// Run in the member's namespace. The default route matters also without a way out: it is what
/// carries a node's own packets for a cluster IP to the uplink, where the proxy translates them.
pub(super) fn inside(member: &Member) -> Vec<String> {
    let mut lines = vec!["link set lo up".to_owned()];
    let addresses = member
        .seats
        .iter()
        .map(|seat| address("eth0", seat.address));
    lines.extend(addresses);
    lines.push("link set eth0 up".to_owned());
    let routes = member
        .seats
        .iter()
        .map(|seat| format!("route add default via {}", seat.router.addr()));
    lines.extend(routes);
    lines
}

fn address(interface: &str, address: ipnet::IpNet) -> String {
    // `nodad`: usable at once; without meaning, and refused, for IPv4.
    let flag = if address.addr().is_ipv6() {
        " nodad"
    } else {
        ""
    };
    format!("address add {address} dev {interface}{flag}")
}

fn mtu(network: &Network) -> String {
    network
        .mtu
        .map(|bytes| format!(" mtu {bytes}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Families;

    fn network(families: Families, subnets: Subnets) -> Network {
        Network {
            families,
            subnets,
            mtu: Some(1400),
        }
    }

    fn member(network: &Network) -> Member {
        Member {
            name: "node1".into(),
            seats: network.node_seats(1),
        }
    }

    #[test]
    fn a_member_gets_one_cable_and_a_default_route_of_each_family() {
        let network = network(Families::Dual, Subnets::Shared);
        let member = member(&network);
        assert_eq!(
            cable(&network, &member, Path::new("/run/l/netns/node1")),
            [
                // The far end is born in the member's namespace, never in ours.
                "link add node1 mtu 1400 type veth peer name eth0 mtu 1400 netns /run/l/netns/node1",
                "link set node1 master br0",
                "link set node1 up",
            ]
        );
        assert_eq!(
            inside(&member),
            [
                "link set lo up",
                "address add 172.30.0.11/24 dev eth0",
                "address add fd00:172:30::11/64 dev eth0 nodad",
                "link set eth0 up",
                "route add default via 172.30.0.1",
                "route add default via fd00:172:30::1",
            ]
        );
    }

    #[test]
    fn the_hub_is_a_bridge_or_a_router() {
        let (ipv4, ipv6) = (Families::Ipv4, Families::Ipv6);
        let shared = network(ipv4, Subnets::Shared);
        assert_eq!(
            hub(&shared),
            [
                "link set lo up",
                "link add br0 mtu 1400 type bridge",
                "address add 172.30.0.1/24 dev br0",
                "link set br0 up",
            ]
        );
        assert_eq!(hub_parameters(&shared), []);
        let separate = network(ipv6, Subnets::Separate);
        assert_eq!(hub(&separate), ["link set lo up"]);
        assert_eq!(
            hub_parameters(&separate)[0],
            ("ipv6/conf/all/forwarding", "1")
        );
        let lines = cable(&separate, &member(&separate), Path::new("/n"));
        assert_eq!(
            lines[1..],
            [
                "address add fd00:172:30:1::1/64 dev node1 nodad",
                "link set node1 up",
            ]
        );
    }
}
