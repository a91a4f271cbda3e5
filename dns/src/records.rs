//! lookup: what is asked about -> every record it has, whatever the type.
//!
//! That the records of all types are gathered first is what tells a name that exists but has
//! none of the wanted type (no error, no answer) from one that does not exist.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use cluster_model::{
    ClusterIndex, Endpoint, EndpointSlice, Protocol, Service, ServiceKind, ServiceName,
};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SRV, TXT};
use hickory_proto::rr::{Name, RData};

use crate::question::{ServiceLabels, Subject};
use crate::zone::{PodNames, Zone};

/// Version of the DNS-Based Service Discovery specification that these records follow.
const SCHEMA: &str = "1.1.0";

/// Every SRV record has this weight: the endpoints are alike.
const WEIGHT: u16 = 100;

/// The records of `subject`: none at all if there is no such thing, an empty list if it is a
/// level of the tree with nothing of its own.
pub(crate) fn records(
    zone: &Zone,
    index: &ClusterIndex,
    subject: Subject<'_>,
) -> Option<Vec<RData>> {
    match subject {
        Subject::Outside | Subject::Nothing => None,
        Subject::Reverse(address) => some_or_absent(pointers(zone, index, address)),
        Subject::Apex => Some(vec![zone.soa().clone(), RData::NS(NS(zone.server()))]),
        Subject::SchemaVersion => Some(vec![RData::TXT(TXT::new(vec![SCHEMA.to_owned()]))]),
        Subject::ServerLevel | Subject::ServiceLevel => Some(Vec::new()),
        Subject::PodLevel | Subject::PodNamespace(_) | Subject::Pod(..) => {
            of_pods(zone.pod_names(), index, subject)
        }
        Subject::Server => {
            let service = index.service(zone.dns_service());
            Some(service.map_or_else(Vec::new, |s| addresses(s.cluster_ips.iter().copied())))
        }
        Subject::Namespace(name) => index.namespace_exists(name).then(Vec::new),
        Subject::Service(labels) => of_service(index, find(index, labels)?),
        Subject::ProtocolLevel(protocol, labels) => {
            let service = find(index, labels)?;
            let exists = ports(zone, index, service, protocol, None);
            (!exists.is_empty()).then(Vec::new)
        }
        Subject::Port(port, protocol, labels) => {
            let service = find(index, labels)?;
            some_or_absent(ports(zone, index, service, protocol, Some(port)))
        }
        Subject::Endpoint(hostname, labels) => {
            let service = find(index, labels)?;
            some_or_absent(of_hostname(index, service, hostname))
        }
    }
}

fn find<'a>(index: &'a ClusterIndex, labels: ServiceLabels<'_>) -> Option<&'a Service> {
    index.service_named(labels.namespace, labels.name)
}

fn some_or_absent(records: Vec<RData>) -> Option<Vec<RData>> {
    (!records.is_empty()).then_some(records)
}

fn of_service(index: &ClusterIndex, service: &Service) -> Option<Vec<RData>> {
    match &service.kind {
        ServiceKind::ClusterIp => Some(addresses(service.cluster_ips.iter().copied())),
        ServiceKind::Headless => {
            let ready = published(index, service).map(|(_, endpoint)| endpoint.address);
            some_or_absent(addresses(ready))
        }
        ServiceKind::ExternalName(target) => {
            let mut target = Name::from_ascii(target).ok()?;
            target.set_fqdn(true);
            Some(vec![RData::CNAME(CNAME(target))])
        }
    }
}

/// The part of the tree that pods have.
fn of_pods(mode: PodNames, index: &ClusterIndex, subject: Subject<'_>) -> Option<Vec<RData>> {
    if mode == PodNames::Disabled {
        return None;
    }
    let verified = mode == PodNames::Verified;
    match subject {
        Subject::PodLevel => Some(Vec::new()),
        // Unverified, there are names below every namespace; a level with names below it exists.
        Subject::PodNamespace(name) => (!verified || index.namespace_has_pods(name)).then(Vec::new),
        Subject::Pod(label, namespace) => {
            let address = pod_address(label)?;
            let exists = !verified || index.pod_lives_at(namespace, address);
            exists.then(|| addresses([address]))
        }
        _ => None,
    }
}

/// The endpoints of a Service that DNS may name, with the slice each is from.
fn published<'a>(
    index: &'a ClusterIndex,
    service: &'a Service,
) -> impl Iterator<Item = (&'a EndpointSlice, &'a Endpoint)> {
    let endpoints = |slice: &'a EndpointSlice| slice.endpoints.iter().map(move |e| (slice, e));
    let all = index.slices(&service.name).iter().flat_map(endpoints);
    all.filter(|(_, endpoint)| endpoint.ready || service.publish_not_ready)
}

