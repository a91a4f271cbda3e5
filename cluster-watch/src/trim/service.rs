//! A Service object -> a Service.

use cluster_model::{Service, ServiceKind, ServicePort};

use super::{LeftOut, good, label, namespaced, number, parsed, port};
use crate::wire::{List, Loose, PortFields, ServiceObject, ServiceSpec};

const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";

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
