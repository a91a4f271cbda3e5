//! Which traffic: what was asked for, as addresses and ports.

use std::net::IpAddr;

use clap::Args as ClapArgs;
use proxy_agent::local::api::{Port, Service};

use super::super::Args;
use super::super::ends::Named;
use super::super::resolve::Known;
use super::super::watches::Which;
use crate::error::CliError;

/// Filters of `--watch`. Of addresses, pods and Services one has to fit, and of ports one.
#[derive(Debug, ClapArgs)]
pub(in crate::trace) struct Filter {
    /// Packets of this address.
    #[arg(long, value_name = "ADDRESS", requires = "watch")]
    pub(in crate::trace) address: Vec<IpAddr>,
    /// Packets of this port.
    #[arg(long, value_name = "PORT", requires = "watch")]
    pub(in crate::trace) port: Vec<u16>,
    /// Packets of this pod.
    #[arg(long, value_name = "[NAMESPACE/]POD", requires = "watch")]
    pub(in crate::trace) pod: Vec<String>,
    /// Packets of this Service: at its addresses, and at its endpoints by their ports.
    #[arg(long, value_name = "NAME[.NAMESPACE]", requires = "watch")]
    pub(in crate::trace) service: Vec<String>,
    /// Only what is dropped or refused.
    #[arg(long, requires = "watch")]
    pub(in crate::trace) drops: bool,
    /// Ends after so many seconds.
    #[arg(long, value_name = "SECONDS", requires = "watch")]
    pub(in crate::trace) seconds: Option<u64>,
}

/// The question to the agents.
pub(super) async fn which(args: &Args, known: &Known<'_>) -> Result<Which, CliError> {
    let filter = &args.filter;
    let mut which = Which {
        addresses: filter.address.clone(),
        ports: filter.port.clone(),
        protocol: args.protocol.map(super::super::path::Protocol::name),
        follow: true,
        drops: filter.drops,
    };
    for name in &filter.pod {
        which.addresses.extend(known.pod(name)?.addresses());
    }
    // An end of a path is meant as a filter, too.
    for typed in args.from.iter().chain(&args.to) {
        match Named::parse(typed)? {
            Named::Address(address, port) => {
                which.addresses.push(address);
                which.ports.extend(port);
            }
            Named::Pod(name, port) => {
                which.addresses.extend(known.pod(&name)?.addresses());
                which.ports.extend(port);
            }
            Named::Service(namespace, name, _) => {
                let namespace = namespace.unwrap_or_else(|| args.namespace.clone());
                add(&mut which, &known.named(&namespace, &name).await?);
            }
            _ => {
                let text = format!("--watch takes pods, Services and addresses, and not {typed}");
                return Err(CliError::NotFound(text));
            }
        }
    }
    for typed in &filter.service {
        let (name, namespace) = typed.split_once('.').unwrap_or((typed, &args.namespace));
        add(&mut which, &known.named(namespace, name).await?);
    }
    which.ports.sort_unstable();
    which.ports.dedup();
    which.addresses.sort_unstable();
    which.addresses.dedup();
    Ok(which)
}

/// Where a Service's traffic shows itself.
fn add(which: &mut Which, service: &Service) {
    for Port {
        frontends,
        endpoints,
        ..
    } in &service.ports
    {
        for front in frontends {
            which.addresses.push(front.address);
            which.ports.push(front.port);
        }
        for endpoint in endpoints {
            which.addresses.push(endpoint.at.ip());
            which.ports.push(endpoint.at.port());
        }
    }
}
