//! The end of a walk: into a pod or a process of the node, and who listens there.

use std::net::{IpAddr, SocketAddr};

use super::{Source, Step, Stop, Walker, ended};
use crate::trace::path::{Kind, Outcome};

/// A process that does not run: its kernel takes what comes for it, so that a connection succeeds.
pub(crate) const STOPPED: &str = "process-stopped";

impl Walker<'_> {
    /// Into a pod of this node.
    pub(super) fn deliver_to_pod(&mut self, node: &str, address: IpAddr) -> Step<Source> {
        let facts = self.facts.node(node)?;
        let mut pods = facts.pods.iter();
        let interface = pods.find(|pod| pod.address == address);
        let interface = interface
            .map(|pod| pod.interface.clone())
            .unwrap_or_default();
        let place = self.called(address);
        let does = format!("{interface} on the node to eth0 in the pod");
        self.hop(
            Some(node),
            (Kind::PodInterface, "CNI plugin (ADD)"),
            &place,
            does,
        )
        .shown_by = Some(format!("ip link show {interface}"));
        self.socket(node, &place, "the pod")?;
        Ok(Source::Pod(node.to_owned(), address))
    }

    /// Into the node's own stack.
    pub(super) fn deliver_to_node(&mut self, node: &str, address: IpAddr) -> Step<Source> {
        let does = format!("{address} is the node's own");
        self.hop(Some(node), (Kind::Stack, "node's kernel"), "local", does)
            .shown_by = Some(format!("ip route get fibmatch {address}"));
        self.socket(node, &format!("a process of {node}"), "the node")?;
        Ok(Source::Process(node.to_owned(), address))
    }

    /// To itself: no interface is left.
    pub(super) fn loopback(&mut self, node: &str, address: IpAddr) -> Step<Source> {
        let facts = self.facts.node(node)?;
        let is_pods = facts.pods.iter().any(|pod| pod.address == address);
        let (owner, place) = match is_pods {
            true => ("the pod", self.called(address)),
            false => ("the node", format!("a process of {node}")),
        };
        let kernel = format!("{owner}'s kernel");
        self.hop(Some(node), (Kind::Loopback, &kernel), "lo", "to itself");
        self.socket(node, &place, owner)?;
        Ok(match is_pods {
            true => Source::Pod(node.to_owned(), address),
            false => Source::Process(node.to_owned(), address),
        })
    }

    /// The socket that takes the packet.
    fn socket(&mut self, node: &str, place: &str, owner: &str) -> Step<()> {
        let Some(at) = self.tuple.to.socket().filter(|_| !self.answers) else {
            self.hop(
                Some(node),
                (Kind::Application, owner),
                place,
                "the answer arrives",
            );
            return Ok(());
        };
        let listener = self.facts.listener(node, at, self.protocol)?.clone();
        if !listener.looked {
            let hop = self.hop(
                Some(node),
                (Kind::Listener, owner),
                place,
                "not looked into",
            );
            hop.shown_by = Some(by_hand(at));
            let words = format!(
                "{node} could not look into the network namespace of {place}; an agent that may is \
                 installed with kind-config/manifests/agent-sees-pods"
            );
            return Err(Stop::Ended(Outcome::NotKnown { words }));
        }
        let does = match (&listener.process, listener.pid, listener.bound) {
            (Some(process), Some(pid), _) => format!("{process} (process {pid}) listens at {at}"),
            (_, _, Some(bound)) => format!("somebody listens at {bound}"),
            _ => format!("nobody listens at {at}"),
        };
        let hop = self.hop(Some(node), (Kind::Listener, owner), place, &does);
        hop.shown_by = Some(by_hand(at));
        if !listener.listens {
            let words = format!("{place} has no process that listens at port {}", at.port());
            return Err(ended("nobody-listens", words, place));
        }
        if listener.stopped {
            let words =
                format!("{does}, and is stopped (a signal, a debugger): it answers nothing");
            return Err(ended(STOPPED, words, place));
        }
        Ok(())
    }
}

fn by_hand(at: SocketAddr) -> String {
    format!("ss -lntup sport = {}", at.port())
}
