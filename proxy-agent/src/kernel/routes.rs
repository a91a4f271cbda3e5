//! Reads interfaces and routes, and writes our routes, through rtnetlink: the agent's only
//! netlink socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt as _;
use ipnet::IpNet;
use proxy_abi::ownership::ROUTE_PROTOCOL;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope,
};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::plan::routes::{Operation, Routes, Uplink, Via};

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

    /// The interface that holds one of the node's addresses; `None` if no interface does.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn uplink(&self, node_addresses: &[IpAddr]) -> Result<Option<Uplink>, NetlinkError> {
        let failed = |source| NetlinkError {
            doing: "list addresses".into(),
            source,
        };
        let mut held = Vec::new();
        let mut stream = self.0.address().get().execute();
        while let Some(message) = stream.try_next().await.map_err(failed)? {
            let prefix = message.header.prefix_len;
            let address = own_address(&message);
            if let Some(net) = address.and_then(|address| IpNet::new(address, prefix).ok()) {
                held.push((message.header.index, net));
            }
        }
        let found = held
            .iter()
            .find(|(_, net)| node_addresses.contains(&net.addr()));
        let Some((ifindex, _)) = found.copied() else {
            return Ok(None);
        };
        let on_it = held.iter().filter(|(index, _)| *index == ifindex);
        let addresses = on_it.map(|(_, net)| *net).collect();
        let (name, mtu) = self.link(ifindex).await?;
        Ok(Some(Uplink {
            name,
            ifindex,
            mtu,
            addresses,
        }))
    }

    /// Name and MTU of an interface.
    async fn link(&self, ifindex: u32) -> Result<(String, u32), NetlinkError> {
        let failed = |source| NetlinkError {
            doing: format!("read interface {ifindex}"),
            source,
        };
        let mut stream = self.0.link().get().match_index(ifindex).execute();
        let (mut name, mut mtu) = (String::new(), 0);
        while let Some(message) = stream.try_next().await.map_err(failed)? {
            for attribute in message.attributes {
                match attribute {
                    LinkAttribute::IfName(text) => name = text,
                    LinkAttribute::Mtu(bytes) => mtu = bytes,
                    _ => {}
                }
            }
        }
        Ok((name, mtu))
    }

    /// Our routes through gateways.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn routes(&self) -> Result<Routes, NetlinkError> {
        let failed = |source| NetlinkError {
            doing: "list routes".into(),
            source,
        };
        let mut routes = Routes::new();
        for request in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            let mut stream = self.0.route().get(request).execute();
            while let Some(message) = stream.try_next().await.map_err(failed)? {
                routes.extend(ours(&message));
            }
        }
        Ok(routes)
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

/// The interface's own address. On a point-to-point link `Address` is the peer's (rtnetlink(7)).
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            AddressAttribute::Local(address) => Some(*address),
            _ => None,
        });
    let any = || {
        message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            })
    };
    local.or_else(any)
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
    message.header.kind = rtnetlink::packet_route::route::RouteType::Unicast;
    message.header.table = MAIN_TABLE as u8;
    message.attributes = vec![
        RouteAttribute::Destination(cidr.addr().into()),
        RouteAttribute::Gateway(via.gateway.into()),
        RouteAttribute::Oif(via.ifindex),
    ];
    message
}
