//! Which EndpointSlices a Service should have, and what to write to get there (pure).

use std::collections::BTreeMap;

use super::slice::{Endpoint, Family, Service, Slice, SlicePort};
use crate::objects::{Labels, Pod};

/// Upstream's default and the size proxies are tuned for.
pub(super) const MOST_ENDPOINTS: usize = 100;
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const CONTROLLER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation {
    Create(Slice),
    Update(Slice),
    Delete(String),
}

/// Endpoints that share a slice: same family, same ports.
type Group = (Family, Vec<SlicePort>);

/// What to write so that `existing` (this controller's slices of `service`) become what they
/// should be. Creations come first, so that no endpoint is without a slice in between.
pub(super) fn decide(
    service: &Service,
    pods: &[Pod],
    zones: &BTreeMap<String, String>,
    existing: &[Slice],
) -> Vec<Operation> {
    let labels = labels(service);
    let mut wanted = vec![];
    let mut free: Vec<&Slice> = existing.iter().collect();
    for (group, endpoints) in groups(service, pods, zones) {
        wanted.extend(distribute(group, endpoints, &mut free));
    }
    reuse(&mut wanted, &mut free);
    let written = wanted.into_iter().filter_map(|mut slice| {
        slice.labels.clone_from(&labels);
        let before = existing.iter().find(|known| known.name == slice.name);
        match before {
            None => Some(Operation::Create(slice)),
            Some(before) if *before == slice => None,
            Some(_) => Some(Operation::Update(slice)),
        }
    });
    let mut operations: Vec<_> = written.collect();
    operations.sort_by_key(|operation| matches!(operation, Operation::Update(_)));
    operations.extend(
        free.into_iter()
            .map(|slice| Operation::Delete(slice.name.clone())),
    );
    operations
}

/// The Service's own labels and those that say whose slice it is.
fn labels(service: &Service) -> Labels {
    let mut labels = service.metadata.labels.clone();
    labels.insert(SERVICE_NAME.to_owned(), service.metadata.name.clone());
    labels.insert(MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    if service.headless() {
        labels.insert(HEADLESS.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    labels
}

/// Endpoints by group. A family without any gets one empty group, so that the Service has a slice
/// to be seen by.
fn groups(
    service: &Service,
    pods: &[Pod],
    zones: &BTreeMap<String, String>,
) -> BTreeMap<Group, Vec<Endpoint>> {
    let mut groups: BTreeMap<Group, Vec<Endpoint>> = BTreeMap::new();
    let families = match service.spec.ip_families.as_slice() {
        [] => &[Family::V4],
        families => families,
    };
    for family in families {
        let before = groups.len();
        for pod in pods {
            if let Some(endpoint) = service.endpoint(pod, *family, zones) {
                groups
                    .entry((*family, service.ports_at(pod)))
                    .or_default()
                    .push(endpoint);
            }
        }
        if groups.len() == before {
            groups.insert((*family, vec![]), vec![]);
        }
    }
    groups
}

/// Puts `endpoints` into the group's slices among `free`, each where it is already, then into
/// those with room, then into new ones; takes the slices it uses out of `free`.
fn distribute(
    (family, ports): Group,
    endpoints: Vec<Endpoint>,
    free: &mut Vec<&Slice>,
) -> Vec<Slice> {
    let ours = |slice: &&Slice| slice.address_type == family && slice.ports == ports;
    let known: Vec<&Slice> = free.extract_if(.., |slice| ours(slice)).collect();
    let mut slices: Vec<Slice> = known.iter().map(|slice| (*slice).clone()).collect();
    let mut rest = keep_places(&mut slices, endpoints).into_iter();
    for slice in &mut slices {
        let room = MOST_ENDPOINTS.saturating_sub(slice.endpoints.len());
        slice.endpoints.extend(rest.by_ref().take(room));
    }
    let rest: Vec<_> = rest.collect();
    let fresh = |endpoints: &[Endpoint]| Slice {
        name: String::new(),
        labels: Labels::new(),
        address_type: family,
        ports: ports.clone(),
        endpoints: endpoints.to_vec(),
    };
    slices.extend(rest.chunks(MOST_ENDPOINTS).map(fresh));
    if ports.is_empty() && slices.iter().all(|slice| slice.endpoints.is_empty()) {
        slices.truncate(1);
        if slices.is_empty() {
            slices.push(fresh(&[]));
        }
    } else {
        slices.retain(|slice| !slice.endpoints.is_empty());
    }
    let used = |slice: &&Slice| slices.iter().any(|used| used.name == slice.name);
    free.extend(known.into_iter().filter(|slice| !used(slice)));
    slices
}

/// Leaves every endpoint in the slice that has its address, in the slice's own order, so that
/// what did not change is written as it was. Returns the endpoints that are in no slice.
fn keep_places(slices: &mut [Slice], mut endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
    for slice in slices {
        let here: Vec<_> = slice
            .endpoints
            .iter()
            .map(|e| e.addresses.clone())
            .collect();
        let stays = |endpoint: &Endpoint| here.contains(&endpoint.addresses);
        let (mut kept, rest): (Vec<_>, Vec<_>) = endpoints.into_iter().partition(stays);
        kept.sort_by_key(|kept| {
            here.iter()
                .position(|addresses| *addresses == kept.addresses)
        });
        slice.endpoints = kept;
        endpoints = rest;
    }
    endpoints
}

/// Writes a new slice over one that is no longer needed, rather than making one and deleting one.
fn reuse(wanted: &mut [Slice], free: &mut Vec<&Slice>) {
    for slice in wanted.iter_mut().filter(|slice| slice.name.is_empty()) {
        let family = slice.address_type;
        if let Some(index) = free.iter().position(|unused| unused.address_type == family) {
            slice.name.clone_from(&free.remove(index).name);
        }
    }
}

#[cfg(test)]
#[path = "slice_plan_tests.rs"]
mod tests;
