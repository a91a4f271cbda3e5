//! Reads interfaces and routes, and writes our routes, through rtnetlink: the agent's only
//! netlink socket.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt as _;
use ipnet::IpNet;
use proxy_abi::ownership::ROUTE_PROTOCOL;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::plan::routes::{Operation, Routes, Via};

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
    pub async fn routes(&self) -> Result<(Routes, BTreeSet<u32>), NetlinkError> {
        let failed = |source| NetlinkError {
            doing: "list routes".into(),
            source,
        };
        let (mut routes, mut defaults) = (Routes::new(), BTreeSet::new());
        for request in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            let mut stream = self.0.route().get(request).execute();
            while let Some(message) = stream.try_next().await.map_err(failed)? {
                routes.extend(ours(&message));
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
        let done = match *operation {
            // Without "replace" the kernel refuses a route to the same CIDR that is not ours.
            Operation::Add(cidr, via) => self.0.route().add(message(cidr, via)).execute().await,
            Operation::Replace(cidr, via) => {
                self.0
                    .route()
                    .add(message(cidr, via))
                    .replace()
                    .execute()
                    .await
            }
            Operation::Delete(cidr, via) => self.0.route().del(message(cidr, via)).execute().await,
        };
        done.map_err(|source| NetlinkError {
            doing: operation.to_string(),
            source,
        })
    }
}

/// The route, if it is one of ours through a gateway.
fn ours(message: &RouteMessage) -> Option<(IpNet, Via)> {
    if message.header.protocol != RouteProtocol::from(ROUTE_PROTOCOL) {
        return None;
    }
    let (mut destination, mut gateway, mut ifindex, mut table) = (None, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => destination = ip(address),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Table(id) => table = Some(*id),
            _ => {}
        }
    }
    let table = table.unwrap_or_else(|| u32::from(message.header.table));
    if table != MAIN_TABLE {
        return None;
    }
    let cidr = IpNet::new(destination?, message.header.destination_prefix_length).ok()?;
    Some((
        cidr,
        Via {
            gateway: gateway?,
            ifindex: ifindex?,
        },
    ))
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

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn message(cidr: IpNet, via: Via) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = match cidr {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.header.destination_prefix_length = cidr.prefix_len();
    message.header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.header.table = MAIN_TABLE as u8;
    message.attributes = vec![
        RouteAttribute::Destination(cidr.addr().into()),
        RouteAttribute::Gateway(via.gateway.into()),
        RouteAttribute::Oif(via.ifindex),
    ];
    message
}
