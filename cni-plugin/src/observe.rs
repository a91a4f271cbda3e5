//! What the kernel has, in the words of the plan, so that the two can be laid side by side. Of
//! what it says only that much is read: decoding all the attributes there are, and those that a
//! newer kernel adds, is a way to fail that nobody needs.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use netlink_packet_core::{DecodeError, NLA_HEADER_SIZE, NlasIterator};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressHeader;
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::neighbour::{NeighbourHeader, NeighbourState};
use netlink_packet_route::route::{RouteHeader, RouteType};
use netlink_packet_route::tc::TcHeader;

use crate::attachment::Mac;
use crate::bpf::{LinkInfo, ProgramInfo};
use crate::error::Error;
use crate::message;
use crate::netlink::{Netlink, Object};
use crate::pin;
use crate::plan::{Neighbour, Route};
use crate::program::{HOOKS, Side};

/// Lengths of the headers (linux/rtnetlink.h), after which the attributes begin.
mod header {
    pub(super) const LINK: usize = 16;
    pub(super) const ADDRESS: usize = 8;
    pub(super) const NEIGHBOUR: usize = 12;
    pub(super) const ROUTE: usize = 12;
    pub(super) const FILTER: usize = 20;
}

/// Numbers of attributes (linux/if_link.h, if_addr.h, neighbour.h, rtnetlink.h, pkt_cls.h).
mod attribute {
    pub(super) const IFLA_ADDRESS: u16 = 1;
    pub(super) const IFLA_IFNAME: u16 = 3;
    pub(super) const IFLA_MTU: u16 = 4;
    pub(super) const IFLA_LINKINFO: u16 = 18;
    pub(super) const IFLA_IFALIAS: u16 = 20;
    pub(super) const IFLA_INFO_KIND: u16 = 1;
    pub(super) const IFA_ADDRESS: u16 = 1;
    pub(super) const IFA_LOCAL: u16 = 2;
    pub(super) const NDA_DST: u16 = 1;
    pub(super) const NDA_LLADDR: u16 = 2;
    pub(super) const RTA_DST: u16 = 1;
    pub(super) const RTA_GATEWAY: u16 = 5;
    pub(super) const TCA_OPTIONS: u16 = 2;
    pub(super) const TCA_BPF_ID: u16 = 11;
}

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

/// One interface; `None` when there is none of that name.
///
/// # Errors
/// When the kernel refuses, or speaks another language.
pub(crate) fn named(netlink: &mut Netlink, name: &str) -> Result<Option<Link>, Error> {
    let found = netlink.find(message::find_link(name))?;
    found.as_ref().map(link).transpose()
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

/// The names of the programs on an interface, in the order of [`HOOKS`]: those of our filters, or
/// of our links if such are pinned.
///
/// # Errors
/// When the kernel refuses, or speaks another language.
pub(crate) fn programs(
    netlink: &mut Netlink,
    link: &Link,
    link_pins: &[PathBuf; HOOKS.len()],
) -> Result<[Option<String>; HOOKS.len()], Error> {
    let mut names = [const { None }; HOOKS.len()];
    for ((hook, pin), name) in HOOKS.iter().zip(link_pins).zip(&mut names) {
        *name = program(netlink, link, hook.side, pin)?;
    }
    Ok(names)
}

/// The name of the program on one side of an interface.
fn program(
    netlink: &mut Netlink,
    link: &Link,
    side: Side,
    link_pin: &Path,
) -> Result<Option<String>, Error> {
    let filters = netlink.list(|| message::list_filters(&link.name, link.index, side))?;
    let ours = filters.iter().find(|filter| {
        let header = TcHeader::parse(&filter.payload);
        header.is_ok_and(|header| message::is_ours(&header))
    });
    let id = match ours {
        Some(filter) => program_id(filter),
        None => linked_program(link.index, side, link_pin)?,
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

fn linked_program(index: u32, side: Side, link_pin: &Path) -> Result<Option<u32>, Error> {
    let link = match pin::open(link_pin) {
        Err(Error::NotReady(_)) => return Ok(None),
        opened => opened?,
    };
    let info = LinkInfo::of(link.as_fd()).map_err(Error::pinned("ask for the link", link_pin))?;
    Ok(info.program_on(index, side))
}

fn program_id(filter: &Object) -> Option<u32> {
    let options = find(&filter.payload, header::FILTER, attribute::TCA_OPTIONS)?;
    number(find(options, 0, attribute::TCA_BPF_ID)?)
}

fn link(object: &Object) -> Result<Link, Error> {
    let payload = &object.payload;
    let header = LinkHeader::parse(payload).map_err(unread("an interface"))?;
    let value = |kind| find(payload, header::LINK, kind);
    let information = value(attribute::IFLA_LINKINFO);
    Ok(Link {
        index: header.index,
        up: header.flags.contains(LinkFlags::Up),
        name: value(attribute::IFLA_IFNAME).map(text).unwrap_or_default(),
        alias: value(attribute::IFLA_IFALIAS).map(text),
        mtu: value(attribute::IFLA_MTU).and_then(number),
        mac: value(attribute::IFLA_ADDRESS).and_then(mac),
        kind: information.and_then(|nested| find(nested, 0, attribute::IFLA_INFO_KIND).map(text)),
    })
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
    let prefix = AddressHeader::parse(payload)?.prefix_len;
    // An IPv4 address is in one attribute, its peer's in the other; an IPv6 one has but one.
    let value = |kind| find(payload, header::ADDRESS, kind).and_then(ip);
    let address = value(attribute::IFA_LOCAL).or_else(|| value(attribute::IFA_ADDRESS));
    Ok(address.and_then(|address| IpNet::new(address, prefix).ok()))
}

fn neighbour(payload: &[u8]) -> Result<Option<Neighbour>, DecodeError> {
    if NeighbourHeader::parse(payload)?.state != NeighbourState::Permanent {
        return Ok(None);
    }
    let value = |kind| find(payload, header::NEIGHBOUR, kind);
    let address = value(attribute::NDA_DST).and_then(ip);
    let mac = value(attribute::NDA_LLADDR).and_then(mac);
    Ok(address
        .zip(mac)
        .map(|(address, mac)| Neighbour { address, mac }))
}

fn route(payload: &[u8]) -> Result<Option<(Route, u8)>, DecodeError> {
    let header = RouteHeader::parse(payload)?;
    let in_main = header.table == RouteHeader::RT_TABLE_MAIN;
    if !in_main || header.kind != RouteType::Unicast {
        return Ok(None);
    }
    let value = |kind| find(payload, header::ROUTE, kind).and_then(ip);
    let anywhere = match header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        _ => IpAddr::from([0; 16]),
    };
    let to = value(attribute::RTA_DST).unwrap_or(anywhere);
    let via = value(attribute::RTA_GATEWAY);
    let to = IpNet::new(to, header.destination_prefix_length).ok();
    Ok(to.map(|to| (Route { to, via }, header.protocol.into())))
}

/// The value of an attribute behind a header of that length.
fn find(payload: &[u8], header: usize, kind: u16) -> Option<&[u8]> {
    let mut attributes = NlasIterator::new(payload.get(header..)?).flatten();
    let found = attributes.find(|attribute| attribute.kind() == kind)?;
    let length = found.length() as usize;
    found.into_inner().get(NLA_HEADER_SIZE..length)
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned()
}

fn unread(what: &'static str) -> impl FnOnce(DecodeError) -> Error {
    move |source| Error::Netlink {
        doing: format!("understand what the kernel says of {what}"),
        said: None,
        source: io::Error::other(source),
    }
}
