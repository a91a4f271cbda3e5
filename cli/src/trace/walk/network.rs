//! Out of a node, between the nodes, and into the next.

use proxy_agent::local::api::{Node, Route};

use super::translate::Hook;
use super::{Source, Step, Walker, ended};
use crate::trace::path::{Change, End, Kind, Tuple};

impl Walker<'_> {
    /// The route that the packet takes.
    pub(super) fn routed(&mut self, node: &str, route: &Route) {
        let prefix = route
            .prefix
            .map_or("default".to_owned(), |prefix| prefix.to_string());
        let mut does = format!("route {prefix}");
        if let Some(gateway) = route.gateway {
            does += &format!(" via {gateway}");
        }
        if let Some(leaves) = &route.leaves {
            does += &format!(" dev {leaves}");
        }
        does += &format!(", written by {}", route.writer);
        self.hop(Some(node), (Kind::Stack, "node's kernel"), "routes", does)
            .shown_by = Some(route.command.clone());
    }

    /// Out of the node by a route.
    pub(super) fn leave(&mut self, node: &str, route: &Route) -> Step<Source> {
        let to = self.tuple.to.address;
        self.routed(node, route);
        let Some(leaves) = route.leaves.clone().filter(|_| route.kind == "unicast") else {
            let words = format!("{node} has no way to {to}: {}", route.kind);
            return Err(ended("no-route", words, format!("routes of {node}")));
        };
        let facts = self.facts.node(node)?;
        let kind = facts.interfaces.iter().find(|one| one.name == leaves);
        let kind = kind.map_or("other", |one| one.kind.as_str());
        match kind {
            "tunnel" => {
                let does = "VXLAN, so that nothing between the nodes sees a pod's address";
                self.hop(Some(node), (Kind::Tunnel, "flatnet's agent"), &leaves, does)
                    .shown_by = Some(format!("ip -d link show {leaves}"));
            }
            "uplink" => self.pass_to_network(node, &leaves)?,
            _ => {
                let words = format!("{to} leads to {leaves}, which is none of flatnet's");
                return Err(super::Stop::Ended(crate::trace::path::Outcome::NotKnown {
                    words,
                }));
            }
        }
        // A frontend of another node is asked for there.
        if self.tuple.to.address != to {
            return self.reach_endpoint(node, &leaves);
        }
        self.cross(node, kind == "tunnel")
    }

    /// The node's own packet to a frontend, translated as it left: its endpoint may be here.
    fn reach_endpoint(&mut self, node: &str, leaves: &str) -> Step<Source> {
        let to = self.tuple.to.address;
        let facts = self.facts.node(node)?;
        if facts.pods.iter().any(|pod| pod.address == to) {
            return self.deliver_to_pod(node, to);
        }
        if facts.addresses.contains(&to) {
            let does = "turned round: the endpoint is a process of this node";
            self.hop(
                Some(node),
                (Kind::FromNetwork, "flatnet from_network"),
                format!("{leaves} ingress"),
                does,
            );
            return self.deliver_to_node(node, to);
        }
        self.cross(node, false)
    }

    /// The program at the egress of an uplink.
    fn pass_to_network(&mut self, node: &str, uplink: &str) -> Step<()> {
        let own = matches!(
            self.hops.first().map(|hop| (&hop.kind, &hop.owner)),
            Some((Kind::Application, owner)) if owner == "the node"
        ) && self.hops.first().and_then(|hop| hop.node.as_deref()) == Some(node);
        let turned = match own {
            true => self.translate(node, Hook::ToNetwork),
            false => Ok(None),
        };
        let facts = self.facts.node(node)?;
        let masqueraded = masqueraded(facts, uplink, self.tuple);
        let place = format!("{uplink} egress");
        let hop = self.hop(
            Some(node),
            (Kind::ToNetwork, "flatnet to_network"),
            place,
            "passes as it is",
        );
        hop.shown_by = Some(format!("bpftool net show dev {uplink}"));
        let turned = self.settle(turned)?;
        if turned.is_none() && !self.answers {
            let refused = self.refuse_without_service(node);
            self.settle(refused)?;
        }
        self.tell(turned);
        if let Some(after) = masqueraded.filter(|_| !self.answers) {
            let change = Change {
                before: self.tuple,
                after,
            };
            self.note(node, change, true);
            let does = "masquerade: it leaves the cluster under the node's address".to_owned();
            self.tell(Some((change, does, "flatnet flows".to_owned())));
        }
        Ok(())
    }

    /// Nobody is at a cluster IP but through a Service.
    fn refuse_without_service(&self, node: &str) -> Step<()> {
        let to = self.tuple.to.address;
        let facts = self.facts.node(node)?;
        if !facts.service_cidrs.iter().any(|net| net.contains(&to)) {
            return Ok(());
        }
        let words = format!("refused: {to} is a cluster IP, and no Service has it");
        Err(ended("no-service", words, "flatnet services".to_owned()))
    }

    /// Between the nodes, to the node that has the destination.
    fn cross(&mut self, node: &str, tunnel: bool) -> Step<Source> {
        let to = self.tuple.to.address;
        match self.node_of(to)? {
            Some(peer) if peer != node => {
                let does = if tunnel {
                    "outer packet between the nodes"
                } else {
                    "as it left"
                };
                self.hop(
                    None,
                    (Kind::Fabric, "the network"),
                    "between the nodes",
                    does,
                );
                self.arrive(&peer, Some(tunnel))
            }
            _ => {
                let place = self.called(to);
                let does = if self.answers {
                    "the answer arrives"
                } else {
                    "beyond the nodes"
                };
                self.hop(None, (Kind::Outside, "its own"), place, does);
                Ok(Source::Outside(to))
            }
        }
    }

    /// Into a node, from another one (then by a tunnel or not) or from outside.
    pub(super) fn arrive(&mut self, node: &str, tunnel: Option<bool>) -> Step<Source> {
        let facts = self.facts.node(node)?;
        let kind = if tunnel == Some(true) {
            "tunnel"
        } else {
            "uplink"
        };
        let to = self.tuple.to.address;
        let of_family = |one: &&proxy_agent::local::api::Interface| {
            one.kind == kind
                && (kind == "tunnel"
                    || one
                        .addresses
                        .iter()
                        .any(|net| net.addr().is_ipv4() == to.is_ipv4()))
        };
        let uplink = facts.interfaces.iter().find(of_family);
        let uplink = uplink.map_or(kind.to_owned(), |one| one.name.clone());
        let turned = self.translate(node, Hook::FromNetwork);
        let place = format!("{uplink} ingress");
        let hop = self.hop(
            Some(node),
            (Kind::FromNetwork, "flatnet from_network"),
            place,
            "passes as it is",
        );
        hop.shown_by = Some(format!("bpftool net show dev {uplink}"));
        let turned = self.settle(turned)?;
        self.tell(turned);
        self.forward_from(node, &uplink, false)
    }
}

/// The tuple of a pod's packet as it leaves the cluster here; none if it stays as it is.
fn masqueraded(node: &Node, uplink: &str, tuple: Tuple) -> Option<Tuple> {
    let Tuple { from, to } = tuple;
    let inside = node.inside.iter().any(|net| net.contains(&to.address));
    let is_pods = node.pods.iter().any(|pod| pod.address == from.address);
    let here = node.interfaces.iter().find(|one| one.name == uplink)?;
    let mut addresses = here.masquerade.iter();
    let address = addresses.find(|one| one.is_ipv4() == to.address.is_ipv4())?;
    (is_pods && !inside).then(|| Tuple {
        from: End::any(*address),
        to,
    })
}
