//! What the walk stands on: facts of nodes, each fetched when the walk first asks for it. The walk
//! itself is pure: it says which fact it [`Need`]s, and is begun anew once that is here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use proxy_agent::local::api::{Frontend, Listener, Node, Port, Route, Service};

use super::path::Protocol;

/// A question to the agent of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// What the node is.
    Node,
    /// The Services that may answer there.
    Services(SocketAddr),
    /// The way of a packet: destination, source, and the interface at which it arrives.
    Route(IpAddr, Option<IpAddr>, Option<String>),
    /// Who listens there.
    Listener(SocketAddr, Protocol),
}

/// A fact that is not here yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    /// The node.
    pub(crate) node: String,
    /// What is asked there.
    pub(crate) question: Question,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    /// To [`Question::Node`].
    Node(Box<Node>),
    /// To [`Question::Services`].
    Services(Vec<Service>),
    /// To [`Question::Route`].
    Route(Route),
    /// To [`Question::Listener`].
    Listener(Listener),
    /// The agent gives none.
    Silent(String),
}

/// Why the walk cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// A fact that can be fetched.
    Need(Need),
    /// A node whose agent gives no answer.
    Silent(String),
}

/// All facts so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts(BTreeMap<Need, Fact>);

/// A frontend of a Service, found by its address.
pub(crate) struct Front<'a> {
    /// The Service.
    pub(crate) service: &'a Service,
    /// Its port.
    pub(crate) port: &'a Port,
    /// The frontend.
    pub(crate) frontend: &'a Frontend,
}

impl Facts {
    /// Adds a fact.
    pub(crate) fn add(&mut self, need: Need, fact: Fact) {
        self.0.insert(need, fact);
    }

    fn ask(&self, node: &str, question: Question) -> Result<&Fact, Lack> {
        let node = node.to_owned();
        let need = Need { node, question };
        match self.0.get(&need) {
            Some(Fact::Silent(why)) => Err(Lack::Silent(why.clone())),
            Some(fact) => Ok(fact),
            None => Err(Lack::Need(need)),
        }
    }

    /// A node of which something is known, to ask what every node knows.
    pub(crate) fn any_node(&self) -> Option<String> {
        let known = |(need, fact): (&Need, &Fact)| {
            let is_node = matches!(fact, Fact::Node(_));
            is_node.then(|| need.node.clone())
        };
        self.0.iter().find_map(known)
    }

    /// What the node is.
    pub(crate) fn node(&self, node: &str) -> Result<&Node, Lack> {
        match self.ask(node, Question::Node)? {
            Fact::Node(facts) => Ok(facts),
            _ => Err(strange(node)),
        }
    }

    /// The frontend at an address, as that node has it in its kernel.
    pub(crate) fn front(
        &self,
        node: &str,
        at: SocketAddr,
        protocol: Protocol,
    ) -> Result<Option<Front<'_>>, Lack> {
        let Fact::Services(services) = self.ask(node, Question::Services(at))? else {
            return Err(strange(node));
        };
        let fronts = services.iter().flat_map(|service| {
            service.ports.iter().flat_map(move |port| {
                port.frontends.iter().map(move |frontend| Front {
                    service,
                    port,
                    frontend,
                })
            })
        });
        let mut here = fronts.filter(|front| {
            front.port.protocol == protocol.of_service()
                && SocketAddr::new(front.frontend.address, front.frontend.port) == at
                && front.frontend.programmed != "other-service"
        });
        Ok(here.next())
    }

    /// The Service whose cluster IP this address is, at whatever port.
    pub(crate) fn cluster_ip(&self, node: &str, at: SocketAddr) -> Result<Option<&Service>, Lack> {
        let Fact::Services(services) = self.ask(node, Question::Services(at))? else {
            return Err(strange(node));
        };
        let has = |service: &&Service| {
            let mut fronts = service.ports.iter().flat_map(|port| &port.frontends);
            fronts.any(|front| front.kind == "cluster-ip" && front.address == at.ip())
        };
        Ok(services.iter().find(has))
    }

    /// The way of a packet.
    pub(crate) fn route(
        &self,
        node: &str,
        to: IpAddr,
        from: Option<IpAddr>,
        arrives: Option<&str>,
    ) -> Result<&Route, Lack> {
        let question = Question::Route(to, from, arrives.map(str::to_owned));
        match self.ask(node, question)? {
            Fact::Route(route) => Ok(route),
            _ => Err(strange(node)),
        }
    }

    /// Who listens at an address of a node or one of its pods.
    pub(crate) fn listener(
        &self,
        node: &str,
        at: SocketAddr,
        protocol: Protocol,
    ) -> Result<&Listener, Lack> {
        match self.ask(node, Question::Listener(at, protocol))? {
            Fact::Listener(listener) => Ok(listener),
            _ => Err(strange(node)),
        }
    }
}

/// An answer to another question than was asked.
fn strange(node: &str) -> Lack {
    Lack::Silent(format!(
        "the agent of {node} answers something else than was asked"
    ))
}
