//! A Service object -> a Service.

use std::net::IpAddr;
use std::num::NonZeroU32;

use cluster_model::{Service, ServiceKind, ServicePort, TrafficPolicy};
use ipnet::IpNet;

use super::{LeftOut, good, label, namespaced, number, parsed, part, port};
use crate::wire::{List, Loose, PortFields, ServiceObject, ServiceSpec, ServiceStatus};

/// A Service with one of these labels is not ours, whatever the label's value.
const NOT_OURS: [&str; 2] = [
    "service.kubernetes.io/service-proxy-name",
    "service.kubernetes.io/headless",
];
/// How long a client stays on its endpoint where the object does not say (`v1.DefaultClientIPServiceAffinitySeconds`).
const AFFINITY_SECONDS: NonZeroU32 = NonZeroU32::new(10_800).expect("not zero");

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
    let status = part(object.status, "status", left_out);
    let labelled = |name: &&str| label(&object.metadata, name).is_some();
    Some(Service {
        name,
        kind,
        cluster_ips,
        other_proxy: NOT_OURS.iter().any(labelled),
        publish_not_ready: spec.publish_not_ready_addresses.unwrap_or(false),
        load_balancer_ips: load_balancer_ips(status, left_out),
        internal_policy: policy(spec.internal_traffic_policy.as_deref()),
        external_policy: policy(spec.external_traffic_policy.as_deref()),
        affinity_seconds: affinity_seconds(&spec),
        health_check_port: health_check_port(&spec),
        source_ranges: source_ranges(spec.load_balancer_source_ranges, left_out),
        external_ips: parsed(
            spec.external_ips.into_iter().flatten(),
            "external IP",
            left_out,
        )
        .collect(),
        ports: service_ports(spec.ports, left_out),
    })
}

/// The addresses that the node answers for in the load balancer's place (`ipMode: VIP`). With
/// `ipMode: Proxy` the balancer wants to see the packets itself.
fn load_balancer_ips(status: ServiceStatus, left_out: &mut Vec<LeftOut>) -> Box<[IpAddr]> {
    let ingress = status.load_balancer.unwrap_or_default().ingress;
    let ingress = good(ingress, "load balancer ingress", left_out);
    let vip = |mode: Option<&str>| matches!(mode, None | Some("VIP"));
    let addresses = ingress
        .into_iter()
        .filter(|fields| vip(fields.ip_mode.as_deref()))
        .filter_map(|fields| fields.ip.filter(|ip| !ip.is_empty()));
    parsed(addresses, "load balancer IP", left_out).collect()
}

fn policy(text: Option<&str>) -> TrafficPolicy {
    match text {
        Some("Local") => TrafficPolicy::Local,
        _ => TrafficPolicy::Cluster,
    }
}

fn affinity_seconds(spec: &ServiceSpec) -> Option<NonZeroU32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let config = spec.session_affinity_config.clone().and_then(Loose::good);
    let seconds = config.and_then(|config| config.client_ip?.timeout_seconds);
    let seconds = seconds.and_then(|seconds| NonZeroU32::new(u32::try_from(seconds).ok()?));
    Some(seconds.unwrap_or(AFFINITY_SECONDS))
}

/// Only a load balancer asks, and only where it has to know which nodes have endpoints.
fn health_check_port(spec: &ServiceSpec) -> Option<u16> {
    let asked = spec.r#type.as_deref() == Some("LoadBalancer")
        && policy(spec.external_traffic_policy.as_deref()) == TrafficPolicy::Local;
    spec.health_check_node_port
        .filter(|_| asked)
        .and_then(number)
}

/// The API server lets spaces around a range pass.
fn source_ranges(ranges: List<String>, left_out: &mut Vec<LeftOut>) -> Box<[IpNet]> {
    let range = |text: String| match text.trim().parse::<IpNet>() {
        Ok(range) => Some(range.trunc()),
        Err(_) => {
            left_out.push(LeftOut::Range(text));
            None
        }
    };
    ranges.into_iter().flatten().filter_map(range).collect()
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
