//! Kubernetes objects into the model's objects: pure, and never a panic.
//!
//! What cannot be used is left out and named, as small a part as possible: one endpoint of a
//! slice, one port of a Service. An object that is not for flatnet at all (a slice of FQDNs, a
//! slice without a Service) is left out in silence.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use cluster_model::{
    Endpoint, EndpointSlice, Family, Node, Protocol, Service, ServiceKind, ServiceName,
    ServicePort, SlicePort,
};
use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::wire::{
    EndpointFields, List, Loose, NodeObject, PortFields, ServiceObject, ServiceSpec, SliceObject,
};

const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const ZONE: &str = "topology.kubernetes.io/zone";

/// What was left out of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeftOut {
    #[error("the whole object: no name")]
    Nameless,
    #[error("the whole object: no usable {0}")]
    Part(&'static str),
    #[error("{what} {text:?}: no IP address of the right family")]
    Address { what: &'static str, text: String },
    #[error("pod CIDR {0:?}")]
    Cidr(String),
    #[error("port {name:?}: number {number:?}")]
    PortNumber { name: String, number: Option<i64> },
    #[error("port {name:?}: protocol {protocol:?}")]
    PortProtocol { name: String, protocol: String },
    #[error("one {0} of unexpected shape")]
    Shape(&'static str),
}

/// A Service, or nothing if it cannot be used at all.
pub(crate) fn service(object: ServiceObject, left_out: &mut Vec<LeftOut>) -> Option<Service> {
    let name = namespaced(&object.metadata, left_out)?;
    let Some(spec) = object.spec.and_then(Loose::good) else {
        left_out.push(LeftOut::Part("spec"));
        return None;
    };
    let addresses = cluster_addresses(&spec);
    let kind = kind(&spec, &addresses, left_out)?;
    let cluster_ips = match kind {
        ServiceKind::ClusterIp => parsed(addresses, "cluster IP", left_out).collect(),
        ServiceKind::Headless | ServiceKind::ExternalName(_) => Box::default(),
    };
    Some(Service {
        name,
        kind,
        cluster_ips,
        ports: service_ports(spec.ports, left_out),
        other_proxy: label(&object.metadata, PROXY_NAME).is_some(),
        publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
    })
}

/// A slice, or nothing if it belongs to no Service, lists names instead of addresses or cannot
/// be used at all.
pub(crate) fn slice(object: SliceObject, left_out: &mut Vec<LeftOut>) -> Option<EndpointSlice> {
    let itself = namespaced(&object.metadata, left_out)?;
    let service = label(&object.metadata, SERVICE_NAME).filter(|name| !name.is_empty())?;
    let family = match object.address_type.as_deref() {
        Some("IPv4") => Family::V4,
        Some("IPv6") => Family::V6,
        Some("FQDN") => return None,
        Some(_) | None => {
            left_out.push(LeftOut::Part("addressType"));
            return None;
        }
    };
    let endpoints = good(object.endpoints, "endpoint", left_out);
    Some(EndpointSlice {
        name: itself.name,
        service: ServiceName {
            namespace: itself.namespace,
            name: service.into(),
        },
        family,
        ports: slice_ports(object.ports, left_out),
        endpoints: endpoints
            .into_iter()
            .filter_map(|e| endpoint(e, family, left_out))
            .collect(),
    })
}

/// A node, or nothing if it has no name.
pub(crate) fn node(object: NodeObject, left_out: &mut Vec<LeftOut>) -> Option<Node> {
    let Some(name) = object
        .metadata
        .name
        .as_deref()
        .filter(|name| !name.is_empty())
    else {
        left_out.push(LeftOut::Nameless);
        return None;
    };
    let status = part(object.status, "status", left_out);
    let addresses = good(status.addresses, "address", left_out);
    let internal = addresses
        .into_iter()
        .filter(|a| a.r#type == "InternalIP")
        .map(|a| a.address);
    let spec = part(object.spec, "spec", left_out);
    Some(Node {
        name: name.into(),
        addresses: parsed(internal, "InternalIP", left_out).collect(),
        pod_cidrs: pod_cidrs(spec.pod_cidrs, spec.pod_cidr, left_out),
        zone: label(&object.metadata, ZONE).map(Into::into),
    })
}

fn namespaced(metadata: &ObjectMeta, left_out: &mut Vec<LeftOut>) -> Option<ServiceName> {
    let full = metadata.namespace.as_deref().zip(metadata.name.as_deref());
    match full.filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty()) {
        Some((namespace, name)) => Some(ServiceName::new(namespace, name)),
        None => {
            left_out.push(LeftOut::Nameless);
            None
        }
    }
}

fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// `clusterIPs`, or the older `clusterIP` from a server that does not fill in the list.
fn cluster_addresses(spec: &ServiceSpec) -> Vec<String> {
    let list = spec.cluster_ips.clone().filter(|list| !list.is_empty());
    let mut addresses = list.unwrap_or_else(|| spec.cluster_ip.clone().into_iter().collect());
    addresses.retain(|address| !address.is_empty());
    addresses
}

fn kind(
    spec: &ServiceSpec,
    addresses: &[String],
    left_out: &mut Vec<LeftOut>,
) -> Option<ServiceKind> {
    if spec.r#type.as_deref() != Some("ExternalName") {
        let headless = addresses.iter().any(|address| address == "None");
        return Some(if headless {
            ServiceKind::Headless
        } else {
            ServiceKind::ClusterIp
        });
    }
    match spec
        .external_name
        .as_deref()
        .filter(|name| !name.is_empty())
    {
        Some(name) => Some(ServiceKind::ExternalName(name.into())),
        None => {
            left_out.push(LeftOut::Part("externalName"));
            None
        }
    }
}

fn service_ports(
    ports: List<Loose<PortFields>>,
    left_out: &mut Vec<LeftOut>,
) -> Box<[ServicePort]> {
    let ports = good(ports, "port", left_out);
    let port = |fields: PortFields| {
        let node_port = fields.node_port.and_then(number);
        let (name, protocol, port) = port(fields, left_out)?;
        Some(ServicePort {
            name,
            protocol,
            port,
            node_port,
        })
    };
    ports.into_iter().filter_map(port).collect()
}

fn slice_ports(ports: List<Loose<PortFields>>, left_out: &mut Vec<LeftOut>) -> Box<[SlicePort]> {
    let ports = good(ports, "port", left_out);
    let port = |fields: PortFields| {
        let (name, protocol, port) = port(fields, left_out)?;
        Some(SlicePort {
            name,
            protocol,
            port,
        })
    };
    ports.into_iter().filter_map(port).collect()
}

fn port(fields: PortFields, left_out: &mut Vec<LeftOut>) -> Option<(Box<str>, Protocol, u16)> {
    let name = fields.name.unwrap_or_default();
    let protocol = match fields.protocol.as_deref() {
        None | Some("" | "TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(other) => {
            left_out.push(LeftOut::PortProtocol {
                name,
                protocol: other.to_owned(),
            });
            return None;
        }
    };
    match fields.port.and_then(number) {
        Some(port) => Some((name.into(), protocol, port)),
        None => {
            left_out.push(LeftOut::PortNumber {
                name,
                number: fields.port,
            });
            None
        }
    }
}

/// A port number, if it is one.
fn number(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|&number| number != 0)
}

