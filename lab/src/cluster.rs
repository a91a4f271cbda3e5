//! The addresses and names every cluster of the lab has.

use std::net::Ipv4Addr;

/// The DNS zone.
pub(crate) const ZONE: &str = "cluster.local";
/// The cluster IP of kube-dns.
pub(crate) const DNS_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The cluster IP of the API server's Service.
pub(crate) const API_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The port of the API server's Service.
pub(crate) const API_SERVICE_PORT: u16 = 443;
