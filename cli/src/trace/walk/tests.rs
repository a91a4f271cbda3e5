//! A row a path, in a cluster of two nodes that is made of facts alone: pod 10.244.1.2 and pod
//! 10.244.1.3 on n1, pod 10.244.2.2 on n2, a Service at 10.96.0.1.

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

/// Name; which endpoints the Service has; who asks where, by which protocol; the way there; back.
const PATHS: &str = "
pod to pod, same node | remote | pod 10.244.1.3:80 tcp
  n1:app n1:if n1:from-pod n1:if n1:listener
  n1:app n1:if n1:from-pod n1:if n1:app
pod to pod, other node | remote | pod 10.244.2.2:80 udp
  n1:app n1:if n1:from-pod ACROSS n2:if n2:listener
  BACK n1:from-network n1:if n1:app
pod to Service, TCP: at connect() | remote | pod 10.96.0.1:80 tcp
  n1:app n1:connect[to] n1:if n1:from-pod ACROSS n2:if n2:listener
  BACK n1:from-network n1:if n1:app
pod to Service, UDP, same node | local | pod 10.96.0.1:80 udp
  n1:app n1:if n1:from-pod[to] n1:if n1:listener
  n1:app n1:if n1:from-pod[from] n1:if n1:app
pod to Service, UDP, other node | remote | pod 10.96.0.1:80 udp
  n1:app n1:if n1:from-pod[to] ACROSS n2:if n2:listener
  BACK n1:from-network[from] n1:if n1:app
node's process to Service, UDP | remote | process 10.96.0.1:80 udp
  n1:app n1:stack n1:to-network[to] fabric n2:from-network n2:if n2:listener
  BACK n1:from-network[from] n1:stack n1:app
node's process to NodePort of its own | local | process 172.30.0.11:30080 udp
  n1:app n1:connect[to] n1:stack n1:to-pod n1:if n1:listener
  n1:app n1:if n1:from-pod n1:stack n1:app
outside to NodePort, local | local | outside 172.30.0.11:30080 tcp
  outside n1:from-network[to] n1:if n1:listener
  n1:app n1:if n1:from-pod[from] n1:stack n1:to-network outside
outside to NodePort, remote | remote | outside 172.30.0.11:30080 tcp
  outside n1:from-network[from+to] n1:stack n1:to-network fabric n2:from-network n2:if n2:listener
  BACK n1:from-network[from+to] n1:stack n1:to-network outside
hairpin, UDP | own | pod 10.96.0.1:80 udp
  n1:app n1:if n1:from-pod[from+to] n1:if n1:listener
  n1:app n1:if n1:from-pod[from+to] n1:if n1:app
hairpin, TCP | own | pod 10.96.0.1:80 tcp
  n1:app n1:connect[to] n1:loopback n1:listener
  n1:app n1:loopback n1:app
outside to hostPort | remote | outside 172.30.0.11:8081 tcp
  outside n1:from-network[to] n1:if n1:listener
  n1:app n1:if n1:from-pod[from] n1:stack n1:to-network outside
pod to its node | remote | pod 172.30.0.11:22 udp
  n1:app n1:if n1:from-pod n1:stack n1:listener
  n1:app n1:stack n1:to-pod n1:if n1:app
";

/// Shorter words for what comes often.
fn full(text: &str) -> String {
    text.trim()
        .replace("ACROSS", "n1:stack n1:to-network fabric n2:from-network")
        .replace(
            "BACK",
            "n2:app n2:if n2:from-pod n2:stack n2:to-network fabric",
        )
        .replace("app", "application")
        .replace("if", "pod-interface")
}

#[test]
fn every_path_has_its_hops() {
    let lines: Vec<&str> = PATHS.trim().lines().collect();
    for row in lines.chunks(3) {
        let head: Vec<&str> = row[0].split(" | ").collect();
        let world = World {
            endpoints: match head[1] {
                "local" => vec!["10.244.1.3:8080"],
                "own" => vec!["10.244.1.2:8080"],
                _ => vec!["10.244.2.2:8080"],
            },
            ..World::default()
        };
        let asked: Vec<&str> = head[2].split(' ').collect();
        let source = match asked[0] {
            "pod" => pod(),
            "process" => process(),
            _ => outside(),
        };
        let protocol = match asked[2] {
            "tcp" => Protocol::Tcp,
            _ => Protocol::Udp,
        };
        let seen = path(&world, source, asked[1], protocol);
        assert_eq!(seen, [full(row[1]), full(row[2])], "{}", head[0]);
    }
}