fn endpoint(
    fields: EndpointFields,
    family: Family,
    left_out: &mut Vec<LeftOut>,
) -> Option<Endpoint> {
    // Kubernetes lists one address an endpoint; of more, every consumer takes the first.
    let text = fields
        .addresses
        .unwrap_or_default()
        .into_iter()
        .next()
        .unwrap_or_default();
    let Some(address) = text
        .parse()
        .ok()
        .filter(|&address| Family::of(address) == family)
    else {
        left_out.push(LeftOut::Address {
            what: "endpoint",
            text,
        });
        return None;
    };
    let conditions = fields.conditions.unwrap_or_default();
    Some(Endpoint {
        address,
        ready: conditions.ready.unwrap_or(true),
        serving: conditions.serving.unwrap_or(true),
        terminating: conditions.terminating.unwrap_or(false),
        node: named(fields.node_name).map(Into::into),
        zone: named(fields.zone).map(Into::into),
        hostname: named(fields.hostname).map(Into::into),
    })
}

/// A word, where the empty one means none.
fn named(word: Option<String>) -> Option<String> {
    word.filter(|word| !word.is_empty())
}

fn pod_cidrs(
    list: List<String>,
    single: Option<String>,
    left_out: &mut Vec<LeftOut>,
) -> Box<[IpNet]> {
    let list = list.filter(|list| !list.is_empty());
    let texts = list.unwrap_or_else(|| named(single).into_iter().collect());
    let cidr = |text: String| match text.parse::<IpNet>() {
        Ok(cidr) => Some(cidr.trunc()),
        Err(_) => {
            left_out.push(LeftOut::Cidr(text));
            None
        }
    };
    texts.into_iter().filter_map(cidr).collect()
}

/// The texts that are IP addresses.
fn parsed(
    texts: impl IntoIterator<Item = String>,
    what: &'static str,
    left_out: &mut Vec<LeftOut>,
) -> impl Iterator<Item = IpAddr> {
    let address = move |text: String| match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            left_out.push(LeftOut::Address { what, text });
            None
        }
    };
    texts.into_iter().filter_map(address)
}

/// A part of an object, empty where it is absent or not of the shape it should have.
fn part<T: Default>(found: Option<Loose<T>>, what: &'static str, left_out: &mut Vec<LeftOut>) -> T {
    let Some(found) = found else {
        return T::default();
    };
    found.good().unwrap_or_else(|| {
        left_out.push(LeftOut::Shape(what));
        T::default()
    })
}

/// The items of the shape they should have.
fn good<T>(list: List<Loose<T>>, what: &'static str, left_out: &mut Vec<LeftOut>) -> Vec<T> {
    let list = list.unwrap_or_default();
    let all = list.len();
    let kept: Vec<T> = list.into_iter().filter_map(Loose::good).collect();
    left_out.extend((kept.len()..all).map(|_| LeftOut::Shape(what)));
    kept
}
