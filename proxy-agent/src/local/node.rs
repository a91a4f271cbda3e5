//! What decides where a packet goes on this node, beside Services: addresses, interfaces, pods
//! and routes.

use std::net::IpAddr;

use cluster_model::ClusterIndex;
use ipnet::IpNet;
use proxy_abi::Inside;
use proxy_abi::ownership::ROUTE_PROTOCOL;

use super::api::{HostPort, Interface, Node, Peer, Pod, Route};
use super::kernel::LookError;
use crate::kernel::pins::Pins;
use crate::kernel::route_of::{Found, Question};
use crate::kernel::routes::Netlink;
use crate::kernel::{node_maps, pods};
use crate::plan::interfaces::{Interface as Held, Interfaces};
use crate::plan::node_maps::NodeMaps;

/// Everything that `/v1/node` tells.
///
/// # Errors
/// [`LookError`].
pub async fn node(
    name: &str,
    peers: Vec<Peer>,
    pins: &Pins,
    netlink: &Netlink,
) -> Result<Node, LookError> {
    let held = netlink.interfaces().await?;
    let maps = node_maps::Open::new(pins)?.observe()?;
    let name_of = |index: u32| {
        let one = held.values().find(|one| one.ifindex == index);
        one.map(|one| one.name.clone()).unwrap_or_default()
    };
    let packets = pods::packet_pods(pins)?;
    let pod = |(address, pod): (IpAddr, proxy_abi::Pod)| Pod {
        address,
        interface: name_of(pod.ifindex),
        shaped: pod.is_shaped(),
        packets: packets.contains(&pod.ifindex),
    };
    let host_port = |(key, port): (proxy_abi::FrontendKey, proxy_abi::HostPort)| HostPort {
        address: key.address.into(),
        port: key.port.number(),
        protocol: key.protocol,
        to: (
            IpAddr::from(port.endpoint.address),
            port.endpoint.port.number(),
        )
            .into(),
    };
    Ok(Node {
        name: name.to_owned(),
        addresses: maps.addresses.keys().map(|ip| IpAddr::from(*ip)).collect(),
        pods: pods::pods(pins)?.into_iter().map(pod).collect(),
        host_ports: pods::host_ports(pins)?.into_iter().map(host_port).collect(),
        inside: prefixes(&maps, Inside::CLUSTER),
        service_cidrs: prefixes(&maps, Inside::SERVICES),
        socket_path: maps.this.socket_path(),
        interfaces: interfaces(&held, &maps),
        peers,
    })
}

/// Every node of the cluster, as the index has it.
#[must_use]
pub fn peers(index: &ClusterIndex) -> Vec<Peer> {
    let peer = |node: &cluster_model::Node| Peer {
        name: node.name.to_string(),
        addresses: node.addresses.to_vec(),
        pod_cidrs: node.pod_cidrs.to_vec(),
    };
    index.nodes().map(peer).collect()
}

fn interfaces(held: &Interfaces, maps: &NodeMaps) -> Vec<Interface> {
    let interface = |one: &Held| {
        let uplink = maps.uplinks.get(&one.ifindex);
        let masquerade = uplink.into_iter().flat_map(|uplink| [uplink.v4, uplink.v6]);
        let used = |ip: &proxy_abi::Ip| *ip != proxy_abi::Ip::default();
        let kind = match (one.is_pods(), one.is_tunnel(), uplink) {
            (true, _, _) => "pod",
            (_, true, _) => "tunnel",
            (_, _, Some(_)) => "uplink",
            _ => "other",
        };
        Interface {
            index: one.ifindex,
            name: one.name.clone(),
            kind: kind.to_owned(),
            mtu: one.mtu,
            up: one.up,
            addresses: one.addresses.clone(),
            masquerade: masquerade.filter(used).map(IpAddr::from).collect(),
        }
    };
    held.values().map(interface).collect()
}

/// The prefixes that are this to the cluster.
fn prefixes(maps: &NodeMaps, what: Inside) -> Vec<IpNet> {
    let these = maps.inside.iter().filter(|(_, whose)| **whose == what);
    these.filter_map(|(key, _)| cidr(key)).collect()
}

