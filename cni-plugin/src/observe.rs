//! What the kernel has, in the words of the plan, so that the two can be laid side by side.
//! Of what it says only that much is decoded.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;

use ipnet::IpNet;
use netlink_packet_core::{DecodeError, NlasIterator, Parseable};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType,
};
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHeader, TcMessage, TcOption};

use crate::attachment::Mac;
use crate::bpf::{LinkInfo, ProgramInfo};
use crate::error::Error;
use crate::message;
use crate::netlink::{Netlink, Object};
use crate::pin;
use crate::plan::{Neighbour, Route};

/// Length of `struct ifinfomsg`, after which an interface's attributes begin.
const LINK_HEADER: usize = 16;
/// Attributes of an interface (linux/if_link.h).
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_INFO_KIND: u16 = 1;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its number.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// Whose it is, see [`crate::attachment::Attachment::alias`].
    pub(crate) alias: Option<String>,
    /// Such as `veth`.
    pub(crate) kind: Option<String>,
    /// Its MAC address.
    pub(crate) mac: Option<Mac>,
    /// Its MTU in bytes.
    pub(crate) mtu: Option<u32>,
    /// Whether it is on.
    pub(crate) up: bool,
}

/// An interface and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeenEnd {
    /// Itself.
    pub(crate) link: Link,
    /// Its addresses.
    pub(crate) addresses: Vec<IpNet>,
    /// Its permanent neighbours.
    pub(crate) neighbours: Vec<Neighbour>,
    /// The routes out of it, each with its protocol number.
    pub(crate) routes: Vec<(Route, u8)>,
}

/// All interfaces of the namespace.
///
/// # Errors
/// When the kernel refuses, or speaks another language.
pub(crate) fn links(netlink: &mut Netlink) -> Result<Vec<Link>, Error> {
    let objects = netlink.list(message::list_links)?;
    objects.iter().map(link).collect()
}

/// One interface and all that belongs to it; `None` when there is none of that name.
///
/// # Errors
/// When the kernel refuses, or speaks another language.
pub(crate) fn end(netlink: &mut Netlink, name: &str) -> Result<Option<SeenEnd>, Error> {
    let Some(found) = netlink.find(message::find_link(name))? else {
        return Ok(None);
    };
    let link = link(&found)?;
    let index = link.index;
    let addresses = netlink.list(|| message::list_addresses(name, index))?;
    let neighbours = netlink.list(|| message::list_neighbours(name, index))?;
    let mut routes = netlink.list(|| message::list_routes(name, index, AddressFamily::Inet))?;
    routes.extend(netlink.list(|| message::list_routes(name, index, AddressFamily::Inet6))?);
    Ok(Some(SeenEnd {
        link,
        addresses: each(&addresses, address)?,
        neighbours: each(&neighbours, neighbour)?,
        routes: each(&routes, route)?,
    }))
}

/// The name of the program that sees what comes in on an interface: that of our filter, or of our
/// link if one is pinned.
///
/// # Errors
/// When the kernel refuses, or speaks another language.
pub(crate) fn program(
    netlink: &mut Netlink,
    link: &Link,
    link_pin: &Path,
) -> Result<Option<String>, Error> {
    let filters = netlink.list(|| message::list_filters(&link.name, link.index))?;
    let ours = filters.iter().find(|filter| {
        let header = TcHeader::parse(&filter.payload);
        header.is_ok_and(|header| message::is_ours(&header))
    });
    let id = match ours {
        Some(filter) => TcMessage::parse(&filter.payload)
            .map_err(unread("a filter"))?
            .attributes
            .iter()
            .find_map(program_id),
        None => linked_program(link.index, link_pin)?,
    };
    let Some(id) = id else { return Ok(None) };
    let info = ProgramInfo::of_id(id).map_err(Error::pinned("ask for the program of", link_pin))?;
    Ok(Some(info.name()))
}

/// A kernel setting, trimmed; `None` where there is no such.
pub(crate) fn setting(name: &Path) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    Some(text.trim().to_owned())
}

