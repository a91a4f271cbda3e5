//! Fetches the facts that the walk asks for, each once, from the agent of its node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proxy_agent::local::api::{Node, Peer};

use super::facts::{Fact, Facts, Need, Question};
use super::walk::{self, Ask, Names, Walked};
use crate::agent::AskError;
use crate::error::CliError;
use crate::nodes::{Agent, Where};

/// No path has as many facts; a walk that asks for more goes in a circle.
const MOST: usize = 200;

/// The agents by the names of their nodes, and what each says of its node.
pub(super) struct Agents {
    agents: BTreeMap<String, Agent>,
    pub(super) nodes: BTreeMap<String, Node>,
}

impl Agents {
    /// Asks every agent what its node is. One that does not answer is known by its name alone.
    pub(super) async fn of(at: &Where) -> Result<Self, CliError> {
        let (mut agents, mut nodes) = (BTreeMap::new(), BTreeMap::new());
        let mut failed = None;
        for agent in at.agents().await? {
            match agent.get::<Node>("/v1/node").await {
                Ok(node) => {
                    agents.insert(node.name.clone(), agent);
                    nodes.insert(node.name.clone(), node);
                }
                Err(error) => {
                    if let Some(name) = &agent.node {
                        agents.insert(name.clone(), agent);
                    }
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if nodes.is_empty() => Err(error.into()),
            _ => Ok(Self { agents, nodes }),
        }
    }

    /// One that has answered.
    pub(super) fn first(&self) -> Option<&Agent> {
        let name = self.nodes.keys().next()?;
        self.agents.get(name)
    }

    /// That of a node.
    pub(super) fn of_node(&self, node: &str) -> Option<&Agent> {
        self.agents.get(node)
    }

    /// All of them, with the names of their nodes.
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &Agent)> {
        self.agents.iter()
    }

    /// The node that an address belongs to: its own, or in its pod CIDRs.
    pub(super) fn home(&self, address: IpAddr) -> Option<&Peer> {
        let mut peers = self.nodes.values().flat_map(|node| &node.peers);
        peers.find(|peer| peer.has(address))
    }

    async fn fetch(&self, need: &Need) -> Fact {
        let Some(agent) = self.agents.get(&need.node) else {
            let why = format!(
                "no agent of node {} is known here: --sockets names those of a lab",
                need.node
            );
            return Fact::Silent(why);
        };
        let fetched = ask(agent, &need.question).await;
        fetched.unwrap_or_else(|error| Fact::Silent(format!("{}: {error}", need.node)))
    }
}

async fn ask(agent: &Agent, question: &Question) -> Result<Fact, AskError> {
    Ok(match question {
        Question::Node => Fact::Node(Box::new(agent.get("/v1/node").await?)),
        Question::Services(at) => {
            let path = format!("/v1/services?at={}", escaped(&at.to_string()));
            let found: proxy_agent::local::api::Services = agent.get(&path).await?;
            Fact::Services(found.services)
        }
        Question::Route(to, from, arrives) => {
            let mut path = format!("/v1/route?to={to}");
            if let Some(from) = from {
                path += &format!("&from={from}");
            }
            if let Some(arrives) = arrives {
                path += &format!("&arrives={arrives}");
            }
            Fact::Route(agent.get(&path).await?)
        }
        Question::Listener(at, protocol) => {
            let (address, port) = (at.ip(), at.port());
            let protocol = protocol.name();
            let path = format!("/v1/listener?address={address}&port={port}&protocol={protocol}");
            Fact::Listener(agent.get(&path).await?)
        }
    })
}

/// Brackets are no characters of a query.
pub(super) fn escaped(text: &str) -> String {
    text.replace('[', "%5B").replace(']', "%5D")
}

/// Walks, and fetches what is missing, until the walk is whole.
pub(super) async fn walk(agents: &Agents, ask: &Ask, names: &Names) -> Result<Walked, CliError> {
    let mut facts = Facts::default();
    for (name, node) in &agents.nodes {
        let need = Need {
            node: name.clone(),
            question: Question::Node,
        };
        facts.add(need, Fact::Node(Box::new(node.clone())));
    }
    for _ in 0..MOST {
        match walk::walk(ask, &facts, names) {
            Ok(walked) => return Ok(walked),
            Err(need) => {
                let fact = agents.fetch(&need).await;
                facts.add(need, fact);
            }
        }
    }
    Err(CliError::NotFound("the path has no end".to_owned()))
}
