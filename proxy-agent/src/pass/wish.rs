//! What the cluster wants of this node: taken out of the index in one go, so that nothing holds
//! the index while the kernel is looked at.

use cluster_model::{ClusterIndex, Here, Node, ServiceName};
use ipnet::IpNet;

use crate::args::Options;
use crate::plan::desired;
use crate::plan::interfaces::{self, Interfaces};
use crate::plan::services::Wishes;

/// From where Services are seen: the node of these options, with these interfaces.
pub(super) fn here(options: &Options, interfaces: &Interfaces) -> Here {
    Here {
        node: options.node_name.as_str().into(),
        node_ports: options.services.nodeport_addresses.addresses(interfaces),
        external_ips: options.services.external_ips,
        on_link: interfaces::on_link(interfaces),
    }
}

/// The cluster's side of a full pass.
pub struct Wish {
    /// Every node, this one among them.
    pub nodes: Vec<Node>,
    /// Where cluster IPs come from, as the API server says.
    pub service_cidrs: Vec<IpNet>,
    /// What each Service wants here; `None` leaves all as they are.
    pub services: Option<Wishes>,
}

impl Wish {
    /// What `index` wants of the node that `here` tells of.
    #[must_use]
    pub fn of(index: &ClusterIndex, here: &Here) -> Self {
        let names = index.services().map(|service| &service.name);
        Self {
            services: Some(wishes(index, names, here)),
            ..Self::of_node(index)
        }
    }

    /// The same of the node alone.
    #[must_use]
    pub fn of_node(index: &ClusterIndex) -> Self {
        let service_cidrs = index.service_cidrs().flat_map(|cidr| &cidr.cidrs);
        Self {
            nodes: index.nodes().cloned().collect(),
            service_cidrs: service_cidrs.copied().collect(),
            services: None,
        }
    }
}

/// What these Services want on this node.
#[must_use]
pub fn wishes<'a>(
    index: &ClusterIndex,
    services: impl Iterator<Item = &'a ServiceName>,
    here: &Here,
) -> Wishes {
    services
        .map(|service| (service.clone(), desired::of_service(index, service, here)))
        .collect()
}