/// Addresses of the endpoint of that hostname. Only headless Services name their endpoints.
fn of_hostname(index: &ClusterIndex, service: &Service, hostname: &str) -> Vec<RData> {
    if service.kind != ServiceKind::Headless {
        return Vec::new();
    }
    let dashed = undashed(hostname);
    let meant = |endpoint: &Endpoint| match &endpoint.hostname {
        Some(own) => **own == *hostname,
        None => dashed == Some(endpoint.address),
    };
    let found = published(index, service).filter(|(_, endpoint)| meant(endpoint));
    addresses(found.map(|(_, endpoint)| endpoint.address))
}

/// SRV records of a Service's named ports of one protocol: of the port `wanted`, or of them all.
fn ports(
    zone: &Zone,
    index: &ClusterIndex,
    service: &Service,
    protocol: Protocol,
    wanted: Option<&str>,
) -> Vec<RData> {
    let meant = |name: &str, transport: Protocol| {
        !name.is_empty() && transport == protocol && wanted.is_none_or(|wanted| name == wanted)
    };
    let targets: BTreeSet<(Name, u16)> = match service.kind {
        ServiceKind::ExternalName(_) => BTreeSet::new(),
        ServiceKind::ClusterIp => {
            let ports = service
                .ports
                .iter()
                .filter(|port| meant(&port.name, port.protocol));
            ports
                .filter_map(|port| Some((zone.service_name(&service.name)?, port.port)))
                .collect()
        }
        ServiceKind::Headless => {
            let offered = published(index, service).flat_map(|(slice, endpoint)| {
                let ports = slice
                    .ports
                    .iter()
                    .filter(|port| meant(&port.name, port.protocol));
                ports.filter_map(|port| {
                    Some((endpoint_name(zone, &service.name, endpoint)?, port.port))
                })
            });
            offered.collect()
        }
    };
    let record = |(target, port)| RData::SRV(SRV::new(0, WEIGHT, port, target));
    targets.into_iter().map(record).collect()
}

/// Names of an address: of the Service whose cluster IP it is, of the headless Services' endpoints
/// that have it and a hostname.
fn pointers(zone: &Zone, index: &ClusterIndex, address: IpAddr) -> Vec<RData> {
    let services = index
        .services_at(address)
        .filter_map(|s| zone.service_name(&s.name));
    let headless = index
        .services_with_hostname_at(address)
        .filter(|service| service.kind == ServiceKind::Headless);
    let endpoints = headless.flat_map(|service| {
        let here = published(index, service)
            .filter(move |(_, e)| e.address == address && e.hostname.is_some());
        here.filter_map(|(_, endpoint)| endpoint_name(zone, &service.name, endpoint))
    });
    let names: BTreeSet<Name> = services.chain(endpoints).collect();
    names
        .into_iter()
        .map(|name| RData::PTR(PTR(name)))
        .collect()
}

/// The name of a headless Service's endpoint.
fn endpoint_name(zone: &Zone, service: &ServiceName, endpoint: &Endpoint) -> Option<Name> {
    let dashed;
    let label = match &endpoint.hostname {
        Some(hostname) => &**hostname,
        None => {
            dashed = dashes(endpoint.address);
            &dashed
        }
    };
    zone.name_of(&[label, &service.name, &service.namespace, "svc"])
}

/// Address records, each address once.
fn addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<RData> {
    let record = |address| match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    addresses
        .into_iter()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(record)
        .collect()
}

/// `10-244-1-2`, or all eight groups of an IPv6 address in full.
fn dashes(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string().replace('.', "-"),
        IpAddr::V6(address) => address
            .segments()
            .map(|group| format!("{group:04x}"))
            .join("-"),
    }
}

/// The address that `dashes` made this label of. IPv6 groups may come without leading zeros.
fn undashed(label: &str) -> Option<IpAddr> {
    match label.matches('-').count() {
        3 => label.replace('-', ".").parse().ok(),
        7 if !label.contains("--") => label
            .replace('-', ":")
            .parse::<Ipv6Addr>()
            .ok()
            .map(IpAddr::V6),
        _ => None,
    }
}

/// The address in a pod's name: four numbers, or an IPv6 address with dashes for its colons, in
/// full or, as the usual server takes it, shortened.
fn pod_address(label: &str) -> Option<IpAddr> {
    undashed(label).or_else(|| {
        let colons = label.replace('-', ":");
        colons.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_labels_and_back() {
        let rows = [
            ("10.244.1.2", "10-244-1-2"),
            ("fd00:1::a:2", "fd00-0001-0000-0000-0000-0000-000a-0002"),
        ];
        for (address, label) in rows {
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(dashes(address), label);
            assert_eq!(undashed(label), Some(address));
        }
        assert_eq!(undashed("fd00-1-0-0-0-0-a-2"), "fd00:1::a:2".parse().ok());
        for label in [
            "web-0",
            "1-2-3",
            "10-244-1-256",
            "a-b-c-d",
            "fd00--2",
            "1--1-1-1-1-1-1",
        ] {
            assert_eq!(undashed(label), None, "{label}");
        }
    }
}
