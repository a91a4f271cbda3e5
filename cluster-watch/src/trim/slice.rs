//! An EndpointSlice object -> an EndpointSlice.

use std::sync::Arc;
use std::time::SystemTime;

use cluster_model::{Endpoint, EndpointSlice, Family, Hints, ServiceName, SlicePort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::{LeftOut, good, label, named, namespaced, part, port};
use crate::wire::{
    EndpointFields, HintFields, List, Loose, Named, PortFields, SliceObject, TRIGGERED,
};

const SERVICE_NAME: &str = "kubernetes.io/service-name";

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
        triggered: triggered(&object.metadata),
    })
}

/// A time that cannot be read is none: it is for a statistic only.
fn triggered(metadata: &ObjectMeta) -> Option<SystemTime> {
    let text = metadata.annotations.as_ref()?.get(TRIGGERED)?;
    text.parse::<Timestamp>().ok().map(Into::into)
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
        hints: hints(part(fields.hints, "hints", left_out)).map(Arc::new),
        hostname: named(fields.hostname).map(Into::into),
    })
}

fn hints(fields: HintFields) -> Option<Hints> {
    let words = |list: List<Named>| {
        let names = list.into_iter().flatten().map(|named| named.name);
        names.map(Into::into).collect()
    };
    let hints = Hints {
        zones: words(fields.for_zones),
        nodes: words(fields.for_nodes),
    };
    (hints != Hints::default()).then_some(hints)
}
