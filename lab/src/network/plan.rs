//! The addresses of everything in a cluster of the lab (pure).
//!
//! An IPv6 address carries the same digits as the IPv4 address of the same thing, so that one is
//! known from the other: 172.30.0.11 and fd00:172:30::11, pods 10.244.1.0/24 and
//! fd00:10:244:1::/64.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::{Families, Network, Subnets};

/// Node addresses are 172.30.x.<this + n>; the outside client at .200 bounds the number.
const NODE_OFFSET: u8 = 10;
/// The most nodes a lab can have.
pub(crate) const MOST_NODES: u8 = 100;
/// The number of the outside client on its subnet.
const CLIENT_HOST: u8 = 200;
/// The number of the router on every subnet.
const ROUTER_HOST: u8 = 1;
/// The subnet of the outside client, and of all where it is shared.
const FIRST_SUBNET: u8 = 0;
/// Where only some share a link, the nodes up to this number do, in this subnet.
const LINKED: u8 = 2;
const LINKED_SUBNET: u8 = 1;
/// The numbers of the API server's Service and of the cluster DNS among the cluster IPs.
const API_SERVICE: u8 = 1;
const DNS_SERVICE: u8 = 10;

/// One address on the fabric, and the router there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seat {
    /// The address with the subnet's prefix.
    pub(crate) address: IpNet,
    pub(crate) router: IpNet,
}

impl Network {
    /// Where node `number` sits on the fabric, in each family.
    pub(crate) fn node_seats(&self, number: u8) -> Vec<Seat> {
        let subnet = match self.subnets {
            Subnets::Shared => FIRST_SUBNET,
            Subnets::Mixed if number <= LINKED => LINKED_SUBNET,
            Subnets::Separate | Subnets::Mixed => number,
        };
        self.seats(subnet, NODE_OFFSET + number)
    }

    /// The routers of the subnet that several members share a link in; none if there is no such.
    pub(crate) fn shared_routers(&self) -> Vec<IpNet> {
        let seats = match self.subnets {
            Subnets::Shared => self.seats(FIRST_SUBNET, ROUTER_HOST),
            Subnets::Mixed => self.seats(LINKED_SUBNET, ROUTER_HOST),
            Subnets::Separate => vec![],
        };
        seats.iter().map(|seat| seat.router).collect()
    }

    /// Where the outside client sits.
    pub(crate) fn client_seats(&self) -> Vec<Seat> {
        self.seats(FIRST_SUBNET, CLIENT_HOST)
    }

    fn seats(&self, subnet: u8, host: u8) -> Vec<Seat> {
        let seat = |on: fn(u8, u8) -> IpNet| Seat {
            address: on(subnet, host),
            router: on(subnet, ROUTER_HOST),
        };
        self.families.each(seat(on_fabric_v4), seat(on_fabric_v6))
    }
}

impl Families {
    /// The pods of node `number`.
    pub(crate) fn pod_cidrs(self, number: u8) -> Vec<IpNet> {
        let v4 = Ipv4Net::new_assert(Ipv4Addr::new(10, 244, number, 0), 24);
        let groups = [0xfd00, 0x10, 0x244, digits(number), 0, 0, 0, 0];
        let v6 = Ipv6Net::new_assert(groups.into(), 64);
        self.each(v4.into(), v6.into())
    }

    /// Where cluster IPs come from.
    pub(crate) fn service_ranges(self) -> Vec<IpNet> {
        let v4 = Ipv4Net::new_assert(service_v4(0), 16);
        let v6 = Ipv6Net::new_assert(service_v6(0), 112);
        self.each(v4.into(), v6.into())
    }

    /// The cluster IPs of kube-dns; pods ask the first.
    pub(crate) fn dns_addresses(self) -> Vec<IpAddr> {
        self.each(
            service_v4(DNS_SERVICE).into(),
            service_v6(DNS_SERVICE).into(),
        )
    }

    /// The cluster IP of the API server's Service.
    pub(crate) fn api_address(self) -> IpAddr {
        self.first(
            service_v4(API_SERVICE).into(),
            service_v6(API_SERVICE).into(),
        )
    }
}

