//! Why an endpoint takes traffic or not, and why nobody stands behind a frontend: what a person
//! asks of the choice that [`super::endpoints`] makes. It is asked for one Service at a time, and
//! takes the answer from the choice itself.

use std::fmt;

use super::endpoints::{self, Choice};
use super::{EndpointAddress, Here, is_ours};
use crate::index::ClusterIndex;
use crate::name::{Family, ServiceName};
use crate::object::{Endpoint, EndpointSlice, Service, ServiceKind, ServicePort, TrafficPolicy};

/// What becomes of an endpoint on this node, under one traffic policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// It takes traffic.
    Takes,
    /// It takes traffic though it terminates: no ready endpoint is left.
    Drains,
    /// It is not ready.
    NotReady,
    /// It terminates, and there are others.
    Terminating,
    /// It is on another node, which the policy `Local` does not allow.
    Elsewhere,
    /// Its hints are for other nodes or zones.
    Hinted,
}

impl Fate {
    /// Whether it takes traffic.
    pub const fn takes(self) -> bool {
        matches!(self, Self::Takes | Self::Drains)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Takes => "takes traffic",
            Self::Drains => "terminates, and takes traffic because no ready endpoint is left",
            Self::NotReady => "not ready",
            Self::Terminating => "terminates, and there are others",
            Self::Elsewhere => "on another node, which the traffic policy Local does not allow",
            Self::Hinted => "its hints are for other zones or nodes",
        })
    }
}

/// An endpoint that serves a port, as one slice lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Where it answers.
    pub at: EndpointAddress,
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// The slice that lists it.
    pub slice: &'a str,
    /// What becomes of it under the policy `Cluster`.
    pub cluster: Fate,
    /// What becomes of it under the policy `Local`.
    pub local: Fate,
}

/// Why nobody stands behind a frontend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nobody {
    /// The Service is unknown.
    Unknown,
    /// A label gives it to another proxy.
    OtherProxy,
    /// It has no cluster IP: DNS names its endpoints.
    Headless,
    /// It is another name for this one, which DNS answers.
    ExternalName(String),
    /// No slice of the family lists an endpoint: the selector matches no pod with an address.
    NoEndpoint(Family),
    /// Endpoints are listed, but none has a port of the name and protocol.
    NoPort {
        /// The port's name.
        wanted: String,
        /// What the slices offer.
        offered: Vec<String>,
    },
    /// That many endpoints are listed and none is ready.
    NoneReady(usize),
    /// That many endpoints serve, on other nodes, and the policy is `Local`.
    NoneHere(usize),
}

impl Nobody {
    /// A word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::OtherProxy => "other-proxy",
            Self::Headless => "headless",
            Self::ExternalName(_) => "external-name",
            Self::NoEndpoint(_) => "no-endpoint",
            Self::NoPort { .. } => "no-port",
            Self::NoneReady(_) => "none-ready",
            Self::NoneHere(_) => "none-here",
        }
    }
}

impl fmt::Display for Nobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such Service"),
            Self::OtherProxy => f.write_str(
                "the label service.kubernetes.io/service-proxy-name gives it to another proxy",
            ),
            Self::Headless => {
                f.write_str("the Service is headless: DNS names its pods, nothing is translated")
            }
            Self::ExternalName(name) => {
                write!(f, "the Service is an ExternalName: DNS answers with {name}")
            }
            Self::NoEndpoint(family) => write!(
                f,
                "no EndpointSlice lists an {family} endpoint: the selector matches no pod with an \
                 address"
            ),
            Self::NoPort { wanted, offered } => write!(
                f,
                "no endpoint has the port {wanted}; the slices offer {}",
                match offered.is_empty() {
                    true => "none".to_owned(),
                    false => offered.join(", "),
                }
            ),
            Self::NoneReady(1) => f.write_str("its one endpoint is not ready"),
            Self::NoneReady(count) => write!(f, "none of its {count} endpoints is ready"),
            Self::NoneHere(count) => write!(
                f,
                "the traffic policy is Local and no endpoint is on this node ({count} elsewhere)"
            ),
        }
    }
}

