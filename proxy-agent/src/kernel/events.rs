//! Says when interfaces or addresses of the node change.

use std::io;

use futures::StreamExt as _;
use futures::channel::mpsc::UnboundedReceiver;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{MulticastGroup, new_multicast_connection};

use crate::plan::interfaces::{is_link_local, is_pods};

type Message = NetlinkMessage<RouteNetlinkMessage>;

/// What the kernel tells of this network namespace.
pub struct Events(UnboundedReceiver<(Message, SocketAddr)>);

impl Events {
    /// Listens; a task of the current runtime reads the socket.
    ///
    /// # Errors
    /// The socket's.
    pub fn open() -> io::Result<Self> {
        let (connection, _, messages) = new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ])?;
        tokio::spawn(connection);
        Ok(Self(messages))
    }

    /// Waits for a change of the node's own interfaces. (Pods come and go without the agent.)
    /// If the socket breaks it waits for ever; audits see every change anyhow.
    pub async fn changed(&mut self) {
        loop {
            match self.0.next().await {
                Some((message, _)) if matters(&message) => return,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Forgets what was told until now.
    pub fn forget(&mut self) {
        while self.0.try_recv().is_ok() {}
    }
}

fn matters(message: &Message) -> bool {
    use RouteNetlinkMessage as Kind;
    let NetlinkPayload::InnerMessage(message) = &message.payload else {
        return false;
    };
    match message {
        Kind::NewLink(link) | Kind::DelLink(link) => {
            let mut attributes = link.attributes.iter();
            !attributes.any(|one| matches!(one, LinkAttribute::IfName(name) if is_pods(name)))
        }
        Kind::NewAddress(address) | Kind::DelAddress(address) => {
            let mut attributes = address.attributes.iter();
            !attributes
                .any(|one| matches!(one, AddressAttribute::Address(ip) if is_link_local(*ip)))
        }
        _ => false,
    }
}
