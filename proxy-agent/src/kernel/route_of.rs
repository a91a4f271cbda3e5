//! Asks the kernel which route a packet takes (`ip route get ... fibmatch`): the entry of the
//! routing tables that it meets, and who wrote that.

use std::net::IpAddr;

use futures::TryStreamExt as _;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteType,
};

use super::routes::{Netlink, NetlinkError, ip};

/// A packet whose route is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its destination.
    pub to: IpAddr,
    /// Its source, if that is known.
    pub from: Option<IpAddr>,
    /// Index of the interface at which it arrives; none: a process of the node sends it.
    pub arrives: Option<u32>,
}

/// What the routing tables say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What becomes of it: `unicast`, `local`, or why it goes nowhere (`unreachable`, ...).
    pub kind: String,
    /// The destinations that the entry is for: address and prefix length.
    pub prefix: Option<(IpAddr, u8)>,
    /// Index of the interface by which it leaves.
    pub leaves: Option<u32>,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// The source that the node's own packets get.
    pub source: Option<IpAddr>,
    /// Number of the table.
    pub table: u32,
    /// Who wrote it (`rtm_protocol`): 2 is the kernel, 3 `ip route`, ours is
    /// [`proxy_abi::ownership::ROUTE_PROTOCOL`].
    pub protocol: u8,
}

impl Netlink {
    /// The entry that this packet meets.
    ///
    /// # Errors
    /// [`NetlinkError`]; a packet that has no way is none.
    pub async fn route_of(&self, question: Question) -> Result<Found, NetlinkError> {
        let failed =
            |source| NetlinkError::new(format!("ask for the way to {}", question.to), source);
        let mut answers = self.handle().route().get(request(question)).execute();
        match answers.try_next().await {
            Ok(Some(message)) => Ok(found(&message)),
            Ok(None) => Ok(nowhere("unreachable")),
            Err(rtnetlink::Error::NetlinkError(message)) => match -message.raw_code() {
                libc::ENETUNREACH | libc::EHOSTUNREACH => Ok(nowhere("unreachable")),
                libc::EACCES => Ok(nowhere("prohibited")),
                libc::EINVAL | libc::EXDEV => Ok(nowhere("refused")),
                _ => Err(failed(rtnetlink::Error::NetlinkError(message))),
            },
            Err(error) => Err(failed(error)),
        }
    }
}

fn nowhere(kind: &str) -> Found {
    Found {
        kind: kind.to_owned(),
        ..Found::default()
    }
}

fn request(question: Question) -> RouteMessage {
    let Question { to, from, arrives } = question;
    let mut message = RouteMessage::default();
    let bits = if to.is_ipv4() { 32 } else { 128 };
    message.header.address_family = match to {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.destination_prefix_length = bits;
    message.header.flags = RouteFlags::FibMatch;
    message.attributes = vec![RouteAttribute::Destination(to.into())];
    if let Some(from) = from {
        message.header.source_prefix_length = bits;
        message.attributes.push(RouteAttribute::Source(from.into()));
    }
    message.attributes.extend(arrives.map(RouteAttribute::Iif));
    message
}

fn found(message: &RouteMessage) -> Found {
    let mut found = Found {
        kind: kind(message.header.kind).to_owned(),
        table: message.header.table.into(),
        protocol: protocol(message.header.protocol),
        ..Found::default()
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => {
                let bits = message.header.destination_prefix_length;
                found.prefix = ip(address).map(|address| (address, bits));
            }
            RouteAttribute::Gateway(address) => found.gateway = ip(address),
            RouteAttribute::PrefSource(address) => found.source = ip(address),
            RouteAttribute::Oif(index) => found.leaves = Some(*index),
            RouteAttribute::Table(table) => found.table = *table,
            _ => {}
        }
    }
    found
}

fn kind(kind: RouteType) -> &'static str {
    match kind {
        RouteType::Unicast => "unicast",
        RouteType::Local => "local",
        RouteType::Broadcast => "broadcast",
        RouteType::Multicast => "multicast",
        RouteType::BlackHole => "blackhole",
        RouteType::Prohibit => "prohibited",
        _ => "unreachable",
    }
}

fn protocol(protocol: RouteProtocol) -> u8 {
    protocol.into()
}
