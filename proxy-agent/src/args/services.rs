//! Options about Services, named as kube-proxy's where it has the same.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;

use crate::plan::node_ports::{self, NodePortRule};

/// Where Services answer, and where the agent does.
#[derive(Clone, Debug, Args)]
pub struct ServiceOptions {
    /// The node's addresses at which NodePorts answer: `primary` (the Node object's first address
    /// of each family), or those within CIDRs.
    #[arg(
        long,
        env = "FLATNET_NODEPORT_ADDRESSES",
        value_name = "primary|CIDR,...",
        default_value = "primary",
        value_parser = node_ports::parse
    )]
    pub nodeport_addresses: NodePortRule,
    /// Whether `externalIPs` of Services are served.
    #[arg(long, env = "FLATNET_EXTERNAL_IPS", default_value_t = true, action = clap::ArgAction::Set)]
    pub external_ips: bool,
    /// Where /healthz and /livez answer; empty: nowhere.
    #[arg(long, env = "FLATNET_HEALTHZ_BIND_ADDRESS", default_value = "0.0.0.0:10256", value_parser = bind)]
    pub healthz_bind_address: Bind,
    /// Where /metrics and /proxyMode answer; empty: nowhere.
    #[arg(long, env = "FLATNET_METRICS_BIND_ADDRESS", default_value = "127.0.0.1:10249", value_parser = bind)]
    pub metrics_bind_address: Bind,
}

/// An address to listen on, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind(pub Option<SocketAddr>);

fn bind(text: &str) -> Result<Bind, String> {
    match text {
        "" => Ok(Bind(None)),
        _ => text
            .parse()
            .map(|address| Bind(Some(address)))
            .map_err(|_| "expected ADDRESS:PORT, or nothing".into()),
    }
}

impl Default for ServiceOptions {
    /// What the command line has by default.
    fn default() -> Self {
        let at = |address, port| Bind(Some(SocketAddr::new(IpAddr::V4(address), port)));
        Self {
            nodeport_addresses: NodePortRule::Primary,
            external_ips: true,
            healthz_bind_address: at(Ipv4Addr::UNSPECIFIED, 10256),
            metrics_bind_address: at(Ipv4Addr::LOCALHOST, 10249),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        services: ServiceOptions,
    }

    #[test]
    fn the_defaults_are_kube_proxys() {
        let read = Line::parse_from(["x"]).services;
        assert_eq!(
            format!("{read:?}"),
            format!("{:?}", ServiceOptions::default())
        );
    }

    #[test]
    fn an_empty_address_is_none() {
        let line = [
            "x",
            "--healthz-bind-address",
            "",
            "--metrics-bind-address=[::1]:9",
        ];
        let read = Line::parse_from(line).services;
        assert_eq!(read.healthz_bind_address, Bind(None));
        assert_eq!(read.metrics_bind_address, Bind("[::1]:9".parse().ok()));
        assert!(bind("10256").is_err());
    }
}
