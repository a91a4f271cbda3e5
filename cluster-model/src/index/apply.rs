//! The one way into the index: single objects, deletions, full lists.

use std::collections::BTreeSet;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::{ClusterIndex, Entry};
use crate::name::{ServiceName, SliceName};
use crate::object::{EndpointSlice, Node, Service};

/// What goes in. Every method records what it changed; none reports an error, because an index
/// has no way to be wrong about what it was told last.
impl ClusterIndex {
    /// Adds a Service or puts it in the place of the one of that name.
    pub fn apply_service(&mut self, service: Service) {
        let name = service.name.clone();
        let entry = self.entry_mut(&name);
        if entry.service.as_ref() == Some(&service) {
            return;
        }
        let new_ips = service.cluster_ips.clone();
        let old = entry.service.replace(service);
        self.reindex_cluster_ips(&name, old.as_ref(), &new_ips);
        self.service_changed(name);
    }

    /// Removes a Service. Its slices stay until they are deleted themselves.
    pub fn delete_service(&mut self, name: &ServiceName) {
        let Some(old) = self
            .existing_mut(name)
            .and_then(|entry| entry.service.take())
        else {
            return;
        };
        self.reindex_cluster_ips(name, Some(&old), &[]);
        self.drop_if_empty(name);
        self.service_changed(name.clone());
    }

    /// Makes `services` all the Services there are: what a full list says.
    pub fn replace_services(&mut self, services: Vec<Service>) {
        let listed: BTreeSet<_> = services
            .iter()
            .map(|service| service.name.clone())
            .collect();
        let gone: Vec<_> = self
            .services()
            .map(|s| &s.name)
            .filter(|n| !listed.contains(n))
            .cloned()
            .collect();
        gone.iter().for_each(|name| self.delete_service(name));
        services
            .into_iter()
            .for_each(|service| self.apply_service(service));
    }

    /// Adds a slice or puts it in the place of the one of that name, and moves it when it names
    /// another Service than before.
    pub fn apply_slice(&mut self, mut slice: EndpointSlice) {
        self.share_names(&mut slice);
        let (slice_name, owner) = (slice.slice_name(), slice.service.clone());
        if self
            .slice_owners
            .get(&slice_name)
            .is_some_and(|before| *before != owner)
        {
            self.delete_slice(&slice_name);
        }
        let entry = self.entry_mut(&owner);
        let triggered = slice.triggered;
        let replaced = match entry
            .slices
            .binary_search_by(|held| held.name.cmp(&slice.name))
        {
            Ok(at) if entry.slices[at] == slice => return,
            Ok(at) => Some(mem::replace(&mut entry.slices[at], slice)),
            Err(at) => {
                entry.slices.insert(at, slice);
                None
            }
        };
        self.slice_owners.insert(slice_name, owner.clone());
        self.reindex_hostnames(&owner, replaced.as_ref());
        let known = replaced.and_then(|slice| slice.triggered);
        self.slice_changed(owner, triggered.filter(|at| Some(*at) > known));
    }

    /// Removes a slice, under whichever Service it was.
    pub fn delete_slice(&mut self, name: &SliceName) {
        let Some(owner) = self.slice_owners.remove(name) else {
            return;
        };
        let Some(entry) = self.existing_mut(&owner) else {
            return;
        };
        let Ok(at) = entry
            .slices
            .binary_search_by(|held| held.name.cmp(&name.name))
        else {
            return;
        };
        let old = entry.slices.remove(at);
        self.reindex_hostnames(&owner, Some(&old));
        self.drop_if_empty(&owner);
        self.slice_changed(owner, None);
    }

    /// Makes `slices` all the slices there are: what a full list says.
    pub fn replace_slices(&mut self, slices: Vec<EndpointSlice>) {
        let listed: BTreeSet<_> = slices.iter().map(EndpointSlice::slice_name).collect();
        let gone: Vec<_> = self
            .slice_owners
            .keys()
            .filter(|name| !listed.contains(name))
            .cloned()
            .collect();
        gone.iter().for_each(|name| self.delete_slice(name));
        slices.into_iter().for_each(|slice| self.apply_slice(slice));
        self.shared.retain(|name| Arc::strong_count(name) > 1);
        self.shared_hints
            .retain(|hints| Arc::strong_count(hints) > 1);
    }