/// A key of the map `inside` as people write it.
fn cidr(cidr: &proxy_abi::Cidr) -> Option<IpNet> {
    let address = IpAddr::from(cidr.address);
    let bits = match address {
        IpAddr::V4(_) => cidr.bits.checked_sub(96)?,
        IpAddr::V6(_) => cidr.bits,
    };
    IpNet::new(address, u8::try_from(bits).ok()?).ok()
}

/// The way of a packet to `to`, from `from`, that arrives at an interface or is the node's own.
///
/// # Errors
/// [`LookError`].
pub async fn route(
    to: IpAddr,
    from: Option<IpAddr>,
    arrives: Option<&str>,
    netlink: &Netlink,
) -> Result<Route, LookError> {
    let held = netlink.interfaces().await?;
    let index = |name: &str| held.get(name).map(|one| one.ifindex);
    let question = Question {
        to,
        from,
        arrives: arrives.and_then(index),
    };
    let found = netlink.route_of(question).await?;
    Ok(told(found, &held, command(to, from, arrives)))
}

fn told(found: Found, held: &Interfaces, command: String) -> Route {
    let leaves = found.leaves.and_then(|index| {
        let one = held.values().find(|one| one.ifindex == index)?;
        Some(one.name.clone())
    });
    Route {
        prefix: found
            .prefix
            .and_then(|(address, bits)| IpNet::new(address, bits).ok()),
        leaves,
        gateway: found.gateway,
        source: found.source,
        table: found.table,
        protocol: found.protocol,
        writer: writer(&found).to_owned(),
        kind: found.kind,
        command,
    }
}

fn command(to: IpAddr, from: Option<IpAddr>, arrives: Option<&str>) -> String {
    let mut command = format!("ip route get fibmatch {to}");
    if let Some(from) = from {
        command += &format!(" from {from}");
    }
    if let Some(arrives) = arrives {
        command += &format!(" iif {arrives}");
    }
    command
}

/// Who wrote an entry (linux/rtnetlink.h, iproute2's rt_protos). Of ours those with a gateway are
/// the agent's.
const fn writer(found: &Found) -> &'static str {
    match found.protocol {
        ROUTE_PROTOCOL if found.gateway.is_some() => "flatnet's agent",
        ROUTE_PROTOCOL => "flatnet's CNI plugin",
        0 => "nobody",
        1 => "an ICMP redirect",
        2 => "the kernel",
        3 => "the node's boot (ip route)",
        4 => "an administrator",
        9 => "router advertisements",
        16 => "DHCP",
        _ => "a routing daemon",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_written_in_its_own_family() {
        let key = |bits, address: &str| proxy_abi::Cidr {
            bits,
            address: proxy_abi::Ip::from(address.parse::<IpAddr>().expect("an address")),
        };
        let text = |key| cidr(&key).map(|net| net.to_string());
        assert_eq!(
            text(key(120, "10.244.1.0")).as_deref(),
            Some("10.244.1.0/24")
        );
        assert_eq!(text(key(64, "fd00:1::")).as_deref(), Some("fd00:1::/64"));
        assert_eq!(text(key(64, "10.0.0.0")), None);
    }

    #[test]
    fn a_route_is_told_with_its_writer_and_the_command_that_shows_it() {
        let ours = Found {
            kind: "unicast".to_owned(),
            prefix: Some(([10, 244, 2, 0].into(), 24)),
            leaves: Some(3),
            gateway: Some([172, 30, 0, 12].into()),
            protocol: ROUTE_PROTOCOL,
            ..Found::default()
        };
        let eth0 = Held {
            ifindex: 3,
            name: "eth0".to_owned(),
            ..Held::default()
        };
        let held = Interfaces::from([(eth0.name.clone(), eth0)]);
        let to = [10, 244, 2, 9].into();
        let asked = command(to, Some([10, 244, 1, 3].into()), Some("fn1"));
        let route = told(ours, &held, asked);
        assert_eq!(route.leaves.as_deref(), Some("eth0"));
        assert_eq!(route.writer, "flatnet's agent");
        let command = "ip route get fibmatch 10.244.2.9 from 10.244.1.3 iif fn1";
        assert_eq!(route.command, command);
    }
}
