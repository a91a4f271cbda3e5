//! CHECK: compares the node with the result of the ADD, field by field, and with what ADD made
//! beyond what a result can say.

use ipnet::IpNet;
use proxy_abi::ownership::map::{HOST_PORTS, PODS};

use crate::attachment::Mac;
use crate::compare::{Difference, Seen, SeenPort, compare};
use crate::error::Error;
use crate::lease::Leases;
use crate::namespace::PodNamespace;
use crate::netlink::Netlink;
use crate::observe;
use crate::plan::{Plan, Route, Sysctl};
use crate::reply::Reply;
use crate::request::{Check, Shape};
use crate::sysctl;
use crate::table::{HostPorts, PacketPods, Pods};

/// Looks whether a pod is on the network as ADD put it there.
///
/// # Errors
/// [`Error::Differs`] with every difference.
pub(crate) fn check(request: &Check) -> Result<Reply, Error> {
    let namespace = PodNamespace::open(&request.shape.netns)?;
    let (plan, mut differences) = expected(request);
    let seen = see(&plan, &request.shape, &namespace)?;
    let owner = request.shape.attachment.lease();
    differences.extend(compare(&plan, &owner, &seen));
    if differences.is_empty() {
        Ok(Reply::Done)
    } else {
        Err(Error::Differs(differences))
    }
}

/// The plan that the result tells of, and what it should tell and does not.
fn expected(request: &Check) -> (Plan, Vec<Difference>) {
    let Check { shape, previous } = request;
    let pod = shape.attachment.interface.as_str();
    let mut missing = Vec::new();
    let mut mac_of = |name: &str, in_pod, place: &str| {
        let listed = previous.interface(name, in_pod);
        let mac = listed.and_then(|interface| Mac::parse(interface.mac.as_deref()?));
        if mac.is_none() {
            let what = format!("interface {name} {place} in prevResult");
            missing.push(Difference::missing(what, "one with its MAC address"));
        }
        mac
    };
    let host_mac = mac_of(&shape.attachment.host_interface(), false, "on the node");
    let pod_mac = mac_of(pod, true, "in the pod");
    let nets = previous.addresses(pod);
    if nets.is_empty() {
        missing.push(Difference::missing(
            "addresses in prevResult",
            "at least one",
        ));
    }

    let told = previous.interface(pod, true);
    let mtu = told.and_then(|interface| interface.mtu);
    let shape = Shape {
        mac: pod_mac.unwrap_or(shape.mac),
        mtu: mtu.or(shape.mtu),
        ..shape.clone()
    };
    let addresses: Vec<_> = nets.iter().map(IpNet::addr).collect();
    let mut plan = Plan::new(&shape, &addresses, sysctl::has_ipv6());
    plan.host.mac = host_mac.unwrap_or(plan.host.mac);
    plan.pod.addresses = nets;
    // A later plugin may have taken a route out of the result, and out of the pod.
    let is_told = |route: &Route| {
        route
            .via
            .is_none_or(|hop| previous.has_route(route.to, hop))
    };
    plan.pod.routes.retain(is_told);
    (plan, missing)
}

fn see(plan: &Plan, shape: &Shape, namespace: &PodNamespace) -> Result<Seen, Error> {
    let mut on_node = Netlink::open()?;
    let host = observe::end(&mut on_node, &plan.host.name)?;
    let programs = match &host {
        Some(host) => observe::programs(&mut on_node, &host.link, &plan.link_pins)?,
        None => Default::default(),
    };
    let leases = Leases::of(&shape.places.leases);
    let pods = Pods::open(&shape.places.map_pin(PODS))?;
    let addresses: Vec<_> = plan.pod.addresses.iter().map(IpNet::addr).collect();
    let entries = addresses
        .iter()
        .map(|it| Ok((*it, pods.get(&(*it).into())?)));
    Ok(Seen {
        pod: observe::end(&mut namespace.netlink()?, &plan.pod.name)?,
        host,
        programs,
        settings: settings(plan),
        leases: addresses
            .iter()
            .map(|it| (*it, leases.owner(*it)))
            .collect(),
        entries: entries.collect::<Result<_, Error>>()?,
        host_ports: host_ports(plan, shape)?,
        packet_pod: packet_pod(plan, namespace)?,
    })
}

fn packet_pod(plan: &Plan, namespace: &PodNamespace) -> Result<Option<u32>, Error> {
    match &plan.packet_pods_pin {
        Some(pin) => PacketPods::open(pin)?.get(&namespace.number()?),
        None => Ok(None),
    }
}

fn host_ports(plan: &Plan, shape: &Shape) -> Result<Vec<SeenPort>, Error> {
    if plan.host_ports.is_empty() {
        return Ok(Vec::new());
    }
    let ports = HostPorts::open(&shape.places.map_pin(HOST_PORTS))?;
    let keys = plan.host_ports.keys();
    keys.map(|key| Ok((*key, ports.get(key)?))).collect()
}

/// The settings of the host end, also those that ADD makes by netlink. Those in the pod are the
/// pod's to change.
fn settings(plan: &Plan) -> Vec<(Sysctl, Option<String>)> {
    let conf = std::path::Path::new("net/ipv4/conf").join(&plan.host.name);
    let by_netlink = [
        (conf.join("forwarding"), "1"),
        (conf.join("rp_filter"), "0"),
    ];
    let expected = by_netlink.into_iter().chain(plan.host.sysctls.clone());
    let found = expected.map(|(path, value)| {
        let found = observe::setting(&path);
        ((path, value), found)
    });
    found.collect()
}
