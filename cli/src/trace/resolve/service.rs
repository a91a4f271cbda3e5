//! What a Service's name stands for: its cluster IP inside, and for a client beyond the nodes where it
//! answers there.

use std::net::{IpAddr, SocketAddr};

use proxy_agent::local::api::{Port, Service, Services};

use super::{Known, Unresolved, not_found, of_family};
use crate::error::CliError;
use crate::trace::gather::Agents;
use crate::trace::path::Outcome;

/// The kinds of frontends at which a client beyond the nodes asks, the usual first.
const OUTSIDE: [&str; 3] = ["load-balancer", "external-ip", "node-port"];

impl Known<'_> {
    /// The Service of this name.
    pub(in crate::trace) async fn named(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Service, CliError> {
        let found = self.agents.service(namespace, name).await?;
        found.ok_or_else(|| not_found(format!("there is no Service {namespace}/{name}")))
    }

    /// Where a client inside, or one beyond the nodes, finds it.
    pub(super) async fn service(
        &self,
        (namespace, name): (&str, &str),
        port: Option<&str>,
        beyond: bool,
    ) -> Result<SocketAddr, Unresolved> {
        let service = self.named(namespace, name).await?;
        if let Some(unserved) = &service.unserved {
            return Err(Unresolved::Ended(Outcome::NotReached {
                reason: unserved.code.clone(),
                words: unserved.words.clone(),
                object: format!("Service {namespace}/{name}"),
            }));
        }
        let number = self.port(&service, port)?;
        if beyond {
            return self.outside(&service, number);
        }
        let fronts = service.ports.iter().flat_map(|port| &port.frontends);
        let fronts = fronts.filter(|front| front.kind == "cluster-ip");
        let addresses: Vec<IpAddr> = fronts.map(|front| front.address).collect();
        let address = of_family(&addresses, self.args.ipv6)?;
        Ok(SocketAddr::new(address, number))
    }

    /// Where it answers outside: at the node that was named, if it is a NodePort.
    fn outside(&self, service: &Service, number: u16) -> Result<SocketAddr, Unresolved> {
        let protocol = self.args.protocol().of_service();
        let mut ports = service.ports.iter();
        let port = ports.find(|port| port.port == number && port.protocol == protocol);
        let through = self.args.through.as_deref();
        let nodes = through.map(|node| self.node_addresses(node)).transpose()?;
        let found = port.and_then(|port| front(port, self.args.ipv6, nodes.as_deref()));
        found.ok_or_else(|| {
            let name = format!("{}/{}", service.namespace, service.name);
            Unresolved::Ended(Outcome::NotReached {
                reason: "inside-only".to_owned(),
                words: format!(
                    "nobody beyond the nodes comes to port {number} of Service {name}: it has no \
                     NodePort, no external IP and no load balancer's address of this family"
                ),
                object: format!("Service {name}"),
            })
        })
    }

    /// The number of a port that was named, numbered, or is the only one.
    fn port(&self, service: &Service, wanted: Option<&str>) -> Result<u16, CliError> {
        let of_protocol = |port: &&Port| port.protocol == self.args.protocol().of_service();
        let ports: Vec<_> = service.ports.iter().filter(of_protocol).collect();
        let found = match wanted {
            Some(wanted) => {
                let mut all = ports.iter();
                let number = wanted.parse().ok();
                all.find(|port| port.name == wanted || Some(port.port) == number)
                    .map(|port| port.port)
                    // A port that the Service has not is worth a look, too.
                    .or(number)
            }
            None => match &ports[..] {
                [only] => Some(only.port),
                _ => None,
            },
        };
        found.ok_or_else(|| {
            let names = ports.iter().map(|port| match port.name.as_str() {
                "" => port.port.to_string(),
                name => name.to_owned(),
            });
            let names: Vec<_> = names.collect();
            not_found(format!(
                "which port of Service {}/{}? It has {} over {}",
                service.namespace,
                service.name,
                names.join(", "),
                self.args.protocol().of_service(),
            ))
        })
    }
}

impl Agents {
    /// A Service as the first node that answers has it.
    async fn service(&self, namespace: &str, name: &str) -> Result<Option<Service>, CliError> {
        let path = format!("/v1/services?namespace={namespace}&name={name}");
        let Some(agent) = self.first() else {
            return Ok(None);
        };
        let mut found: Services = agent.get(&path).await?;
        Ok(found.services.pop())
    }
}

/// The frontend at which a client beyond the nodes asks; a NodePort at the node with these addresses,
/// if one was named.
fn front(port: &Port, v6: bool, nodes: Option<&[IpAddr]>) -> Option<SocketAddr> {
    let of_kind = |kind: &&str| {
        let fronts = port.frontends.iter().filter(|front| front.kind == *kind);
        let mut at = fronts.map(|front| SocketAddr::new(front.address, front.port));
        at.find(|at| at.is_ipv6() == v6)
    };
    let kind = OUTSIDE.iter().find(|kind| of_kind(kind).is_some())?;
    let found = of_kind(kind)?;
    let named = nodes.unwrap_or_default().iter();
    let named = named.copied().find(|address| address.is_ipv6() == v6);
    match *kind {
        "node-port" => Some(SocketAddr::new(named.unwrap_or(found.ip()), found.port())),
        _ => Some(found),
    }
}

#[cfg(test)]
mod tests {
    use proxy_agent::local::api::{Frontend, Side};

    use super::*;

    #[test]
    fn a_client_outside_asks_where_the_service_answers_there() {
        let frontend = |(kind, at): &(&str, &str)| {
            let at: SocketAddr = at.parse().expect("an address");
            Frontend {
                address: at.ip(),
                port: at.port(),
                kind: (*kind).to_owned(),
                programmed: "yes".to_owned(),
                inside: Side::default(),
                outside: Side::default(),
                masquerade: true,
                limited: false,
            }
        };
        let port = |fronts: &[(&str, &str)]| Port {
            name: String::new(),
            protocol: "TCP".to_owned(),
            port: 80,
            node_port: None,
            frontends: fronts.iter().map(frontend).collect(),
            endpoints: vec![],
        };
        let inside = ("cluster-ip", "10.96.0.1:80");
        let node = ("node-port", "172.30.0.11:30080");
        let balancer = ("load-balancer", "203.0.113.7:80");
        let rows = [
            (vec![inside], None, None),
            (vec![inside, node], None, Some("172.30.0.11:30080")),
            (
                vec![inside, node],
                Some("172.30.0.12"),
                Some("172.30.0.12:30080"),
            ),
            (
                vec![inside, node, balancer],
                Some("172.30.0.12"),
                Some("203.0.113.7:80"),
            ),
        ];
        for (fronts, through, expected) in rows {
            let nodes = through.map(|text: &str| vec![text.parse().expect("an address")]);
            let found = front(&port(&fronts), false, nodes.as_deref());
            let expected = expected.map(|text| text.parse().expect("an address"));
            assert_eq!(found, expected, "{fronts:?} {through:?}");
            assert_eq!(front(&port(&fronts), true, None), None, "{fronts:?}");
        }
    }
}
