//! The command line. Every flag has an environment variable of the same meaning.

mod upstream;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Parser, value_parser};
use cluster_model::ServiceName;
use hickory_proto::rr::Name;

pub(crate) use self::upstream::UpstreamArgs;
use crate::zone::PodNames;

/// Answers the names of Kubernetes Services and endpoints.
#[derive(Debug, Parser)]
#[command(name = "flatnet-dns", version)]
pub struct Args {
    /// URL of the API server, instead of the one in the kubeconfig or the pod's environment
    #[arg(long, env = "FLATNET_API_SERVER", value_name = "URL")]
    pub(crate) api_server: Option<String>,
    /// Kubeconfig file with address and credentials; without it the pod's service account is used
    #[arg(long, env = "FLATNET_KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The cluster's domain
    #[arg(long, env = "FLATNET_DNS_ZONE", default_value = "cluster.local", value_parser = domain)]
    pub(crate) zone: Name,
    /// Addresses to answer on, UDP and TCP each
    #[arg(
        long,
        env = "FLATNET_DNS_LISTEN",
        value_name = "IP:PORT",
        value_delimiter = ',',
        default_values_t = [everywhere(53)]
    )]
    pub(crate) listen: Vec<SocketAddr>,
    /// Address of /health, /ready and /metrics
    #[arg(
        long,
        env = "FLATNET_DNS_HTTP",
        value_name = "IP:PORT",
        default_value_t = everywhere(8181)
    )]
    pub(crate) http: SocketAddr,
    /// Another address of the same, where CoreDNS has its metrics
    #[arg(
        long,
        env = "FLATNET_DNS_METRICS",
        value_name = "IP:PORT",
        default_value_t = everywhere(9153)
    )]
    pub(crate) metrics: SocketAddr,
    /// How long resolvers may keep an answer or a denial, in seconds
    #[arg(
        long,
        env = "FLATNET_DNS_TTL",
        value_name = "SECONDS",
        default_value_t = 5,
        value_parser = value_parser!(u32).range(0..=3600)
    )]
    pub(crate) ttl: u32,
    /// The Service pods reach this server through; its address is that of `ns.dns.<zone>`
    #[arg(
        long,
        env = "FLATNET_DNS_SERVICE",
        value_name = "NAMESPACE/NAME",
        default_value = "kube-system/kube-dns",
        value_parser = service
    )]
    pub(crate) dns_service: ServiceName,
    /// Which names of pods (`a-b-c-d.NAMESPACE.pod.ZONE`) there are
    #[arg(long, env = "FLATNET_DNS_PODS", value_enum, default_value_t)]
    pub(crate) pods: PodNames,
    /// Answer a pod's search list in one round trip. Watches pods
    #[arg(long, env = "FLATNET_DNS_AUTOPATH")]
    pub(crate) autopath: bool,
    #[command(flatten)]
    pub(crate) upstream: UpstreamArgs,
    /// Threads that answer over UDP, for each address [default: one a core]
    #[arg(long, env = "FLATNET_DNS_THREADS", value_name = "N", value_parser = value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// TCP connections of clients at once
    #[arg(
        long,
        env = "FLATNET_DNS_TCP_CONNECTIONS",
        value_name = "N",
        default_value_t = 1024,
        value_parser = value_parser!(u16).range(1..)
    )]
    pub(crate) tcp_connections: u16,
    /// How long to go on answering after SIGTERM, in seconds
    #[arg(
        long,
        env = "FLATNET_DNS_DRAIN",
        value_name = "SECONDS",
        default_value = "2",
        value_parser = seconds
    )]
    pub(crate) drain: Duration,
}

/// `EX_USAGE` of sysexits.h: the command line is wrong.
const EXIT_USAGE: u8 = 64;

impl Args {
    /// The command line, or the exit status after it was complained about or asked for help.
    ///
    /// # Errors
    /// The exit status, where there is nothing to be run.
    pub fn from_command_line() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            // Nothing can be done about a closed standard output.
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(EXIT_USAGE),
            }
        })
    }
}

