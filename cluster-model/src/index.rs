//! The index: every Service with its slices, every node, and what changed since it was last
//! asked.
//!
//! The cost of a change depends on the changed Service alone (and a logarithm): slices are kept
//! under the Service they belong to. An object equal to the one already held is no change.

mod apply;
mod pods;
mod service_cidrs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use self::pods::Pods;
use crate::name::{ServiceName, SliceName};
use crate::object::{EndpointSlice, Hints, Node, Service, ServiceCidr};

/// What changed since the last [`ClusterIndex::take_dirty`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Services of which the object or a slice appeared, changed or went. A Service that is gone
    /// is named too.
    pub services: BTreeSet<ServiceName>,
    /// Whether any node appeared, changed or went.
    pub nodes: bool,
    /// Whether any ServiceCIDR did.
    pub service_cidrs: bool,
    /// How much that was, and since when it waits.
    pub changes: Changes,
}

/// What the changes came to, for those who count and time them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changed Service objects.
    pub services: u64,
    /// Changed EndpointSlice objects.
    pub slices: u64,
    /// When that happened which a slice newly tells of ([`EndpointSlice::triggered`]).
    pub triggered: Vec<SystemTime>,
}

impl Dirty {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        let Self {
            services,
            nodes,
            service_cidrs,
            changes: _,
        } = self;
        services.is_empty() && !nodes && !service_cidrs
    }

    /// Adds what `other` names.
    pub fn merge(&mut self, other: Self) {
        let Self {
            services,
            nodes,
            service_cidrs,
            changes,
        } = other;
        self.services.extend(services);
        self.nodes |= nodes;
        self.service_cidrs |= service_cidrs;
        self.changes.services += changes.services;
        self.changes.slices += changes.slices;
        self.changes.triggered.extend(changes.triggered);
    }
}

/// One Service name: the object, the slices that name it, or both. Slices may arrive first.
#[derive(Debug, Default)]
struct Entry {
    service: Option<Service>,
    /// Sorted by slice name. Few, so a list rather than a map.
    slices: Vec<EndpointSlice>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.service.is_none() && self.slices.is_empty()
    }
}

/// Everything flatnet knows of the cluster, indexed for the questions it asks.
#[derive(Debug, Default)]
pub struct ClusterIndex {
    /// Namespace, then Service name. Two levels, so that DNS looks up by plain `&str`.
    entries: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Entry>>,
    /// Which Service each slice is kept under: deletions name the slice alone, and a changed
    /// label moves it.
    slice_owners: BTreeMap<SliceName, ServiceName>,
    /// Who answers at a cluster IP. A set of pairs: during a re-creation two Services may claim
    /// the same address for a moment.
    cluster_ips: BTreeSet<(IpAddr, ServiceName)>,
    /// Which Services list an endpoint *with a hostname* at an address.
    hostnames: BTreeSet<(IpAddr, ServiceName)>,
    nodes: BTreeMap<Arc<str>, Node>,
    service_cidrs: BTreeMap<Arc<str>, ServiceCidr>,
    pods: Pods,
    /// Names of nodes and zones as the endpoints repeat them, each kept once.
    shared: BTreeSet<Arc<str>>,
    /// Hints as the endpoints repeat them, likewise.
    shared_hints: BTreeSet<Arc<Hints>>,
    dirty: Dirty,
}

impl ClusterIndex {
    /// Hands over what changed since the last call, and forgets it.
    pub fn take_dirty(&mut self) -> Dirty {
        mem::take(&mut self.dirty)
    }
    /// The Service of that name.
    pub fn service(&self, name: &ServiceName) -> Option<&Service> {
        self.service_named(&name.namespace, &name.name)
    }

    /// The Service of that namespace and name, for callers that hold plain strings.
    pub fn service_named(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.entries.get(namespace)?.get(name)?.service.as_ref()
    }

    /// Every Service, by namespace and name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.entries
            .values()
            .flat_map(BTreeMap::values)
            .filter_map(|e| e.service.as_ref())
    }

    /// The slices that name this Service, by slice name. Empty too when there is no such Service.
    pub fn slices(&self, name: &ServiceName) -> &[EndpointSlice] {
        let entry = self
            .entries
            .get(&name.namespace)
            .and_then(|names| names.get(&name.name));
        entry.map_or(&[], |entry| &entry.slices)
    }

    /// Whether any Service lives in `namespace`: what makes it a level of the DNS tree.
    pub fn namespace_exists(&self, namespace: &str) -> bool {
        let names = self.entries.get(namespace);
        names.is_some_and(|names| names.values().any(|entry| entry.service.is_some()))
    }

    /// Services with this cluster IP: one, but for the moment of a re-creation.
    pub fn services_at(&self, cluster_ip: IpAddr) -> impl Iterator<Item = &Service> {
        pairs_at(&self.cluster_ips, cluster_ip).filter_map(|name| self.service(name))
    }

    /// Services of which a slice lists an endpoint with a hostname at this address.
    pub fn services_with_hostname_at(&self, address: IpAddr) -> impl Iterator<Item = &Service> {
        pairs_at(&self.hostnames, address).filter_map(|name| self.service(name))
    }

    /// Every node, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Every ServiceCIDR, by name. None also where the API server does not tell.
    pub fn service_cidrs(&self) -> impl Iterator<Item = &ServiceCidr> {
        self.service_cidrs.values()
    }
}

/// The names paired with `address`, without walking the rest of the set.
fn pairs_at(
    pairs: &BTreeSet<(IpAddr, ServiceName)>,
    address: IpAddr,
) -> impl Iterator<Item = &ServiceName> {
    // No namespace sorts before the empty one.
    let first = (address, ServiceName::new("", ""));
    pairs
        .range(first..)
        .take_while(move |(at, _)| *at == address)
        .map(|(_, name)| name)
}
