//! Reads interfaces and routes, and writes our routes, through rtnetlink: the agent's only
//! netlink socket.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt as _;
use ipnet::IpNet;
use proxy_abi::ownership::{ROUTE_PROTOCOL, TUNNEL_TABLE};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::tunnels::index;
use crate::plan::interfaces::{Interfaces, is_tunnel};
use crate::plan::routes::{Destination, Operation, Routes, Table, Via};

/// The kernel's main routing table (RT_TABLE_MAIN).
const MAIN_TABLE: u32 = 254;

/// A netlink request failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {source}")]
pub struct NetlinkError {
    doing: String,
    source: rtnetlink::Error,
}

impl NetlinkError {
    pub(super) fn new(doing: impl Into<String>, source: rtnetlink::Error) -> Self {
        Self {
            doing: doing.into(),
            source,
        }
    }
}

/// The agent's netlink connection, in the node's network namespace.
#[derive(Clone)]
pub struct Netlink(Handle);

impl Netlink {
    /// Opens the connection; a task of the current runtime drives it.
    ///
    /// # Errors
    /// The socket's.
    pub fn open() -> std::io::Result<Self> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        Ok(Self(handle))
    }

    /// A handle of the connection.
    pub(super) fn handle(&self) -> Handle {
        self.0.clone()
    }

    /// Our routes through gateways, and the interfaces that default routes lead to, by index.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn routes(
        &self,
        interfaces: &Interfaces,
    ) -> Result<(Routes, BTreeSet<u32>), NetlinkError> {
        let failed = |source| NetlinkError::new("list routes", source);
        let (mut routes, mut defaults) = (Routes::new(), BTreeSet::new());
        for request in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            let mut stream = self.0.route().get(request).execute();
            while let Some(message) = stream.try_next().await.map_err(failed)? {
                routes.extend(ours(&message, interfaces));
                defaults.extend(default(&message));
            }
        }
        Ok((routes, defaults))
    }

    /// Carries out one operation.
    ///
    /// # Errors
    /// [`NetlinkError`], naming the operation.
    pub async fn apply(&self, operation: &Operation) -> Result<(), NetlinkError> {
        let failed = |source| NetlinkError::new(operation.to_string(), source);
        self.try_apply(operation).await.map_err(failed)
    }

    async fn try_apply(&self, operation: &Operation) -> Result<(), rtnetlink::Error> {
        let route = self.0.route();
        match operation {
            // Without "replace" the kernel refuses a route to the same CIDR that is not ours.
            Operation::Add(to, via) => route.add(message(to, via)?).execute().await,
            Operation::Replace(to, via) => route.add(message(to, via)?).replace().execute().await,
            Operation::Delete(to, via) => match message(to, via) {
                Ok(message) => route.del(message).execute().await,
                // Its interface is gone, and it with it.
                Err(_) => Ok(()),
            },
            Operation::AddRule(cidr) => self.add_rule(*cidr).await,
            Operation::DeleteRule(cidr) => self.delete_rule(*cidr).await,
        }
    }
}

/// The route, if it is one of ours through a gateway.
fn ours(message: &RouteMessage, interfaces: &Interfaces) -> Option<(Destination, Via)> {
    if message.header.protocol != RouteProtocol::from(ROUTE_PROTOCOL) {
        return None;
    }
    let (mut destination, mut gateway, mut ifindex, mut source) = (None, None, None, None);
    let mut table = u32::from(message.header.table);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Table(id) => table = *id,
            _ => {}
        }
    }
    let table = match table {
        MAIN_TABLE => Table::Main,
        id if id == u32::from(TUNNEL_TABLE) => Table::Tunnel,
        _ => return None,
    };
    let cidr = IpNet::new(destination?, message.header.destination_prefix_length).ok()?;
    let mut all = interfaces.values();
    let interface = all.find(|one| Some(one.ifindex) == ifindex)?;
    let via = Via {
        gateway: gateway?,
        interface: interface.name.clone(),
        source,
    };
    Some((Destination { table, cidr }, via))
}

/// The interface that a default route leads to, if this is one.
fn default(message: &RouteMessage) -> Option<u32> {
    let plain = message.header.kind == RouteType::Unicast
        && message.header.destination_prefix_length == 0
        && u32::from(message.header.table) == MAIN_TABLE;
    if !plain {
        return None;
    }
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        })
}

pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn message(to: &Destination, via: &Via) -> Result<RouteMessage, rtnetlink::Error> {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = match to.cidr {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    header.destination_prefix_length = to.cidr.prefix_len();
    header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
    header.scope = RouteScope::Universe;
    header.kind = RouteType::Unicast;
    header.table = match to.table {
        Table::Main => MAIN_TABLE as u8,
        Table::Tunnel => TUNNEL_TABLE,
    };
    // The next hop on a tunnel has no route of its own. (Of an IPv6 one nobody asks that: it is
    // of the link.)
    if is_tunnel(&via.interface) && via.gateway.is_ipv4() {
        header.flags = RouteFlags::Onlink;
    }
    message.attributes = vec![
        RouteAttribute::Destination(to.cidr.addr().into()),
        RouteAttribute::Gateway(via.gateway.into()),
        RouteAttribute::Oif(index(&via.interface)?),
    ];
    let source = via
        .source
        .map(|source| RouteAttribute::PrefSource(source.into()));
    message.attributes.extend(source);
    Ok(message)
}
