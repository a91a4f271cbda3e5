//! A row a path, in a cluster of two nodes that is made of facts alone: pod 10.244.1.2 and pod
//! 10.244.1.3 on n1, pod 10.244.2.2 on n2, a Service at 10.96.0.1.

mod deaths;
mod paths;

use proxy_agent::local::api::{
    Endpoint, Frontend, HostPort, Interface, Listener, Nobody, Node, Peer, Pod, Port, Route,
    Service, Side,
};

use super::*;
use crate::trace::facts::{Fact, Question};

/// What of the cluster a row changes.
#[derive(Clone)]
struct World {
    socket_path: bool,
    /// Endpoints of the Service.
    endpoints: Vec<&'static str>,
    /// Why there are none.
    nobody: Option<&'static str>,
    drops: bool,
    listens: bool,
    tunnel: bool,
    affinity: u32,
    packets: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            socket_path: true,
            endpoints: vec!["10.244.2.2:8080"],
            nobody: None,
            drops: false,
            listens: true,
            tunnel: false,
            affinity: 0,
            packets: false,
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and port")
}

impl World {
    fn answer(&self, need: &Need) -> Fact {
        match &need.question {
            Question::Node => Fact::Node(Box::new(self.node(&need.node))),
            Question::Services(at) => Fact::Services(self.services(*at)),
            Question::Route(to, ..) => Fact::Route(self.route(&need.node, *to)),
            Question::Listener(..) => Fact::Listener(Listener {
                looked: true,
                listens: self.listens,
                ..Listener::default()
            }),
        }
    }

    fn node(&self, name: &str) -> Node {
        let number = name.trim_start_matches('n');
        let own = format!("172.30.0.1{number}");
        let pod = |last: &str| Pod {
            address: ip(&format!("10.244.{number}.{last}")),
            interface: format!("fn{last}"),
            shaped: false,
            packets: self.packets,
        };
        let interface = |name: &str, kind: &str| Interface {
            name: name.to_owned(),
            kind: kind.to_owned(),
            addresses: vec![format!("{own}/24").parse().expect("a net")],
            masquerade: vec![ip(&own)],
            ..Interface::default()
        };
        let peer = |number: &str| Peer {
            name: format!("n{number}"),
            addresses: vec![ip(&format!("172.30.0.1{number}"))],
            pod_cidrs: vec![format!("10.244.{number}.0/24").parse().expect("a net")],
        };
        let nets = [
            "10.244.1.0/24",
            "10.244.2.0/24",
            "172.30.0.11/32",
            "172.30.0.12/32",
        ];
        let first = match number {
            "1" => vec![pod("2"), pod("3")],
            _ => vec![pod("2")],
        };
        Node {
            name: name.to_owned(),
            addresses: vec![ip(&own)],
            interfaces: vec![interface("eth0", "uplink"), interface("vx", "tunnel")],
            host_ports: vec![HostPort {
                address: ip("0.0.0.0"),
                port: 8081,
                protocol: Protocol::Tcp.number(),
                to: (first[0].address, 80).into(),
            }],
            pods: first,
            inside: nets.map(|net| net.parse().expect("a net")).to_vec(),
            service_cidrs: vec!["10.96.0.0/16".parse().expect("a net")],
            socket_path: self.socket_path,
            peers: vec![peer("1"), peer("2")],
        }
    }

    fn services(&self, at: SocketAddr) -> Vec<Service> {
        let kind = match (at.ip().to_string().as_str(), at.port()) {
            ("10.96.0.1", _) => "cluster-ip",
            ("172.30.0.11" | "172.30.0.12", 30080) => "node-port",
            _ => return vec![],
        };
        let endpoints: Vec<_> = self
            .endpoints
            .iter()
            .map(|text| super::tests::at(text))
            .collect();
        let side = Side {
            endpoints: endpoints.clone(),
            drops: self.drops,
            nobody: self.nobody.map(|code| Nobody {
                code: code.to_owned(),
                words: code.to_owned(),
            }),
        };
        let listed = |at: &SocketAddr| Endpoint {
            at: *at,
            slice: "web-1".to_owned(),
            node: None,
            zone: None,
            ready: true,
            serving: true,
            terminating: false,
            takes: true,
            why: String::new(),
        };
        let port = |protocol: &str| Port {
            name: String::new(),
            protocol: protocol.to_owned(),
            port: 80,
            node_port: Some(30080),
            frontends: vec![Frontend {
                address: at.ip(),
                port: if kind == "cluster-ip" { 80 } else { at.port() },
                kind: kind.to_owned(),
                programmed: "yes".to_owned(),
                inside: side.clone(),
                outside: side.clone(),
                masquerade: true,
                limited: false,
            }],
            endpoints: endpoints.iter().map(listed).collect(),
        };
        vec![Service {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            unserved: None,
            affinity_seconds: self.affinity,
            source_ranges: vec![],
            ports: vec![port("TCP"), port("UDP")],
        }]
    }

    fn route(&self, node: &str, to: IpAddr) -> Route {
        let node = self.node(node);
        let pod = node.pods.iter().find(|pod| pod.address == to);
        let leaves = match (pod, node.addresses.contains(&to)) {
            (Some(pod), _) => pod.interface.clone(),
            (_, true) => "lo".to_owned(),
            _ if self.tunnel && to.to_string().starts_with("10.244") => "vx".to_owned(),
            _ => "eth0".to_owned(),
        };
        let unreachable = to == ip("203.0.113.9");
        Route {
            kind: if unreachable {
                "unreachable"
            } else {
                "unicast"
            }
            .to_owned(),
            leaves: (!unreachable).then_some(leaves),
            ..Route::default()
        }
    }

    fn walk(&self, source: Source, to: &str, protocol: Protocol) -> Walked {
        let ask = Ask {
            source,
            to: at(to),
            protocol,
            endpoint: None,
            through: None,
            says: Says::Bytes(0),
        };
        let mut facts = Facts::default();
        let first = Need {
            node: "n1".to_owned(),
            question: Question::Node,
        };
        facts.add(first.clone(), self.answer(&first));
        for _ in 0..50 {
            match super::walk(&ask, &facts, &Names::new()) {
                Ok(walked) => return walked,
                Err(need) => {
                    let fact = self.answer(&need);
                    facts.add(need, fact);
                }
            }
        }
        panic!("it goes in a circle");
    }
}

fn pod() -> Source {
    Source::Pod("n1".to_owned(), ip("10.244.1.2"))
}

fn process() -> Source {
    Source::Process("n1".to_owned(), ip("172.30.0.11"))
}

fn outside() -> Source {
    Source::Outside(ip("192.0.2.1"))
}

fn codes(hops: &[Hop]) -> String {
    hops.iter().map(Hop::code).collect::<Vec<_>>().join(" ")
}

/// There and back, a word a hop; it must arrive.
fn path(world: &World, source: Source, to: &str, protocol: Protocol) -> [String; 2] {
    let walked = world.walk(source, to, protocol);
    assert_eq!(walked.outcome, Outcome::Reached, "{:#?}", walked.forward);
    [codes(&walked.forward), codes(&walked.back)]
}
