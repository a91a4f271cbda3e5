//! question -> what it asks about: the shapes a name of the zone can have.

use std::net::IpAddr;
use std::str;

use cluster_model::Protocol;
use hickory_proto::rr::Name;

use crate::zone::Zone;

/// What a name stands for. That there is such a thing, only the index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// A name of somebody else's.
    Outside,
    /// `<reversed address>.in-addr.arpa` or `.ip6.arpa`, of whomever.
    Reverse(IpAddr),
    /// `<zone>`
    Apex,
    /// `dns-version.<zone>`
    SchemaVersion,
    /// `dns.<zone>`, the level above the name server's name.
    ServerLevel,
    /// `ns.dns.<zone>`
    Server,
    /// `svc.<zone>`
    ServiceLevel,
    /// `<ns>.svc.<zone>`
    Namespace(&'a str),
    /// `<svc>.<ns>.svc.<zone>`
    Service(ServiceLabels<'a>),
    /// `_<proto>.<svc>.<ns>.svc.<zone>`, the level above the ports' names.
    ProtocolLevel(Protocol, ServiceLabels<'a>),
    /// `_<port>._<proto>.<svc>.<ns>.svc.<zone>`
    Port(&'a str, Protocol, ServiceLabels<'a>),
    /// `<hostname>.<svc>.<ns>.svc.<zone>`
    Endpoint(&'a str, ServiceLabels<'a>),
    /// `pod.<zone>`
    PodLevel,
    /// `<ns>.pod.<zone>`
    PodNamespace(&'a str),
    /// `<a-b-c-d>.<ns>.pod.<zone>`
    Pod(&'a str, &'a str),
    /// A name in the zone that nothing can have.
    Nothing,
}

/// The two labels that name a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServiceLabels<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// What the lower-case `name` asks about.
pub(crate) fn subject<'a>(zone: &Zone, name: &'a Name) -> Subject<'a> {
    let Some(labels) = zone.labels_in(name) else {
        return reverse(name).map_or(Subject::Outside, Subject::Reverse);
    };
    // Kubernetes names are ASCII.
    let Ok(labels) = labels
        .into_iter()
        .map(str::from_utf8)
        .collect::<Result<Vec<_>, _>>()
    else {
        return Subject::Nothing;
    };
    match labels[..] {
        [] => Subject::Apex,
        ["dns-version"] => Subject::SchemaVersion,
        ["dns"] => Subject::ServerLevel,
        ["ns", "dns"] => Subject::Server,
        [ref names @ .., "svc"] => below_svc(names),
        ["pod"] => Subject::PodLevel,
        [namespace, "pod"] => Subject::PodNamespace(namespace),
        [address, namespace, "pod"] => Subject::Pod(address, namespace),
        _ => Subject::Nothing,
    }
}

fn below_svc<'a>(labels: &[&'a str]) -> Subject<'a> {
    match *labels {
        [] => Subject::ServiceLevel,
        [namespace] => Subject::Namespace(namespace),
        [name, namespace] => Subject::Service(ServiceLabels { namespace, name }),
        [label, name, namespace] => {
            let service = ServiceLabels { namespace, name };
            match protocol(label) {
                Some(protocol) => Subject::ProtocolLevel(protocol, service),
                None => Subject::Endpoint(label, service),
            }
        }
        [port, label, name, namespace] => match (port.strip_prefix('_'), protocol(label)) {
            (Some(port), Some(protocol)) => {
                Subject::Port(port, protocol, ServiceLabels { namespace, name })
            }
            _ => Subject::Nothing,
        },
        _ => Subject::Nothing,
    }
}

fn protocol(label: &str) -> Option<Protocol> {
    match label {
        "_tcp" => Some(Protocol::Tcp),
        "_udp" => Some(Protocol::Udp),
        "_sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// The one address a reverse name stands for, if it is one of a single address.
fn reverse(name: &Name) -> Option<IpAddr> {
    let net = name.parse_arpa_name().ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster_model::ServiceName;

    #[test]
    fn every_shape() {
        let apex = Name::from_ascii("cluster.local.").expect("a name");
        let zone = Zone::new(apex, 5, 1, ServiceName::new("kube-system", "kube-dns"));
        let web = ServiceLabels {
            namespace: "default",
            name: "web",
        };
        let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.";
        let rows = [
            (".", Subject::Outside),
            ("local.", Subject::Outside),
            ("example.com.", Subject::Outside),
            ("notcluster.local.", Subject::Outside),
            ("web.default.svc.", Subject::Outside),
            (
                "1.0.96.10.in-addr.arpa.",
                Subject::Reverse(IpAddr::from([10, 96, 0, 1])),
            ),
            (v6, Subject::Reverse("fd00::1".parse().expect("an address"))),
            ("96.10.in-addr.arpa.", Subject::Outside),
            ("x.0.96.10.in-addr.arpa.", Subject::Outside),
            ("7.1.0.96.10.in-addr.arpa.", Subject::Outside),
            ("in-addr.arpa.", Subject::Outside),
            ("cluster.local.", Subject::Apex),
            ("dns-version.cluster.local.", Subject::SchemaVersion),
            ("dns.cluster.local.", Subject::ServerLevel),
            ("ns.dns.cluster.local.", Subject::Server),
            ("svc.cluster.local.", Subject::ServiceLevel),
            ("default.svc.cluster.local.", Subject::Namespace("default")),
            ("web.default.svc.cluster.local.", Subject::Service(web)),
            (
                "web-0.web.default.svc.cluster.local.",
                Subject::Endpoint("web-0", web),
            ),
            (
                "_udp.web.default.svc.cluster.local.",
                Subject::ProtocolLevel(Protocol::Udp, web),
            ),
            (
                "_tls.web.default.svc.cluster.local.",
                Subject::Endpoint("_tls", web),
            ),
            (
                "_http._tcp.web.default.svc.cluster.local.",
                Subject::Port("http", Protocol::Tcp, web),
            ),
            ("http._tcp.web.default.svc.cluster.local.", Subject::Nothing),
            ("_http.tcp.web.default.svc.cluster.local.", Subject::Nothing),
            (
                "a._http._tcp.web.default.svc.cluster.local.",
                Subject::Nothing,
            ),
            ("web.default.cluster.local.", Subject::Nothing),
            ("pod.cluster.local.", Subject::PodLevel),
            (
                "default.pod.cluster.local.",
                Subject::PodNamespace("default"),
            ),
            (
                "10-244-1-2.default.pod.cluster.local.",
                Subject::Pod("10-244-1-2", "default"),
            ),
            ("a.10-244-1-2.default.pod.cluster.local.", Subject::Nothing),
        ];
        for (name, wanted) in rows {
            let name = Name::from_ascii(name).expect(name);
            assert_eq!(subject(&zone, &name), wanted, "{name}");
        }
        let bytes = Name::from_labels([&b"w\xffb"[..], b"default", b"svc", b"cluster", b"local"]);
        assert_eq!(subject(&zone, &bytes.expect("a name")), Subject::Nothing);
    }
}
