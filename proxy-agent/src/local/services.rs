//! Services as this node serves them: the cluster's names and reasons, joined with what the
//! kernel's maps hold.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cluster_model::{
    self as model, Candidate, ClusterIndex, Family, FrontendKind, Here, ServiceName, TrafficPolicy,
};
use proxy_abi::{Endpoint as Slot, FrontendKey, Treatment};

use super::api::{Endpoint, Frontend, Nobody, Port, Service, Side};
use crate::kernel::maps::{MapsError, ServiceMaps};
use crate::plan::desired::{self, FrontendWish};
use crate::plan::services::Held;

/// A Service of the index and what the maps hold for it.
///
/// # Errors
/// [`MapsError`].
pub fn service(
    index: &ClusterIndex,
    service: &model::Service,
    here: &Here,
    maps: Option<&ServiceMaps>,
) -> Result<Service, MapsError> {
    let look = Look {
        index,
        service,
        here,
        maps,
    };
    let ports = service.ports.iter().map(|port| look.port(port));
    Ok(Service {
        namespace: service.name.namespace.to_string(),
        name: service.name.name.to_string(),
        unserved: model::unserved(service).as_ref().map(nobody),
        affinity_seconds: service.affinity_seconds.map_or(0, |s| s.get()),
        source_ranges: service.source_ranges.to_vec(),
        ports: ports.collect::<Result<_, _>>()?,
    })
}

/// Whether a Service may have a say there: whoever has such an address, at the port of one of its
/// ports, or at any port of its cluster IP. (A node port answers at addresses that only the node
/// knows, so the number counts.)
#[must_use]
pub fn may_answer(service: &model::Service, at: SocketAddr) -> bool {
    let mut others = service
        .load_balancer_ips
        .iter()
        .chain(&service.external_ips);
    let own = others.any(|address| *address == at.ip());
    let mut ports = service.ports.iter();
    service.cluster_ips.contains(&at.ip())
        || ports.any(|port| port.node_port == Some(at.port()) || (own && port.port == at.port()))
}

struct Look<'a> {
    index: &'a ClusterIndex,
    service: &'a model::Service,
    here: &'a Here,
    /// None where there are no maps yet.
    maps: Option<&'a ServiceMaps>,
}

impl Look<'_> {
    fn port(&self, port: &model::ServicePort) -> Result<Port, MapsError> {
        let wishes = desired::of_service(self.index, &self.service.name, self.here);
        let own = wishes
            .into_iter()
            .find(|wish| wish.port.name == port.name && wish.port.protocol == port.protocol);
        let frontends = own.into_iter().flat_map(|wish| wish.frontends);
        // The address as such is no place to go to.
        let frontends = frontends.filter(|(key, _)| !key.is_whole());
        let frontends = frontends.map(|(key, wish)| self.frontend(port, key, &wish));
        let families = [Family::V4, Family::V6].into_iter();
        let endpoints = families.flat_map(|family| {
            model::candidates(self.index, self.service, port, family, self.here)
        });
        Ok(Port {
            name: port.name.to_string(),
            protocol: port.protocol.to_string(),
            port: port.port,
            node_port: port.node_port,
            frontends: frontends.collect::<Result<_, _>>()?,
            endpoints: endpoints.map(|one| self.endpoint(&one)).collect(),
        })
    }

    fn frontend(
        &self,
        port: &model::ServicePort,
        key: FrontendKey,
        wish: &FrontendWish,
    ) -> Result<Frontend, MapsError> {
        let held = match self.maps {
            Some(maps) => maps.held(&key)?,
            None => None,
        };
        let address = IpAddr::from(key.address);
        let policies = match wish.kind {
            FrontendKind::ClusterIp => (self.service.internal_policy, self.service.internal_policy),
            _ => (TrafficPolicy::Cluster, self.service.external_policy),
        };
        let family = Family::of(address);
        let nobody = |policy| {
            let name = &self.service.name;
            let why = model::nobody(self.index, name, port, (family, policy), self.here);
            why.as_ref().map(nobody)
        };
        let side = |list: fn(&Held) -> &Arc<[Slot]>, drops, policy| Side {
            endpoints: held
                .as_ref()
                .map(|held| addresses(list(held)))
                .unwrap_or_default(),
            drops: wish.treatment.has(drops),
            nobody: nobody(policy),
        };
        Ok(Frontend {
            address,
            port: key.port.number(),
            kind: kind(wish.kind).to_owned(),
            programmed: self.programmed(held.as_ref(), wish, &key).to_owned(),
            inside: side(|held| &held.inside, Treatment::DROP_INSIDE, policies.0),
            outside: side(|held| &held.outside, Treatment::DROP_OUTSIDE, policies.1),
            masquerade: wish.treatment.has(Treatment::MASQUERADE),
            limited: wish.treatment.has(Treatment::SOURCE_RANGES),
        })
    }

    fn programmed(
        &self,
        held: Option<&Held>,
        wish: &FrontendWish,
        key: &FrontendKey,
    ) -> &'static str {
        let Some(held) = held else { return "missing" };
        let same = held.inside == wish.inside
            && held.outside == wish.outside
            && held.frontend.offer.treatment == wish.treatment;
        if same {
            return "yes";
        }
        let claims = |other: &&model::Service| {
            other.name != self.service.name && self.claims(&other.name, key)
        };
        // Few Services share an address, and the question is rare.
        match self.index.services().find(claims) {
            Some(_) => "other-service",
            None => "differs",
        }
    }

    fn claims(&self, name: &ServiceName, key: &FrontendKey) -> bool {
        let wishes = desired::of_service(self.index, name, self.here);
        wishes.iter().any(|wish| wish.frontends.contains_key(key))
    }

    fn endpoint(&self, candidate: &Candidate<'_>) -> Endpoint {
        let Candidate {
            at,
            endpoint,
            slice,
            cluster,
            local,
        } = candidate;
        let fate = match self.service.internal_policy {
            TrafficPolicy::Cluster => *cluster,
            TrafficPolicy::Local => *local,
        };
        let text = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
        Endpoint {
            at: SocketAddr::new(at.address, at.port),
            slice: (*slice).to_owned(),
            node: text(&endpoint.node),
            zone: text(&endpoint.zone),
            ready: endpoint.ready,
            serving: endpoint.serving,
            terminating: endpoint.terminating,
            takes: fate.takes(),
            why: fate.to_string(),
        }
    }
}

fn addresses(list: &[Slot]) -> Vec<SocketAddr> {
    let at = |slot: &Slot| SocketAddr::new(slot.address.into(), slot.port.number());
    list.iter().map(at).collect()
}

fn nobody(why: &model::Nobody) -> Nobody {
    Nobody {
        code: why.code().to_owned(),
        words: why.to_string(),
    }
}

const fn kind(kind: FrontendKind) -> &'static str {
    match kind {
        FrontendKind::ClusterIp => "cluster-ip",
        FrontendKind::LoadBalancer => "load-balancer",
        FrontendKind::NodePort => "node-port",
        FrontendKind::ExternalIp => "external-ip",
    }
}