/// Every address of both families; of IPv4 alone where the kernel has no IPv6.
fn everywhere(port: u16) -> SocketAddr {
    match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
        Err(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
    }
}

fn domain(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text)
        .map_err(|error| error.to_string())?
        .to_lowercase();
    name.set_fqdn(true);
    if name.is_root() {
        return Err("the root is no domain of anybody's".to_owned());
    }
    Ok(name)
}

fn service(text: &str) -> Result<ServiceName, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok(ServiceName::new(namespace, name))
        }
        _ => Err("expected NAMESPACE/NAME".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f32 = text
        .parse()
        .map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f32(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &[&str]) -> Result<Args, String> {
        let line = ["flatnet-dns"].iter().chain(flags);
        Args::try_parse_from(line).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_a_cluster() {
        let args = parsed(&[]).expect("no flag is required");
        assert_eq!(args.zone.to_string(), "cluster.local.");
        let ports = [args.listen[0].port(), args.http.port(), args.metrics.port()];
        assert_eq!((args.listen.len(), ports), (1, [53, 8181, 9153]));
        for address in [args.listen[0], args.http, args.metrics] {
            assert!(address.ip().is_unspecified(), "{address}");
        }
        assert_eq!((args.ttl, args.drain), (5, Duration::from_secs(2)));
        assert_eq!(args.dns_service.to_string(), "kube-system/kube-dns");
    }

    #[test]
    fn zones_are_taken_with_and_without_dot_in_any_case() {
        for text in ["Corp.Example", "corp.example."] {
            assert_eq!(
                parsed(&["--zone", text]).expect(text).zone.to_string(),
                "corp.example."
            );
        }
    }

    #[test]
    fn several_listeners() {
        let args = parsed(&["--listen", "127.0.0.1:53,[::1]:53"]).expect("two addresses");
        assert_eq!(args.listen.len(), 2);
    }

    #[test]
    fn upstreams_with_and_without_ports() {
        let flags = [
            "--upstream",
            "192.0.2.1,192.0.2.2:5353,fd00::1,[fd00::2]:5353",
            "--stub-domain",
            "Corp.Example=192.0.2.3+fd00::3",
            "--stub-domain",
            "lab.example=192.0.2.4:54",
        ];
        let sources = parsed(&flags).expect("addresses").upstream.sources(vec![]);
        let text =
            |list: &[SocketAddr]| -> Vec<String> { list.iter().map(ToString::to_string).collect() };
        assert_eq!(
            text(&sources.upstreams),
            [
                "192.0.2.1:53",
                "192.0.2.2:5353",
                "[fd00::1]:53",
                "[fd00::2]:5353"
            ]
        );
        let [(corp, near), (lab, far)] = &sources.stubs[..] else {
            panic!("two domains")
        };
        assert_eq!(
            (corp.to_string(), lab.to_string()),
            ("corp.example.".into(), "lab.example.".into())
        );
        assert_eq!(text(near), ["192.0.2.3:53", "[fd00::3]:53"]);
        assert_eq!(text(far), ["192.0.2.4:54"]);
    }

    #[test]
    fn nonsense_is_named() {
        let rows: [(&[&str], &str); 12] = [
            (&["--zone", "."], "the root is no domain of anybody's"),
            (&["--zone", "a..b"], "--zone"),
            (&["--listen", "53"], "--listen"),
            (&["--ttl", "3601"], "3601 is not in 0..=3600"),
            (&["--dns-service", "kube-dns"], "expected NAMESPACE/NAME"),
            (&["--drain=-1"], "--drain"),
            (&["--drain", "soon"], "expected a number of seconds"),
            (&["--port", "53"], "--port"),
            (&["--upstream", "ns.example"], "expected an IP address"),
            (&["--stub-domain", "corp.example"], "expected DOMAIN=IP"),
            (&["--stub-domain", "corp.example=ns"], "expected an IP"),
            (&["--threads", "0"], "--threads"),
        ];
        for (flags, wanted) in rows {
            let error = parsed(flags).expect_err("nonsense");
            assert!(error.contains(wanted), "{flags:?}: {error}");
        }
    }
}
