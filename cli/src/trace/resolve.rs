//! What the ends are: a pod's address and node, a Service's cluster IP or where it answers outside.

mod service;

use std::net::{IpAddr, SocketAddr};

use cluster_watch::Client;
use proxy_agent::local::api::Node;

use super::Args;
use super::ends::Named;
use super::gather::Agents;
use super::kube::{self, Pod};
use super::outside::Outside;
use super::path::Outcome;
use super::walk::{Ask, Names, Says, Source};
use crate::agent::AskError;
use crate::error::CliError;

/// The question, what addresses are called, and what only the API server knows.
pub(super) struct Resolved {
    pub(super) ask: Ask,
    pub(super) names: Names,
    pub(super) client: Option<Client>,
    pub(super) pods: Vec<Pod>,
}

/// The ends lead to no path.
pub(super) enum Unresolved {
    /// Something that was named is not there.
    Failed(CliError),
    /// Nothing of ours stands there.
    Ended(Outcome),
}

impl From<CliError> for Unresolved {
    fn from(error: CliError) -> Self {
        Self::Failed(error)
    }
}

impl From<AskError> for Unresolved {
    fn from(error: AskError) -> Self {
        Self::Failed(error.into())
    }
}

/// Finds out what was meant.
pub(super) async fn resolve(
    args: &Args,
    (from, to): (&Named, &Named),
    agents: &Agents,
    outside: &Outside,
) -> Result<Resolved, Unresolved> {
    let look = Known::of(args, agents).await;
    let to = look.target(to, look.is_beyond(from)).await?;
    let source = look.source(from, to, outside).await?;
    Ok(Resolved {
        names: look.names(),
        ask: Ask {
            source,
            to,
            protocol: args.protocol(),
            endpoint: args.endpoint,
            through: args.through.clone(),
            says: match &args.dns {
                Some(name) => Says::Name(name.clone()),
                None => Says::Bytes(args.size),
            },
        },
        client: look.client,
        pods: look.pods,
    })
}

/// What names mean: asked of the API server, where it is known, and of the agents.
pub(super) struct Known<'a> {
    args: &'a Args,
    agents: &'a Agents,
    client: Option<Client>,
    pods: Vec<Pod>,
}

impl<'a> Known<'a> {
    /// Asks for the pods. Without the API server addresses do; names are then not known.
    pub(super) async fn of(args: &'a Args, agents: &'a Agents) -> Self {
        let client = args.server.client().await;
        let pods = match &client {
            Some(client) => kube::pods(client).await.unwrap_or_default(),
            None => Vec::new(),
        };
        Self {
            args,
            agents,
            client,
            pods,
        }
    }
}

