//! Questions about what is there.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::tc::TcMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::entries::family;
use super::filter::filters_of;
use crate::netlink::Step;
use crate::program::Side;

/// Asks for an interface by name.
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

/// Asks for all interfaces.
pub(crate) fn list_links() -> Step {
    let mut link = LinkMessage::default();
    link.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    Step {
        doing: "list the interfaces".to_owned(),
        flags: 0,
        message: RouteNetlinkMessage::GetLink(link),
    }
}

/// Asks for all addresses of an interface.
pub(crate) fn list_addresses(name: &str, index: u32) -> Step {
    let mut address = AddressMessage::default();
    address.header.index = index;
    Step {
        doing: format!("list the addresses of {name}"),
        flags: 0,
        message: RouteNetlinkMessage::GetAddress(address),
    }
}

/// Asks for all neighbours of an interface.
pub(crate) fn list_neighbours(name: &str, index: u32) -> Step {
    let mut neighbour = NeighbourMessage::default();
    neighbour.attributes = vec![NeighbourAttribute::IfIndex(index)];
    Step {
        doing: format!("list the neighbours of {name}"),
        flags: 0,
        message: RouteNetlinkMessage::GetNeighbour(neighbour),
    }
}

/// Asks for all routes out of an interface, of one family.
pub(crate) fn list_routes(name: &str, index: u32, family: AddressFamily) -> Step {
    let mut route = RouteMessage::default();
    route.header.address_family = family;
    route.attributes = vec![RouteAttribute::Oif(index)];
    Step {
        doing: format!("list the routes through {name}"),
        flags: 0,
        message: RouteNetlinkMessage::GetRoute(route),
    }
}

/// Asks which way packets to an address go.
pub(crate) fn find_route(address: IpAddr) -> Step {
    let mut message = RouteMessage::default();
    message.header.address_family = family(address);
    message.header.destination_prefix_length = IpNet::from(address).prefix_len();
    let destination = RouteAttribute::Destination(RouteAddress::from(address));
    message.attributes = vec![destination];
    Step {
        doing: format!("find the route to {address}"),
        flags: 0,
        message: RouteNetlinkMessage::GetRoute(message),
    }
}

/// Asks for all filters of one side of an interface.
pub(crate) fn list_filters(name: &str, index: u32, side: Side) -> Step {
    let mut filter = TcMessage::default();
    filter.header.index = index.cast_signed();
    filter.header.parent = filters_of(side);
    Step {
        doing: format!("list the filters of {name}"),
        flags: 0,
        message: RouteNetlinkMessage::GetTrafficFilter(filter),
    }
}
