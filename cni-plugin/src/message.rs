//! From the plan to netlink: one function a step, each naming what it does.

mod entries;
mod filter;
mod query;

use std::fs::File;
use std::iter;
use std::os::fd::AsRawFd;

use netlink_packet_core::{DefaultNla, Emitable, NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use crate::netlink::Step;
use crate::plan::{End, Plan};
use crate::program::Program;

pub(crate) use filter::is_ours;
pub(crate) use query::{
    find_link, find_route, list_addresses, list_filters, list_links, list_neighbours, list_routes,
};

/// `IFLA_INET_CONF` (linux/if_link.h): IPv4 settings of an interface, nested.
const IFLA_INET_CONF: u16 = 1;
/// `IPV4_DEVCONF_FORWARDING` (linux/ip.h).
const FORWARDING: u16 = 1;
/// `IPV4_DEVCONF_RP_FILTER` (linux/ip.h).
const RP_FILTER: u16 = 8;

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

/// Removes an interface by its number, as its name may be another's meanwhile; the other end of a
/// veth pair goes with it, and so do the routes, neighbours and filters of both.
pub(crate) fn delete_link(name: &str, index: u32) -> Step {
    let mut link = LinkMessage::default();
    link.header.index = index;
    Step {
        doing: format!("delete the interface {name}"),
        flags: 0,
        message: RouteNetlinkMessage::DelLink(link),
    }
}

/// The programs, as filters.
pub(crate) fn attach(end: &End, index: u32, programs: &[Program]) -> Vec<Step> {
    let each = programs.iter();
    let filters = each.map(|it| filter::add_filter(&end.name, index, it.hook(), it.fd()));
    iter::once(filter::add_qdisc(&end.name, index))
        .chain(filters)
        .collect()
}

/// Everything that belongs to one end: settings, addresses, the interface up, neighbours, routes.
/// Settings come while it is down, before the kernel acts on them. Routes come last because the
/// kernel takes none through an interface that is down, and neighbours before them so that the
/// first packet finds its way at once.
pub(crate) fn bring_up(end: &End, index: u32) -> Vec<Step> {
    let addresses = end
        .addresses
        .iter()
        .map(|address| entries::add_address(*address, &end.name, index));
    let neighbours = end
        .neighbours
        .iter()
        .map(|neighbour| entries::add_neighbour(*neighbour, &end.name, index));
    let routes = end
        .routes
        .iter()
        .map(|route| entries::add_route(*route, &end.name, index));
    set_up(end, index)
        .into_iter()
        .chain(addresses)
        .chain([turn_on(&end.name, index)])
        .chain(neighbours)
        .chain(routes)
        .collect()
}

/// What the interface is like while it lives. The IPv4 settings are those below
/// `/proc/sys/net/ipv4/conf`; told this way they need no file opened and no writable `/proc/sys`.
fn set_up(end: &End, index: u32) -> Option<Step> {
    let mut families = Vec::new();
    if end.forwards {
        let nested = setting(FORWARDING, 1).chain(setting(RP_FILTER, 0));
        let settings = DefaultNla::new(IFLA_INET_CONF | NLA_F_NESTED, nested.collect());
        families.push(AfSpecUnspec::Inet(vec![AfSpecInet::Other(settings)]));
    }
    if end.no_link_local {
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        families.push(AfSpecUnspec::Inet6(vec![mode]));
    }
    let mut link = LinkMessage::default();
    link.header.index = index;
    if !families.is_empty() {
        link.attributes.push(LinkAttribute::AfSpecUnspec(families));
    }
    let alias = end.alias.clone().map(LinkAttribute::IfAlias);
    link.attributes.extend(alias);
    (!link.attributes.is_empty()).then(|| Step {
        doing: format!("set {} up for its traffic", end.name),
        flags: 0,
        message: RouteNetlinkMessage::SetLink(link),
    })
}

fn setting(number: u16, value: u32) -> impl Iterator<Item = u8> {
    let attribute = DefaultNla::new(number, value.to_ne_bytes().to_vec());
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes.into_iter()
}

fn turn_on(name: &str, index: u32) -> Step {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    Step {
        doing: format!("turn {name} on"),
        flags: 0,
        message: RouteNetlinkMessage::SetLink(link),
    }
}

#[cfg(test)]
mod tests;
