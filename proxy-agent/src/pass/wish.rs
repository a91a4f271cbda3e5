//! What the cluster wants of this node: taken out of the index in one go, so that nothing holds
//! the index while the kernel is looked at.

use std::collections::BTreeMap;

use cluster_model::{ClusterIndex, Node, ServiceName};

use crate::plan::desired::{self, Lists};

/// The cluster's side of a full pass.
pub struct Wish {
    /// Every node, this one among them.
    pub nodes: Vec<Node>,
    /// What each Service wants here.
    pub services: BTreeMap<ServiceName, Lists>,
}

impl Wish {
    /// What `index` wants of the node with this name.
    #[must_use]
    pub fn of(index: &ClusterIndex, node: &str) -> Self {
        let names = index.services().map(|service| &service.name);
        Self {
            nodes: index.nodes().cloned().collect(),
            services: lists(index, names, node),
        }
    }
}

/// What these Services want on this node.
#[must_use]
pub fn lists<'a>(
    index: &ClusterIndex,
    services: impl Iterator<Item = &'a ServiceName>,
    node: &str,
) -> BTreeMap<ServiceName, Lists> {
    services
        .map(|service| (service.clone(), desired::of_service(index, service, node)))
        .collect()
}