impl Known<'_> {
    /// Whether that is a client beyond the nodes.
    fn is_beyond(&self, named: &Named) -> bool {
        match named {
            Named::Outside => true,
            Named::Address(address, _) => matches!(self.at(*address), Source::Outside(_)),
            _ => false,
        }
    }

    async fn target(&self, named: &Named, beyond: bool) -> Result<SocketAddr, Unresolved> {
        let v6 = self.args.ipv6;
        let (addresses, port) = match named {
            Named::Address(address, port) => (vec![*address], *port),
            Named::Pod(name, port) => (self.pod(name)?.addresses(), *port),
            Named::Deploy(name, port) => (self.deploy(name).await?.addresses(), *port),
            Named::Node(name, port) => (self.node_addresses(name)?, *port),
            Named::Service(namespace, name, port) => {
                let namespace = namespace.as_deref().unwrap_or(&self.args.namespace);
                let port = port.as_deref();
                return self.service((namespace, name), port, beyond).await;
            }
            Named::Outside => {
                return Err(not_found("the far end needs an address: ADDRESS:PORT").into());
            }
        };
        let port = port.ok_or_else(|| not_found("the far end needs a port: ...:PORT"))?;
        let address = of_family(&addresses, v6)?;
        Ok(SocketAddr::new(address, port))
    }

    async fn source(
        &self,
        named: &Named,
        to: SocketAddr,
        outside: &Outside,
    ) -> Result<Source, CliError> {
        let v6 = to.is_ipv6();
        let pod = match named {
            Named::Pod(name, _) => self.pod(name)?.clone(),
            Named::Deploy(name, _) => self.deploy(name).await?,
            Named::Node(name, _) => {
                let address = of_family(&self.node_addresses(name)?, v6)?;
                return Ok(Source::Process(name.clone(), address));
            }
            Named::Address(address, _) => return Ok(self.at(*address)),
            Named::Service(..) => return Err(not_found("a Service sends nothing; name a pod")),
            Named::Outside => {
                let own = outside.address(to).ok().map(|own| self.at(own));
                let own = own.filter(|own| matches!(own, Source::Outside(_)));
                return Ok(own.unwrap_or(Source::Outside(documentation(v6))));
            }
        };
        let address = of_family(&pod.addresses(), v6)?;
        Ok(match pod.spec.host_network {
            true => Source::Process(pod.spec.node_name, address),
            false => Source::Pod(pod.spec.node_name, address),
        })
    }

    /// Whose an address is.
    fn at(&self, address: IpAddr) -> Source {
        let mut nodes = self.agents.nodes.values();
        let holds = |node: &&Node| {
            node.addresses.contains(&address) || node.pods.iter().any(|pod| pod.address == address)
        };
        match nodes.find(holds) {
            Some(node) if node.addresses.contains(&address) => {
                Source::Process(node.name.clone(), address)
            }
            Some(node) => Source::Pod(node.name.clone(), address),
            None => Source::Outside(address),
        }
    }

    /// The pod of this name, with its namespace before it or that of the arguments.
    pub(super) fn pod(&self, name: &str) -> Result<&Pod, CliError> {
        let (namespace, name) = name.split_once('/').unwrap_or((&self.args.namespace, name));
        let mut pods = self.pods.iter();
        pods.find(|pod| pod.metadata.name == name && pod.metadata.namespace == namespace)
            .ok_or_else(|| self.unknown("pod", name))
    }

    async fn deploy(&self, name: &str) -> Result<Pod, CliError> {
        let Some(client) = &self.client else {
            return Err(self.unknown("Deployment", name));
        };
        let namespace = &self.args.namespace;
        let labels = kube::selector(client, "deploy", namespace, name).await?;
        let own = |pod: &&Pod| {
            pod.metadata.namespace == *namespace && kube::selects(&labels, pod) && pod.is_ready()
        };
        let found = self.pods.iter().find(own);
        found
            .cloned()
            .ok_or_else(|| not_found(format!("no pod of Deployment {namespace}/{name} is ready")))
    }

    fn unknown(&self, kind: &str, name: &str) -> CliError {
        let namespace = &self.args.namespace;
        not_found(match self.client.is_some() {
            true => format!("there is no {kind} {namespace}/{name}"),
            false => format!(
                "the API server is not known, so {kind} {name} has no address: give --kubeconfig \
                 or an address"
            ),
        })
    }

    fn node_addresses(&self, name: &str) -> Result<Vec<IpAddr>, CliError> {
        let peers = self.agents.nodes.values().flat_map(|node| &node.peers);
        let found = peers.into_iter().find(|peer| peer.name == name);
        found
            .map(|peer| peer.addresses.clone())
            .ok_or_else(|| not_found(format!("there is no node {name}")))
    }

    /// What addresses are called.
    pub(super) fn names(&self) -> Names {
        let pods = self.pods.iter().filter(|pod| !pod.spec.host_network);
        let pods = pods.flat_map(|pod| {
            let name = format!("pod {}/{}", pod.metadata.namespace, pod.metadata.name);
            let addresses = pod.addresses().into_iter();
            addresses.map(move |address| (address, name.clone()))
        });
        let peers = self.agents.nodes.values().flat_map(|node| &node.peers);
        let peers = peers.flat_map(|peer| {
            let named = peer.addresses.iter();
            named.map(|address| (*address, format!("node {}", peer.name)))
        });
        pods.chain(peers).collect()
    }
}

fn of_family(addresses: &[IpAddr], v6: bool) -> Result<IpAddr, CliError> {
    let family = |address: &&IpAddr| address.is_ipv6() == v6;
    let own = addresses.iter().find(family).copied();
    // Where there is but one family, that is meant.
    own.or(addresses.first().copied().filter(|_| !v6))
        .ok_or_else(|| not_found("it has no address of this family yet"))
}

/// An address for documentation: nobody's, so that it is nobody's here.
fn documentation(v6: bool) -> IpAddr {
    match v6 {
        true => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
        false => IpAddr::from([192, 0, 2, 1]),
    }
}

fn not_found(text: impl Into<String>) -> CliError {
    CliError::NotFound(text.into())
}
