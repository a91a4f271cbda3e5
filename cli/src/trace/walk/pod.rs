//! What a pod sends: connect(), its veth, the program from_pod, and on to a pod of this node or
//! out of it.

use std::net::IpAddr;

use super::translate::Hook;
use super::{Source, Step, Walker, ended};
use crate::trace::path::{Change, Kind, Protocol, Tuple};

impl Walker<'_> {
    pub(super) fn pod_sends(&mut self, node: &str, own: IpAddr) -> Step<Source> {
        let called = self.called(own);
        let facts = self.facts.node(node)?;
        let Some(pod) = facts.pods.iter().find(|pod| pod.address == own).cloned() else {
            let words = format!("{node} has no pod at {own}: the CNI plugin has not added it");
            return Err(ended("no-pod", words, called));
        };
        let does = if self.answers { "answers" } else { "sends" };
        self.hop(Some(node), (Kind::Application, "the pod"), &called, does);
        if !self.answers && self.protocol == Protocol::Tcp && facts.socket_path && !pod.packets {
            self.connect(node)?;
        }
        if self.tuple.to.address == own {
            return self.loopback(node, own);
        }
        let does = format!("eth0 in the pod to {} on the node", pod.interface);
        self.hop(
            Some(node),
            (Kind::PodInterface, "CNI plugin (ADD)"),
            &called,
            does,
        )
        .shown_by = Some(format!("ip link show {}", pod.interface));
        let turned = self.translate(node, Hook::FromPod);
        let program = format!("{} ingress", pod.interface);
        let hop = self.hop(
            Some(node),
            (Kind::FromPod, "flatnet from_pod"),
            program,
            "the source is its own",
        );
        hop.shown_by = Some(format!("tc filter show dev {} ingress", pod.interface));
        let turned = self.settle(turned)?;
        self.tell(turned);
        self.forward_from(node, &pod.interface, pod.shaped)
    }

    /// connect() to a frontend, where the socket programs choose the endpoint.
    pub(super) fn connect(&mut self, node: &str) -> Step<()> {
        let Some(to) = self.tuple.to.socket() else {
            return Ok(());
        };
        let Some(front) = self.facts.front(node, to, self.protocol)? else {
            return Ok(());
        };
        let asks = front.service.affinity_seconds != 0 || front.frontend.limited;
        let left = front.frontend.inside.endpoints.is_empty() && front.frontend.inside.drops;
        if asks || left {
            // The packet programs' business: they see the client's address.
            return Ok(());
        }
        self.point(node)
    }

    /// Points the socket at an endpoint.
    pub(super) fn point(&mut self, node: &str) -> Step<()> {
        let chosen = self.choose(node, false);
        let call = match self.protocol {
            Protocol::Tcp => "connect()",
            Protocol::Udp => "sendto()",
        };
        self.hop(
            Some(node),
            (Kind::Connect, "flatnet (socket)"),
            call,
            "no frontend",
        );
        let Some(chosen) = self.settle(chosen)? else {
            return Ok(());
        };
        self.candidates = chosen.among;
        let Some(hop) = self.hops.last_mut() else {
            return Ok(());
        };
        hop.does = format!("{}; no packet is rewritten", chosen.does);
        hop.shown_by = Some(chosen.shown_by);
        let before = self.tuple;
        let after = Tuple {
            to: chosen.endpoint.into(),
            ..before
        };
        hop.change = Some(Change { before, after });
        self.tuple = after;
        Ok(())
    }

    /// Writes what a translation did into the last hop.
    pub(super) fn tell(&mut self, turned: Option<(Change, String, String)>) {
        if let (Some((change, does, shown_by)), Some(hop)) = (turned, self.hops.last_mut()) {
            hop.change = Some(change);
            hop.does = does;
            hop.shown_by = Some(shown_by);
        }
    }

    /// A packet that the node forwards, come in at an interface.
    pub(super) fn forward_from(&mut self, node: &str, arrives: &str, shaped: bool) -> Step<Source> {
        let facts = self.facts.node(node)?;
        let to = self.tuple.to.address;
        if facts.pods.iter().any(|pod| pod.address == to) {
            if shaped {
                self.hop(
                    Some(node),
                    (Kind::Stack, "node's kernel"),
                    "queues",
                    "bandwidth is limited",
                );
            }
            return self.deliver_to_pod(node, to);
        }
        if facts.addresses.contains(&to) {
            return self.deliver_to_node(node, to);
        }
        let from = self.tuple.from.address;
        // A source of the node's own is refused by the kernel's input check, so ask as the node.
        let own = facts.addresses.contains(&from);
        let (from, arrives) = match own {
            true => (None, None),
            false => (Some(from), Some(arrives)),
        };
        let route = self.facts.route(node, to, from, arrives)?.clone();
        self.leave(node, &route)
    }
}
