//! What a program does to a packet's addresses: a request to a frontend goes to an endpoint, an
//! answer is turned back.

use std::net::{IpAddr, SocketAddr};

use proxy_agent::local::api::{Service, Side};

use super::{Step, Undo, Walker, ended};
use crate::trace::facts::Front;
use crate::trace::path::{Change, End, Protocol, Tuple};

/// Where a program looks at packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    FromPod,
    ToPod,
    FromNetwork,
    ToNetwork,
}

/// An endpoint that was chosen, and because of what.
pub(super) struct Chosen {
    pub(super) endpoint: SocketAddr,
    /// Of a Service's port, or whose host port it is.
    pub(super) does: String,
    pub(super) shown_by: String,
    /// Whether clients from outside get the node's address on their way to another node.
    pub(super) masquerade: bool,
    /// Whom it may be, this one included.
    pub(super) among: Vec<SocketAddr>,
}

impl Walker<'_> {
    /// Looks at the packet at a hook of a node; what it does, and the command that shows it.
    pub(super) fn translate(
        &mut self,
        node: &str,
        hook: Hook,
    ) -> Step<Option<(Change, String, String)>> {
        if self.answers {
            return Ok(self.turn_back(node, hook));
        }
        if hook == Hook::ToPod {
            return Ok(None);
        }
        let outside = hook == Hook::FromNetwork;
        let Some(chosen) = self.choose(node, outside)? else {
            return Ok(None);
        };
        self.candidates = chosen.among;
        let before = self.tuple;
        let mut after = Tuple {
            to: chosen.endpoint.into(),
            ..before
        };
        let mut does = chosen.does;
        if chosen.endpoint.ip() == before.from.address {
            // Else it would answer itself past the programs.
            after.from = End::any(before.to.address);
            does += "; its own endpoint, so the frontend is the source";
        } else if outside
            && chosen.masquerade
            && self.answers_elsewhere(node, chosen.endpoint.ip())?
        {
            after.from = End::any(before.to.address);
            does += "; under this node's address, so that the answer comes back here";
        }
        let change = Change { before, after };
        self.note(node, change, false);
        Ok(Some((change, does, chosen.shown_by)))
    }

    /// Makes the packet what a translation says, and remembers it for the answer.
    pub(super) fn note(&mut self, node: &str, change: Change, masquerade: bool) {
        self.tuple = change.after;
        self.undo.push(Undo {
            node: node.to_owned(),
            change,
            masquerade,
        });
    }

    fn answers_elsewhere(&self, node: &str, endpoint: IpAddr) -> Step<bool> {
        let facts = self.facts.node(node)?;
        let is_pod = facts.pods.iter().any(|pod| pod.address == endpoint);
        Ok(!is_pod && !facts.addresses.contains(&endpoint))
    }

    /// An answer at the node where its request was turned: the last turn first.
    fn turn_back(&mut self, node: &str, hook: Hook) -> Option<(Change, String, String)> {
        let fits = |undo: &Undo, tuple: Tuple| {
            undo.node == node
                && undo.change.after.reversed() == tuple
                && (hook == Hook::FromNetwork || !undo.masquerade)
        };
        let before = self.tuple;
        let mut after = before;
        while let Some(undo) = self.undo.iter().rev().find(|undo| fits(undo, after)) {
            after = undo.change.before.reversed();
        }
        if after == before {
            return None;
        }
        self.tuple = after;
        let does = "the conversation is known: its answers get the addresses that were asked for";
        let shown = "flatnet flows".to_owned();
        Some((Change { before, after }, does.to_owned(), shown))
    }

    /// The endpoint that a packet to this destination goes to, if that is a frontend or a host
    /// port, as a client inside or outside meets it.
    pub(super) fn choose(&self, node: &str, outside: bool) -> Step<Option<Chosen>> {
        let Some(to) = self.tuple.to.socket() else {
            return Ok(None);
        };
        if let Some(front) = self.facts.front(node, to, self.protocol)? {
            return self.of_service(node, &front, outside).map(Some);
        }
        if let Some(service) = self.facts.cluster_ip(node, to)? {
            return Err(no_port(service, to, self.protocol));
        }
        let facts = self.facts.node(node)?;
        if !facts.addresses.contains(&to.ip()) {
            return Ok(None);
        }
        let fits = |address: IpAddr| {
            let any = address.is_unspecified() && address.is_ipv4() == to.is_ipv4();
            address == to.ip() || any
        };
        let mut ports = facts.host_ports.iter();
        let found = ports.find(|one| {
            one.port == to.port() && one.protocol == self.protocol.number() && fits(one.address)
        });
        Ok(found.map(|found| Chosen {
            endpoint: found.to,
            does: format!("host port {} of {}", to.port(), self.called(found.to.ip())),
            shown_by: "bpftool map dump pinned /sys/fs/bpf/flatnet/maps/host_ports".to_owned(),
            masquerade: false,
            among: Vec::new(),
        }))
    }

    fn of_service(&self, node: &str, front: &Front<'_>, outside: bool) -> Step<Chosen> {
        let Front {
            service, frontend, ..
        } = front;
        let name = format!("{}/{}", service.namespace, service.name);
        if frontend.limited && !self.admits(service) {
            let words = format!(
                "{} is in none of the loadBalancerSourceRanges of Service {name}",
                self.tuple.from.address
            );
            return Err(ended("source-range", words, format!("Service {name}")));
        }
        let side = if outside {
            &frontend.outside
        } else {
            &frontend.inside
        };
        if frontend.programmed == "missing" {
            let words = format!("the kernel of {node} does not know Service {name} yet");
            return Err(ended("not-programmed", words, format!("agent of {node}")));
        }
        let list = &side.endpoints;
        let picked = self
            .pick
            .and_then(|pick| list.iter().find(|one| one.ip() == pick));
        let Some(endpoint) = picked.or(list.first()) else {
            return Err(nobody(side, &name));
        };
        let slice = front.port.endpoints.iter().find(|one| one.at == *endpoint);
        let slice = slice.map(|one| format!(", from EndpointSlice {}", one.slice));
        let of = match list.len() {
            1 => "its one endpoint".to_owned(),
            count => format!("one of {count} endpoints"),
        };
        let kind = match frontend.kind.as_str() {
            "cluster-ip" => "cluster IP",
            "node-port" => "NodePort",
            "external-ip" => "external IP",
            _ => "load balancer's address",
        };
        let slice = slice.unwrap_or_default();
        Ok(Chosen {
            endpoint: *endpoint,
            does: format!("{kind} of Service {name}, {of}{slice}"),
            shown_by: format!("flatnet services {name}"),
            masquerade: frontend.masquerade,
            among: list.clone(),
        })
    }

    fn admits(&self, service: &Service) -> bool {
        let client = self.tuple.from.address;
        service
            .source_ranges
            .iter()
            .any(|range| range.contains(&client))
    }
}

/// A cluster IP at a port that the Service has not.
fn no_port(service: &Service, to: SocketAddr, protocol: Protocol) -> super::Stop {
    let name = format!("{}/{}", service.namespace, service.name);
    let (port, protocol) = (to.port(), protocol.of_service());
    let words = format!("refused: Service {name} has no port {port} over {protocol}");
    ended("no-such-port", words, format!("Service {name}"))
}

fn nobody(side: &Side, name: &str) -> super::Stop {
    let why = side.nobody.as_ref();
    let code = why.map_or("no-endpoint", |why| why.code.as_str());
    let words = why.map_or("it has no endpoint", |why| why.words.as_str());
    let does = if side.drops { "dropped" } else { "refused" };
    let words = format!("{does}: Service {name} has nobody for it: {words}");
    super::ended(code, words, format!("Service {name}"))
}
