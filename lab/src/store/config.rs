//! What can be chosen about a store when it is made.

use ipnet::IpNet;
use std::ops::RangeInclusive;

/// Ranges and limits of a cluster.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where cluster IPs come from: one range, or one of each family (the first is primary).
    pub service_ranges: Vec<IpNet>,
    /// Where node ports come from.
    pub node_ports: RangeInclusive<u16>,
    /// How many changes of each kind a watch can reach back.
    pub history: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            service_ranges: vec![IpNet::V4(ipnet::Ipv4Net::new_assert(
                [10, 96, 0, 0].into(),
                16,
            ))],
            node_ports: 30000..=32767,
            history: 4096,
        }
    }
}
