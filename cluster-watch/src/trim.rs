//! Kubernetes objects into the model's objects: pure, and never a panic.
//!
//! What cannot be used is left out and named, as small a part as possible: one endpoint of a
//! slice, one port of a Service. An object that is not for flatnet at all (a slice of FQDNs, a
//! slice without a Service) is left out in silence.

mod node;
mod pod;
mod service;
mod service_cidr;
mod slice;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use cluster_model::{Protocol, ServiceName};
use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::wire::{List, Loose, PortFields};

pub(crate) use node::node;
pub(crate) use pod::pod;
pub(crate) use service::service;
pub(crate) use service_cidr::service_cidr;
pub(crate) use slice::slice;

/// What was left out of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeftOut {
    #[error("the whole object: no name")]
    Nameless,
    #[error("the whole object: no usable {0}")]
    Part(&'static str),
    #[error("{what} {text:?}: no IP address of the right family")]
    Address { what: &'static str, text: String },
    #[error("CIDR {0:?}")]
    Cidr(String),
    #[error("source range {0:?}")]
    Range(String),
    #[error("port {name:?}: number {number:?}")]
    PortNumber { name: String, number: Option<i64> },
    #[error("port {name:?}: protocol {protocol:?}")]
    PortProtocol { name: String, protocol: String },
    #[error("one {0} of unexpected shape")]
    Shape(&'static str),
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

/// The texts that are CIDRs, without the bits behind the prefix.
fn cidrs(texts: impl IntoIterator<Item = String>, left_out: &mut Vec<LeftOut>) -> Box<[IpNet]> {
    let cidr = |text: String| match text.parse::<IpNet>() {
        Ok(cidr) => Some(cidr.trunc()),
        Err(_) => {
            left_out.push(LeftOut::Cidr(text));
            None
        }
    };
    texts.into_iter().filter_map(cidr).collect()
}

/// A port number, if it is one.
fn number(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|&number| number != 0)
}

/// A word, where the empty one means none.
fn named(word: Option<String>) -> Option<String> {
    word.filter(|word| !word.is_empty())
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