fn linked_program(index: u32, link_pin: &Path) -> Result<Option<u32>, Error> {
    let link = match pin::open(link_pin) {
        Err(Error::NotReady(_)) => return Ok(None),
        opened => opened?,
    };
    let info = LinkInfo::of(link.as_fd()).map_err(Error::pinned("ask for the link", link_pin))?;
    Ok(info.program_on_ingress(index))
}

fn program_id(attribute: &TcAttribute) -> Option<u32> {
    let TcAttribute::Options(options) = attribute else {
        return None;
    };
    options.iter().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
        _other => None,
    })
}

fn link(object: &Object) -> Result<Link, Error> {
    let header = LinkHeader::parse(&object.payload).map_err(unread("an interface"))?;
    let mut link = Link {
        index: header.index,
        up: header.flags.contains(LinkFlags::Up),
        ..Link::default()
    };
    let attributes = object.payload.get(LINK_HEADER..).unwrap_or_default();
    for attribute in NlasIterator::new(attributes).flatten() {
        let value = attribute.value();
        match attribute.kind() {
            IFLA_IFNAME => link.name = text(value),
            IFLA_IFALIAS => link.alias = Some(text(value)),
            IFLA_MTU => link.mtu = value.try_into().ok().map(u32::from_ne_bytes),
            IFLA_ADDRESS => link.mac = value.try_into().ok().map(Mac),
            IFLA_LINKINFO => {
                let mut nested = NlasIterator::new(value).flatten();
                let kind = nested.find(|attribute| attribute.kind() == IFLA_INFO_KIND);
                link.kind = kind.map(|attribute| text(attribute.value()));
            }
            _other => {}
        }
    }
    Ok(link)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned()
}

/// Decodes every object of a list, and keeps those that are of interest.
fn each<T>(
    objects: &[Object],
    read: impl Fn(&[u8]) -> Result<Option<T>, DecodeError>,
) -> Result<Vec<T>, Error> {
    let decoded = objects.iter().map(|object| read(&object.payload));
    let interesting = decoded.filter_map(Result::transpose);
    interesting
        .collect::<Result<_, _>>()
        .map_err(unread("an entry of a list"))
}

fn address(payload: &[u8]) -> Result<Option<IpNet>, DecodeError> {
    let message = AddressMessage::parse(payload)?;
    let prefix = message.header.prefix_len;
    // An IPv4 address is in one attribute, its peer's in the other; an IPv6 one has but one.
    let (mut local, mut any) = (None, None);
    for attribute in message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(address),
            AddressAttribute::Address(address) => any = Some(address),
            _other => {}
        }
    }
    Ok(local
        .or(any)
        .and_then(|address| IpNet::new(address, prefix).ok()))
}

fn neighbour(payload: &[u8]) -> Result<Option<Neighbour>, DecodeError> {
    let message = NeighbourMessage::parse(payload)?;
    if message.header.state != NeighbourState::Permanent {
        return Ok(None);
    }
    let (mut address, mut mac) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                address = Some(v4.into())
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                address = Some(IpAddr::from(v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.try_into().ok().map(Mac),
            _other => {}
        }
    }
    Ok(address
        .zip(mac)
        .map(|(address, mac)| Neighbour { address, mac }))
}

fn route(payload: &[u8]) -> Result<Option<(Route, u8)>, DecodeError> {
    let RouteMessage {
        header, attributes, ..
    } = RouteMessage::parse(payload)?;
    let in_main = header.table == RouteHeader::RT_TABLE_MAIN;
    if !in_main || header.kind != RouteType::Unicast {
        return Ok(None);
    }
    let mut to = match header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        _ => IpAddr::from([0; 16]),
    };
    let mut via = None;
    for attribute in attributes {
        match attribute {
            RouteAttribute::Destination(destination) => to = ip(&destination).unwrap_or(to),
            RouteAttribute::Gateway(gateway) => via = ip(&gateway),
            _other => {}
        }
    }
    let to = IpNet::new(to, header.destination_prefix_length).ok();
    Ok(to.map(|to| (Route { to, via }, header.protocol.into())))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _other => None,
    }
}

fn unread(what: &'static str) -> impl FnOnce(DecodeError) -> Error {
    move |source| Error::Netlink {
        doing: format!("understand what the kernel says of {what}"),
        said: None,
        source: io::Error::other(source),
    }
}
