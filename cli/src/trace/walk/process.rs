//! What a process of the node sends: connect(), the node's routes, and the programs where its
//! packets leave.

use super::translate::Hook;
use super::{Source, Step, Walker};
use crate::trace::path::{Kind, Protocol};

impl Walker<'_> {
    pub(super) fn process_sends(&mut self, node: &str) -> Step<Source> {
        let does = if self.answers { "answers" } else { "sends" };
        let place = format!("a process of {node}");
        self.hop(Some(node), (Kind::Application, "the node"), place, does);
        let facts = self.facts.node(node)?;
        if !self.answers {
            let to = self.tuple.to.address;
            if to.is_loopback() || facts.addresses.contains(&to) {
                // No packet program would see it.
                if self.choose(node, false)?.is_some() {
                    self.point(node)?;
                }
            } else if self.protocol == Protocol::Tcp && facts.socket_path {
                self.connect(node)?;
            }
        }
        let to = self.tuple.to.address;
        if to.is_loopback() || facts.addresses.contains(&to) {
            return self.loopback(node, to);
        }
        let route = self.facts.route(node, to, None, None)?.clone();
        let pods = facts.pods.iter().find(|pod| pod.address == to);
        if let Some(interface) = pods.map(|pod| pod.interface.clone()) {
            self.routed(node, &route);
            self.pass_to_pod(node, &interface)?;
            return self.deliver_to_pod(node, to);
        }
        self.leave(node, &route)
    }

    /// The program at the egress of a pod's interface.
    fn pass_to_pod(&mut self, node: &str, interface: &str) -> Step<()> {
        let turned = self.translate(node, Hook::ToPod)?;
        let place = format!("{interface} egress");
        let does = "the node's own packet to the pod";
        let hop = self.hop(Some(node), (Kind::ToPod, "flatnet to_pod"), place, does);
        hop.shown_by = Some(format!("tc filter show dev {interface} egress"));
        self.tell(turned);
        Ok(())
    }
}
