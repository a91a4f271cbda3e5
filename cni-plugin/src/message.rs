//! From the plan to netlink: one function a step, each naming what it does.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use proxy_abi::ownership::ROUTE_PROTOCOL;

use crate::netlink::Step;
use crate::plan::{End, Neighbour, Plan, Route};

/// Makes the veth pair in one request: both ends named, addressed and sized, the far one already
/// in the pod's namespace. Both are down.
pub(crate) fn create_veth(plan: &Plan, pod_namespace: &File) -> Step {
    let mut peer = LinkMessage::default();
    peer.attributes = end_attributes(&plan.pod, plan.mtu);
    peer.attributes
        .push(LinkAttribute::NetNsFd(pod_namespace.as_raw_fd()));
    let mut link = LinkMessage::default();
    link.attributes = end_attributes(&plan.host, plan.mtu);
    link.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    Step {
        doing: format!(
            "create the veth pair {} and {}",
            plan.host.name, plan.pod.name
        ),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        message: RouteNetlinkMessage::NewLink(link),
    }
}

fn end_attributes(end: &End, mtu: Option<u32>) -> Vec<LinkAttribute> {
    let mut attributes = vec![
        LinkAttribute::IfName(end.name.clone()),
        LinkAttribute::Address(end.mac.0.to_vec()),
    ];
    attributes.extend(mtu.map(LinkAttribute::Mtu));
    attributes
}

/// Asks for an interface by name; the answer is its index.
pub(crate) fn find_link(name: &str) -> Step {
    let mut link = LinkMessage::default();
    link.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
    ];
    Step {
        doing: format!("find the interface {name}"),
        flags: 0,
        message: RouteNetlinkMessage::GetLink(link),
    }
}

/// Removes an interface by name; the other end of a veth pair goes with it, and so do the routes
/// and neighbours of both.
pub(crate) fn delete_link(name: &str) -> Step {
    let mut link = LinkMessage::default();
    link.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    Step {
        doing: format!("delete the interface {name}"),
        flags: 0,
        message: RouteNetlinkMessage::DelLink(link),
    }
}

/// Everything that belongs to one end: addresses, the interface up, neighbours, routes. Routes
/// come last because the kernel takes none through an interface that is down, and neighbours
/// before them so that the first packet finds its way at once.
pub(crate) fn bring_up(end: &End, index: u32) -> Vec<Step> {
    let addresses = end
        .addresses
        .iter()
        .map(|address| add_address(*address, &end.name, index));
    let neighbours = end
        .neighbours
        .iter()
        .map(|neighbour| add_neighbour(*neighbour, &end.name, index));
    let routes = end
        .routes
        .iter()
        .map(|route| add_route(*route, &end.name, index));
    addresses
        .chain([set_up(&end.name, index)])
        .chain(neighbours)
        .chain(routes)
        .collect()
}

fn set_up(name: &str, index: u32) -> Step {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    Step {
        doing: format!("set {name} up"),
        flags: 0,
        message: RouteNetlinkMessage::SetLink(link),
    }
}

fn add_address(net: IpNet, name: &str, index: u32) -> Step {
    let mut address = AddressMessage::default();
    address.header.family = family(net.addr());
    address.header.prefix_len = net.prefix_len();
    address.header.scope = AddressScope::Universe;
    address.header.index = index;
    address.attributes = vec![
        AddressAttribute::Local(net.addr()),
        AddressAttribute::Address(net.addr()),
    ];
    Step {
        doing: format!("add the address {net} to {name}"),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        message: RouteNetlinkMessage::NewAddress(address),
    }
}

fn add_neighbour(neighbour: Neighbour, name: &str, index: u32) -> Step {
    let Neighbour { address, mac } = neighbour;
    let mut entry = NeighbourMessage::default();
    entry.header.family = family(address);
    entry.header.ifindex = index;
    entry.header.state = NeighbourState::Permanent;
    let destination = match address {
        IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
        IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
    };
    entry.attributes = vec![
        NeighbourAttribute::Destination(destination),
        NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()),
    ];
    Step {
        doing: format!("add the neighbour {address} ({mac}) to {name}"),
        flags: NLM_F_CREATE | NLM_F_REPLACE,
        message: RouteNetlinkMessage::NewNeighbour(entry),
    }
}

fn add_route(route: Route, name: &str, index: u32) -> Step {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(route.to.addr()),
        destination_prefix_length: route.to.prefix_len(),
        table: RouteHeader::RT_TABLE_MAIN,
        protocol: RouteProtocol::from(ROUTE_PROTOCOL),
        scope: if route.via.is_some() {
            RouteScope::Universe
        } else {
            RouteScope::Link
        },
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    message.attributes = vec![RouteAttribute::Oif(index)];
    if route.to.prefix_len() > 0 {
        message
            .attributes
            .push(RouteAttribute::Destination(RouteAddress::from(
                route.to.addr(),
            )));
    }
    message.attributes.extend(
        route
            .via
            .map(|hop| RouteAttribute::Gateway(RouteAddress::from(hop))),
    );
    Step {
        doing: format!("add the route to {} through {name}", route.to),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        message: RouteNetlinkMessage::NewRoute(message),
    }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::mk_add;
    use crate::version::CniVersion;

    #[test]
    fn steps_of_each_end_in_their_order() {
        let plan = Plan::new(
            &mk_add(CniVersion::NEWEST),
            &["10.244.1.7".parse().unwrap()],
        );
        let doings = |end| {
            bring_up(end, 5)
                .into_iter()
                .map(|step| step.doing)
                .collect::<Vec<_>>()
        };
        let (host, pod) = (&plan.host, &plan.pod);
        assert_eq!(
            doings(pod),
            [
                "add the address 10.244.1.7/32 to eth0".to_owned(),
                "set eth0 up".to_owned(),
                format!("add the neighbour 169.254.1.1 ({}) to eth0", host.mac),
                "add the route to 169.254.1.1/32 through eth0".to_owned(),
                "add the route to 0.0.0.0/0 through eth0".to_owned(),
            ]
        );
        assert_eq!(
            doings(host),
            [
                format!("set {} up", host.name),
                format!(
                    "add the neighbour 10.244.1.7 ({}) to {}",
                    pod.mac, host.name
                ),
                format!("add the route to 10.244.1.7/32 through {}", host.name),
            ]
        );
    }
}
