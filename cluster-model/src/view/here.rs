//! Where the view is from.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::name::Family;
use crate::object::Node;

/// The node from which Services are seen, and what it is told to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The node's name.
    pub node: Arc<str>,
    /// Where node ports answer.
    pub node_ports: NodePortAddresses,
    /// Whether `externalIPs` are served.
    pub external_ips: bool,
    /// Prefixes in which this node asks its neighbours for an address.
    pub on_link: Vec<IpNet>,
}

/// The addresses of this node at which node ports answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// The first of the Node object's addresses of each family.
    Primary,
    /// These.
    These(Vec<IpAddr>),
}

impl Here {
    /// The node of this name, with what is the default: node ports at its primary addresses,
    /// external IPs served.
    pub fn new(node: impl Into<Arc<str>>) -> Self {
        Self {
            node: node.into(),
            node_ports: NodePortAddresses::Primary,
            external_ips: true,
            on_link: Vec::new(),
        }
    }

    /// The addresses at which node ports answer, given this node's object if there is one.
    pub fn node_port_addresses(&self, node: Option<&Node>) -> Vec<IpAddr> {
        match &self.node_ports {
            NodePortAddresses::These(addresses) => addresses.clone(),
            NodePortAddresses::Primary => {
                let own = node.map_or(&[][..], |node| &node.addresses);
                let first = |family| own.iter().find(|own| Family::of(**own) == family).copied();
                [Family::V4, Family::V6]
                    .into_iter()
                    .filter_map(first)
                    .collect()
            }
        }
    }
}