#[test]
fn a_pod_leaves_the_cluster_under_the_nodes_address() {
    let walked = World::default().walk(pod(), "192.0.2.9:443", Protocol::Tcp);
    let there = full("n1:app n1:if n1:from-pod n1:stack n1:to-network[from] outside");
    assert_eq!(codes(&walked.forward), there);
    let back = full("outside n1:from-network[to] n1:if n1:app");
    assert_eq!(codes(&walked.back), back);
    assert!(
        matches!(walked.outcome, Outcome::NotKnown { .. }),
        "{:?}",
        walked.outcome
    );
    let change = walked
        .forward
        .iter()
        .find_map(|hop| hop.change)
        .expect("a change");
    assert_eq!(change.after.to_string(), "172.30.0.11:* > 192.0.2.9:443");
}

#[test]
fn a_tunnel_is_a_hop_of_its_own() {
    let world = World {
        tunnel: true,
        ..World::default()
    };
    let [there, _] = path(&world, pod(), "10.244.2.2:80", Protocol::Udp);
    let expected = "n1:app n1:if n1:from-pod n1:stack n1:tunnel fabric n2:from-network n2:if \
                    n2:listener";
    assert_eq!(there, full(expected));
}

#[test]
fn affinity_leaves_the_choice_to_the_packet() {
    let world = World {
        affinity: 60,
        ..World::default()
    };
    let [there, _] = path(&world, pod(), "10.96.0.1:80", Protocol::Tcp);
    assert!(there.contains("n1:from-pod[to]"), "{there}");
}

#[test]
fn a_pod_that_says_no_to_the_socket_path_is_translated_by_packets() {
    let world = World {
        packets: true,
        ..World::default()
    };
    let [there, _] = path(&world, pod(), "10.96.0.1:80", Protocol::Tcp);
    assert!(there.contains("n1:from-pod[to]"), "{there}");
    assert!(!there.contains("connect"), "{there}");
}

#[test]
fn where_it_dies_is_told() {
    let world = World::default();
    let nobody = |drops| World {
        endpoints: vec![],
        nobody: Some("none-ready"),
        drops,
        ..World::default()
    };
    let deaf = World {
        listens: false,
        ..World::default()
    };
    let rows = [
        (
            &nobody(false),
            pod(),
            "10.96.0.1:80",
            "none-ready",
            Kind::Connect,
        ),
        (
            &nobody(true),
            pod(),
            "10.96.0.1:80",
            "none-ready",
            Kind::FromPod,
        ),
        (
            &nobody(false),
            outside(),
            "172.30.0.12:30080",
            "none-ready",
            Kind::FromNetwork,
        ),
        (
            &deaf,
            pod(),
            "10.96.0.1:80",
            "nobody-listens",
            Kind::Listener,
        ),
        (&world, pod(), "10.96.0.1:81", "no-such-port", Kind::FromPod),
        (&world, pod(), "203.0.113.9:1", "no-route", Kind::Stack),
        (
            &world,
            Source::Pod("n1".to_owned(), ip("10.244.1.99")),
            "10.96.0.1:80",
            "no-pod",
            Kind::Application,
        ),
    ];
    for (world, source, to, expected, last) in rows {
        let walked = world.walk(source, to, Protocol::Tcp);
        let Outcome::NotReached { reason, .. } = &walked.outcome else {
            panic!("{to}: {:?}", walked.outcome);
        };
        assert_eq!(reason, expected, "{to}");
        assert!(walked.back.is_empty());
        let kind = walked.forward.last().map(|hop| hop.kind);
        assert_eq!(kind.unwrap_or(Kind::Application), last, "{to}");
    }
}

#[test]
fn a_silent_agent_leaves_the_rest_unknown() {
    let mut facts = Facts::default();
    let need = |node: &str| Need {
        node: node.to_owned(),
        question: Question::Node,
    };
    let world = World::default();
    facts.add(need("n1"), world.answer(&need("n1")));
    facts.add(need("n2"), Fact::Silent("n2 is away".to_owned()));
    let ask = Ask {
        source: pod(),
        to: at("10.244.2.2:80"),
        protocol: Protocol::Udp,
        endpoint: None,
        through: None,
        says: Says::Bytes(0),
    };
    let walked = loop {
        match super::walk(&ask, &facts, &Names::new()) {
            Ok(walked) => break walked,
            Err(need) => {
                let fact = world.answer(&need);
                facts.add(need, fact);
            }
        }
    };
    let Outcome::NotKnown { words } = &walked.outcome else {
        panic!("{:?}", walked.outcome);
    };
    assert_eq!(words, "n2 is away");
    assert_eq!(
        walked.forward.last().map(|hop| hop.kind),
        Some(Kind::Fabric)
    );
}