fn on_fabric_v4(subnet: u8, host: u8) -> IpNet {
    Ipv4Net::new_assert(Ipv4Addr::new(172, 30, subnet, host), 24).into()
}

fn on_fabric_v6(subnet: u8, host: u8) -> IpNet {
    let (subnet, host) = (digits(subnet), digits(host));
    let address = Ipv6Addr::new(0xfd00, 0x172, 0x30, subnet, 0, 0, 0, host);
    Ipv6Net::new_assert(address, 64).into()
}

fn service_v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 96, 0, number)
}

/// Cluster IPs are chosen by counting, in both families, so these are numbers and not digits.
fn service_v6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, number.into())
}

/// The number that is written in hexadecimal as `number` is in decimal.
fn digits(number: u8) -> u16 {
    let number = u16::from(number);
    (number / 100) << 8 | (number / 10 % 10) << 4 | (number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(things: Vec<impl ToString>) -> String {
        let words: Vec<_> = things.iter().map(ToString::to_string).collect();
        words.join(" ")
    }

    #[test]
    fn everything_has_an_address_in_each_family() {
        let rows = [
            (
                Families::Ipv4,
                "172.30.0.22/24",
                "10.244.12.0/24",
                "10.96.0.0/16",
                "10.96.0.10",
            ),
            (
                Families::Ipv6,
                "fd00:172:30::22/64",
                "fd00:10:244:12::/64",
                "fd00:10:96::/112",
                "fd00:10:96::a",
            ),
        ];
        for (families, node, pods, services, dns) in rows {
            let network = Network {
                families,
                ..Network::default()
            };
            let addresses = network.node_seats(12).into_iter().map(|seat| seat.address);
            assert_eq!(text(addresses.collect()), node);
            assert_eq!(text(families.pod_cidrs(12)), pods);
            assert_eq!(text(families.service_ranges()), services);
            assert_eq!(text(families.dns_addresses()), dns);
        }
        let dual = Families::Dual;
        assert_eq!(text(dual.dns_addresses()), "10.96.0.10 fd00:10:96::a");
        assert_eq!(dual.api_address().to_string(), "10.96.0.1");
    }

    #[test]
    fn separate_subnets_share_no_link() {
        let network = Network {
            families: Families::Dual,
            subnets: Subnets::Separate,
            mtu: None,
        };
        let all = [network.node_seats(1), network.node_seats(2)].concat();
        let seats: Vec<_> = all
            .iter()
            .map(|seat| format!("{} via {}", seat.address, seat.router.addr()))
            .collect();
        let expected = [
            "172.30.1.11/24 via 172.30.1.1",
            "fd00:172:30:1::11/64 via fd00:172:30:1::1",
            "172.30.2.12/24 via 172.30.2.1",
            "fd00:172:30:2::12/64 via fd00:172:30:2::1",
        ];
        assert_eq!(seats, expected);
        assert_eq!(
            network.client_seats()[0].address.to_string(),
            "172.30.0.200/24"
        );
    }

    #[test]
    fn mixed_subnets_join_the_first_two() {
        let network = Network {
            families: Families::Ipv4,
            subnets: Subnets::Mixed,
            mtu: None,
        };
        let seat = |number| network.node_seats(number)[0].address.to_string();
        assert_eq!(
            [seat(1), seat(2), seat(3)],
            ["172.30.1.11/24", "172.30.1.12/24", "172.30.3.13/24"]
        );
        assert_eq!(text(network.shared_routers()), "172.30.1.1/24");
    }

    #[test]
    fn the_highest_numbers_are_addresses_of_their_own() {
        let network = Network {
            families: Families::Ipv6,
            ..Network::default()
        };
        let last = network.node_seats(MOST_NODES)[0].address;
        assert_eq!(last.to_string(), "fd00:172:30::110/64");
        assert_eq!(
            network.client_seats()[0].address.to_string(),
            "fd00:172:30::200/64"
        );
    }
}
