//! What network a lab stands on: families, subnets, MTU, and the address of everything (pure).

mod plan;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

pub(crate) use plan::{MOST_NODES, Seat};

/// The address families of a cluster. The first of a dual-stack cluster is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Families {
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Both, IPv4 first.
    #[default]
    Dual,
}

impl Families {
    /// What there is of a thing that each family has one of, the first family's first; never
    /// empty.
    pub(crate) fn each<T>(self, v4: T, v6: T) -> Vec<T> {
        match self {
            Self::Ipv4 => vec![v4],
            Self::Ipv6 => vec![v6],
            Self::Dual => vec![v4, v6],
        }
    }

    /// What the first family has of it.
    pub(crate) fn first<T>(self, v4: T, v6: T) -> T {
        match self {
            Self::Ipv4 | Self::Dual => v4,
            Self::Ipv6 => v6,
        }
    }

    /// Whether there is IPv4.
    pub(crate) fn has_v4(self) -> bool {
        self != Self::Ipv6
    }

    /// Whether there is IPv6.
    pub(crate) fn has_v6(self) -> bool {
        self != Self::Ipv4
    }
}

/// How the nodes are wired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subnets {
    /// All on one link.
    #[default]
    Shared,
    /// Each on a subnet of its own behind a router that knows nothing of pods.
    Separate,
    /// The first two on one link, each other on a subnet of its own behind the router.
    Mixed,
}

/// The network of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Args, Serialize, Deserialize)]
pub struct Network {
    /// Address families of the cluster
    #[arg(long, value_enum, default_value_t = Families::default())]
    pub families: Families,
    /// Whether the nodes are on one link, or each behind a router
    #[arg(long, value_enum, default_value_t = Subnets::default())]
    pub subnets: Subnets,
    /// Bytes of the largest packet on the fabric and the nodes' uplinks; without it, 1500
    // 1280 is the least that IPv6 stands on (RFC 8200, section 5).
    #[arg(long, value_parser = clap::value_parser!(u16).range(1280..=9000))]
    pub mtu: Option<u16>,
}

impl Network {
    /// The same on a command line, as flags and values.
    pub(crate) fn arguments(&self) -> Vec<(&'static str, String)> {
        let mut arguments = vec![
            ("--families", word(&self.families)),
            ("--subnets", word(&self.subnets)),
        ];
        arguments.extend(self.mtu.map(|mtu| ("--mtu", mtu.to_string())));
        arguments
    }
}

fn word(value: &impl ValueEnum) -> String {
    let named = value.to_possible_value();
    named.map_or_else(String::new, |value| value.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        network: Network,
    }

    #[test]
    fn a_network_is_typed_as_it_is_told() {
        for network in [
            Network::default(),
            Network {
                families: Families::Ipv6,
                subnets: Subnets::Separate,
                mtu: Some(9000),
            },
        ] {
            let words = network.arguments().into_iter();
            let words = words.flat_map(|(flag, value)| [flag.to_owned(), value]);
            let typed = Typed::try_parse_from(["lab".to_owned()].into_iter().chain(words));
            assert_eq!(typed.expect("it parses").network, network);
        }
    }

    #[test]
    fn impossible_networks_are_refused() {
        for typed in [
            ["--mtu", "1279"],
            ["--mtu", "9001"],
            ["--families", "ipx"],
            ["--subnets", "none"],
        ] {
            let parsed = Typed::try_parse_from(["lab"].iter().chain(&typed));
            assert!(parsed.is_err(), "{typed:?}");
        }
    }
}
