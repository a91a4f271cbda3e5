//! Pods, as far as DNS asks for them: who lives at an address.
//!
//! Empty unless pods are watched; they are no part of what becomes dirty, because nothing is
//! planned from them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::ClusterIndex;
use crate::name::PodName;
use crate::object::Pod;

/// Every pod by its name, and every address with the pods that have it: pods in their node's
/// network share its addresses.
#[derive(Debug, Default)]
pub(super) struct Pods {
    by_name: BTreeMap<PodName, Pod>,
    by_address: BTreeSet<(IpAddr, PodName)>,
}

impl ClusterIndex {
    /// Adds a pod or puts it in the place of the one of that name.
    pub fn apply_pod(&mut self, pod: Pod) {
        self.delete_pod(&pod.name.clone());
        let addresses = pod.addresses.iter();
        self.pods
            .by_address
            .extend(addresses.map(|&address| (address, pod.name.clone())));
        self.pods.by_name.insert(pod.name.clone(), pod);
    }

    /// Removes a pod.
    pub fn delete_pod(&mut self, name: &PodName) {
        let old = self.pods.by_name.remove(name);
        for address in old.iter().flat_map(|pod| &pod.addresses) {
            self.pods.by_address.remove(&(*address, name.clone()));
        }
    }

    /// Makes `pods` all the pods there are: what a full list says.
    pub fn replace_pods(&mut self, pods: Vec<Pod>) {
        self.pods = Pods::default();
        pods.into_iter().for_each(|pod| self.apply_pod(pod));
    }

    /// Whether a pod of `namespace` has this address.
    pub fn pod_lives_at(&self, namespace: &str, address: IpAddr) -> bool {
        self.pods_at(address)
            .any(|pod| &*pod.name.namespace == namespace)
    }

    /// Whether any pod lives in `namespace`.
    pub fn namespace_has_pods(&self, namespace: &str) -> bool {
        let first = PodName::new(namespace, "");
        let next = self.pods.by_name.range(first..).next();
        next.is_some_and(|(name, _)| &*name.namespace == namespace)
    }

    /// The namespace of the pod that sends from this address; none where pods share it.
    pub fn namespace_of_pod_at(&self, address: IpAddr) -> Option<&Arc<str>> {
        let mut pods = self.pods_at(address);
        let only = pods.next().filter(|pod| !pod.host_network)?;
        pods.next().is_none().then_some(&only.name.namespace)
    }

    fn pods_at(&self, address: IpAddr) -> impl Iterator<Item = &Pod> {
        // No namespace sorts before the empty one.
        let first = (address, PodName::new("", ""));
        self.pods
            .by_address
            .range(first..)
            .take_while(move |(at, _)| *at == address)
            .filter_map(|(_, name)| self.pods.by_name.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ip, mk_pod};

    #[test]
    fn pods_are_found_at_their_addresses_until_they_are_gone() {
        let mut index = ClusterIndex::default();
        let host = |name: &str| mk_pod("system", name, "172.30.0.11").host_network();
        index.apply_pod(mk_pod("shop", "web-1", "10.244.1.2").address("fd00::2"));
        index.apply_pod(host("agent"));
        index.apply_pod(host("other"));
        for address in ["10.244.1.2", "fd00::2"] {
            assert!(index.pod_lives_at("shop", ip(address)), "{address}");
            assert!(!index.pod_lives_at("system", ip(address)), "{address}");
            let namespace = index.namespace_of_pod_at(ip(address));
            assert_eq!(namespace.map(|name| &**name), Some("shop"));
        }
        assert!(index.pod_lives_at("system", ip("172.30.0.11")));
        assert_eq!(index.namespace_of_pod_at(ip("172.30.0.11")), None);
        assert!(index.namespace_has_pods("shop") && !index.namespace_has_pods("sho"));
        assert!(
            index.take_dirty().is_empty(),
            "nothing is planned from pods"
        );

        index.apply_pod(mk_pod("shop", "web-1", "10.244.1.3"));
        assert!(!index.pod_lives_at("shop", ip("10.244.1.2")), "it moved");
        index.replace_pods(vec![mk_pod("shop", "web-2", "10.244.1.4")]);
        assert!(!index.pod_lives_at("shop", ip("10.244.1.3")));
        index.delete_pod(&PodName::new("shop", "web-2"));
        assert!(!index.namespace_has_pods("shop"));
        assert!(index.pods.by_address.is_empty());
    }
}