    /// Adds a node or puts it in the place of the one of that name.
    pub fn apply_node(&mut self, node: Node) {
        if self.nodes.get(&node.name) == Some(&node) {
            return;
        }
        self.nodes.insert(node.name.clone(), node);
        self.dirty.nodes = true;
    }

    /// Removes a node.
    pub fn delete_node(&mut self, name: &str) {
        if self.nodes.remove(name).is_some() {
            self.dirty.nodes = true;
        }
    }

    /// Makes `nodes` all the nodes there are: what a full list says.
    pub fn replace_nodes(&mut self, nodes: Vec<Node>) {
        let listed: BTreeSet<_> = nodes.iter().map(|node| node.name.clone()).collect();
        let gone: Vec<_> = self
            .nodes
            .keys()
            .filter(|name| !listed.contains(*name))
            .cloned()
            .collect();
        gone.iter().for_each(|name| self.delete_node(name));
        nodes.into_iter().for_each(|node| self.apply_node(node));
    }
}

/// Upkeep.
impl ClusterIndex {
    fn service_changed(&mut self, name: ServiceName) {
        self.dirty.services.insert(name);
        self.dirty.changes.services += 1;
    }

    fn slice_changed(&mut self, owner: ServiceName, triggered: Option<SystemTime>) {
        self.dirty.services.insert(owner);
        self.dirty.changes.slices += 1;
        self.dirty.changes.triggered.extend(triggered);
    }

    fn entry_mut(&mut self, name: &ServiceName) -> &mut Entry {
        let names = self.entries.entry(name.namespace.clone()).or_default();
        names.entry(name.name.clone()).or_default()
    }

    fn existing_mut(&mut self, name: &ServiceName) -> Option<&mut Entry> {
        self.entries.get_mut(&name.namespace)?.get_mut(&name.name)
    }

    fn drop_if_empty(&mut self, name: &ServiceName) {
        let Some(names) = self.entries.get_mut(&name.namespace) else {
            return;
        };
        if names.get(&name.name).is_some_and(Entry::is_empty) {
            names.remove(&name.name);
        }
        if names.is_empty() {
            self.entries.remove(&name.namespace);
        }
    }

    fn reindex_cluster_ips(&mut self, name: &ServiceName, old: Option<&Service>, new: &[IpAddr]) {
        for &address in old.iter().flat_map(|service| &service.cluster_ips) {
            self.cluster_ips.remove(&(address, name.clone()));
        }
        self.cluster_ips
            .extend(new.iter().map(|&address| (address, name.clone())));
    }

    /// Takes out what `replaced` said and puts back what the Service's slices say now: another
    /// slice may list the same address.
    fn reindex_hostnames(&mut self, owner: &ServiceName, replaced: Option<&EndpointSlice>) {
        for address in replaced.iter().flat_map(|slice| hostname_addresses(slice)) {
            self.hostnames.remove(&(address, owner.clone()));
        }
        let now: Vec<_> = self
            .slices(owner)
            .iter()
            .flat_map(hostname_addresses)
            .collect();
        self.hostnames
            .extend(now.into_iter().map(|address| (address, owner.clone())));
    }

    /// Makes all endpoints of a node share one copy of its name and of its zone's, and those with
    /// the same hints one copy of these.
    fn share_names(&mut self, slice: &mut EndpointSlice) {
        let words = slice
            .endpoints
            .iter_mut()
            .flat_map(|e| [&mut e.node, &mut e.zone]);
        for word in words.flatten() {
            match self.shared.get(word) {
                Some(known) => *word = known.clone(),
                None => _ = self.shared.insert(word.clone()),
            }
        }
        for hints in slice.endpoints.iter_mut().flat_map(|e| &mut e.hints) {
            match self.shared_hints.get(hints) {
                Some(known) => *hints = known.clone(),
                None => _ = self.shared_hints.insert(hints.clone()),
            }
        }
    }
}

/// The addresses of the slice's endpoints that have a hostname.
fn hostname_addresses(slice: &EndpointSlice) -> impl Iterator<Item = IpAddr> {
    slice
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.hostname.is_some())
        .map(|e| e.address)
}
