//! What an interface has: addresses, neighbours, routes.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use proxy_abi::ownership::ROUTE_PROTOCOL;

use crate::netlink::Step;
use crate::plan::{Neighbour, Route};

/// An address of an interface.
pub(super) fn add_address(net: IpNet, name: &str, index: u32) -> Step {
    let mut address = AddressMessage::default();
    address.header.family = family(net.addr());
    address.header.prefix_len = net.prefix_len();
    address.header.scope = AddressScope::Universe;
    address.header.index = index;
    address.attributes = vec![
        AddressAttribute::Local(net.addr()),
        AddressAttribute::Address(net.addr()),
    ];
    if net.addr().is_ipv6() {
        // The address is the pod's alone by the leases, so it is not asked for on the link, which
        // would keep it unusable for a second or two; and nothing is on-link by its prefix.
        let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
        address.attributes.push(AddressAttribute::Flags(flags));
    }
    Step {
        doing: format!("add the address {net} to {name}"),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        message: RouteNetlinkMessage::NewAddress(address),
    }
}

/// A neighbour that is never asked for.
pub(super) fn add_neighbour(neighbour: Neighbour, name: &str, index: u32) -> Step {
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

/// A route of the main table that carries our mark.
pub(super) fn add_route(route: Route, name: &str, index: u32) -> Step {
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

/// The family of an address.
pub(super) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
