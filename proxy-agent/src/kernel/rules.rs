//! Reads and changes our routing rules.

use std::collections::BTreeSet;

use futures::TryStreamExt as _;
use ipnet::IpNet;
use proxy_abi::ownership::{ROUTE_PROTOCOL, TUNNEL_RULE_PRIORITY, TUNNEL_TABLE};
use rtnetlink::IpVersion;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::routes::{Netlink, NetlinkError};

impl Netlink {
    /// The CIDRs whose packets are looked up in our table first.
    ///
    /// # Errors
    /// [`NetlinkError`].
    pub async fn rules(&self) -> Result<BTreeSet<IpNet>, NetlinkError> {
        let failed = |source| NetlinkError::new("list routing rules", source);
        let mut rules = BTreeSet::new();
        for family in [IpVersion::V4, IpVersion::V6] {
            let mut stream = self.handle().rule().get(family).execute();
            while let Some(message) = stream.try_next().await.map_err(failed)? {
                rules.extend(ours(&message));
            }
        }
        Ok(rules)
    }

    pub(super) async fn add_rule(&self, cidr: IpNet) -> Result<(), rtnetlink::Error> {
        let mut request = self.handle().rule().add();
        *request.message_mut() = message(cidr);
        request.execute().await
    }

    pub(super) async fn delete_rule(&self, cidr: IpNet) -> Result<(), rtnetlink::Error> {
        self.handle().rule().del(message(cidr)).execute().await
    }
}

/// The CIDR of a rule of ours.
fn ours(message: &RuleMessage) -> Option<IpNet> {
    let has = |wanted: &RuleAttribute| message.attributes.contains(wanted);
    let marked = has(&RuleAttribute::Protocol(RouteProtocol::from(
        ROUTE_PROTOCOL,
    ))) && has(&RuleAttribute::Priority(TUNNEL_RULE_PRIORITY))
        && message.header.table == TUNNEL_TABLE;
    let source = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RuleAttribute::Source(address) => Some(*address),
            _ => None,
        });
    let cidr = IpNet::new(source?, message.header.src_len).ok();
    cidr.filter(|_| marked)
}

fn message(cidr: IpNet) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = match cidr {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    };
    message.header.src_len = cidr.prefix_len();
    message.header.table = TUNNEL_TABLE;
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Source(cidr.addr()),
        RuleAttribute::Priority(TUNNEL_RULE_PRIORITY),
        RuleAttribute::Protocol(RouteProtocol::from(ROUTE_PROTOCOL)),
    ];
    message
}
