//! The hops of each path.

use super::*;

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
