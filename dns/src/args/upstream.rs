//! The flags about names outside the cluster.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hickory_proto::rr::Name;

use super::{domain, seconds};
use crate::upstream::Limits;
use crate::upstream::follow::Sources;
use crate::upstream::resolv_conf::PORT;

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// Who is asked for other names, and how.
#[derive(Debug, Args)]
pub(crate) struct UpstreamArgs {
    /// Servers that are asked for names outside the cluster, instead of those in the file
    #[arg(
        long,
        env = "FLATNET_DNS_UPSTREAM",
        value_name = "IP[:PORT]",
        value_delimiter = ',',
        value_parser = server
    )]
    pub(crate) upstream: Vec<SocketAddr>,
    /// A domain with servers of its own; may be given several times
    #[arg(
        long,
        env = "FLATNET_DNS_STUB_DOMAIN",
        value_name = "DOMAIN=IP[:PORT][+IP[:PORT]]",
        value_delimiter = ',',
        value_parser = stub
    )]
    pub(crate) stub_domain: Vec<Stub>,
    /// Where servers and search list are read, again when it changes
    #[arg(
        long,
        env = "FLATNET_DNS_RESOLV_CONF",
        value_name = "FILE",
        default_value = "/etc/resolv.conf"
    )]
    pub(crate) resolv_conf: PathBuf,
    /// How long one server may take to answer, in seconds
    #[arg(
        long,
        env = "FLATNET_DNS_UPSTREAM_TIMEOUT",
        value_name = "SECONDS",
        default_value = "1",
        value_parser = seconds
    )]
    pub(crate) upstream_timeout: Duration,
    /// Questions on their way to the servers at once; more are answered SERVFAIL
    #[arg(
        long,
        env = "FLATNET_DNS_MAX_CONCURRENT",
        value_name = "N",
        default_value_t = 1000
    )]
    pub(crate) max_concurrent: u16,
    /// Memory for the servers' answers, in MiB
    #[arg(
        long,
        env = "FLATNET_DNS_CACHE",
        value_name = "MIB",
        default_value_t = 16
    )]
    pub(crate) cache: u16,
    /// How long past its time an answer is served while the servers fail, in seconds
    #[arg(
        long,
        env = "FLATNET_DNS_STALE",
        value_name = "SECONDS",
        default_value = "3600",
        value_parser = seconds
    )]
    pub(crate) stale: Duration,
}

/// A domain and its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stub {
    domain: Name,
    servers: Vec<SocketAddr>,
}

impl UpstreamArgs {
    /// How the servers are asked.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            patience: self.upstream_timeout,
            concurrent: usize::from(self.max_concurrent),
            cache: u64::from(self.cache) * MIB,
            stale: self.stale,
        }
    }

    /// Where the servers come from; `own` are the addresses that we listen at.
    pub(crate) fn sources(&self, own: Vec<SocketAddr>) -> Sources {
        let stubs = self.stub_domain.iter().cloned();
        Sources {
            upstreams: self.upstream.clone(),
            stubs: stubs.map(|stub| (stub.domain, stub.servers)).collect(),
            file: self.resolv_conf.clone(),
            own,
        }
    }
}

fn server(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    address
        .or_else(|_| text.parse())
        .map_err(|_| "expected an IP address, with or without a port".to_owned())
}

fn stub(text: &str) -> Result<Stub, String> {
    let (name, servers) = text
        .split_once('=')
        .ok_or("expected DOMAIN=IP".to_owned())?;
    let servers: Result<_, _> = servers.split('+').map(server).collect();
    Ok(Stub {
        domain: domain(name)?,
        servers: servers?,
    })
}