/// Every endpoint of `port` in `family`, in the order of their addresses, and what becomes of it
/// as seen from `here`.
pub fn candidates<'a>(
    index: &'a ClusterIndex,
    service: &Service,
    port: &ServicePort,
    family: Family,
    here: &Here,
) -> Vec<Candidate<'a>> {
    let slices = index.slices(&service.name);
    let choice = choice(index, slices, port, family, here);
    let mut found = Vec::new();
    for slice in slices {
        let listed = endpoints::listed(std::slice::from_ref(slice), family, port);
        found.extend(listed.into_iter().map(|(at, endpoint)| Candidate {
            at,
            endpoint,
            slice: &slice.name,
            cluster: fate(&choice, TrafficPolicy::Cluster, at, endpoint, here),
            local: fate(&choice, TrafficPolicy::Local, at, endpoint, here),
        }));
    }
    found.sort_by_key(|one| one.at);
    found
}

fn choice(
    index: &ClusterIndex,
    slices: &[EndpointSlice],
    port: &ServicePort,
    family: Family,
    here: &Here,
) -> Choice {
    let zone = index.node(&here.node).and_then(|node| node.zone.as_deref());
    Choice::new(slices, family, port, &here.node, zone)
}

fn fate(
    choice: &Choice,
    policy: TrafficPolicy,
    at: EndpointAddress,
    endpoint: &Endpoint,
    here: &Here,
) -> Fate {
    let taken = choice.behind(policy).endpoints.binary_search(&at).is_ok();
    let elsewhere = policy == TrafficPolicy::Local && endpoint.node.as_ref() != Some(&here.node);
    match (taken, endpoint.ready) {
        (true, true) => Fate::Takes,
        (true, false) => Fate::Drains,
        (false, _) if elsewhere => Fate::Elsewhere,
        (false, true) => Fate::Hinted,
        (false, false) if endpoint.terminating && endpoint.serving => Fate::Terminating,
        (false, false) => Fate::NotReady,
    }
}

/// Why nobody stands behind a frontend of this family under `policy`; none if somebody does.
pub fn nobody(
    index: &ClusterIndex,
    name: &ServiceName,
    port: &ServicePort,
    (family, policy): (Family, TrafficPolicy),
    here: &Here,
) -> Option<Nobody> {
    let Some(service) = index.service(name) else {
        return Some(Nobody::Unknown);
    };
    if let Some(why) = unserved(service) {
        return Some(why);
    }
    let slices = index.slices(name);
    let behind = choice(index, slices, port, family, here);
    if !behind.behind(policy).endpoints.is_empty() {
        return None;
    }
    let elsewhere = behind.behind(TrafficPolicy::Cluster).endpoints.len();
    if elsewhere > 0 {
        return Some(Nobody::NoneHere(elsewhere));
    }
    let of_family = || slices.iter().filter(|slice| slice.family == family);
    if of_family().all(|slice| slice.endpoints.is_empty()) {
        return Some(Nobody::NoEndpoint(family));
    }
    match endpoints::listed(slices, family, port).len() {
        0 => Some(no_port(of_family(), port)),
        count => Some(Nobody::NoneReady(count)),
    }
}

fn no_port<'a>(slices: impl Iterator<Item = &'a EndpointSlice>, port: &ServicePort) -> Nobody {
    let spell = |name: &str, protocol| match name {
        "" => format!("(unnamed)/{protocol}"),
        name => format!("{name}/{protocol}"),
    };
    let offered = slices.flat_map(|slice| slice.ports.iter());
    let mut offered: Vec<String> = offered.map(|p| spell(&p.name, p.protocol)).collect();
    offered.sort();
    offered.dedup();
    Nobody::NoPort {
        wanted: spell(&port.name, port.protocol),
        offered,
    }
}

/// Why this proxy does not serve a Service at all; none if it does.
pub fn unserved(service: &Service) -> Option<Nobody> {
    if is_ours(service) {
        return None;
    }
    Some(match &service.kind {
        ServiceKind::ExternalName(name) => Nobody::ExternalName(name.to_string()),
        ServiceKind::Headless => Nobody::Headless,
        ServiceKind::ClusterIp => Nobody::OtherProxy,
    })
}

#[cfg(test)]
mod tests;
