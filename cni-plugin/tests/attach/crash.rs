//! Killed at any instruction: what an ADD or DEL left half done, GC removes, or the next DEL, and
//! the container can be added again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ask::ip;
use crate::call::Call;
use crate::node::{Node, Pod, on_a_node};
use crate::result::host_end_of;

const KILLS: usize = 200;
/// Of so many attachments one is left alone, to see that GC leaves it alone too.
const SPARED: usize = 20;

/// Runs a call and kills it at a moment between its start and somewhat after its usual end.
fn kill_somewhere(call: &Call, usual: Duration, random: &mut fastrand::Rng) {
    let mut child = call.start();
    std::thread::sleep(usual.mul_f64(random.f64() * 1.2));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How long an ADD and a DEL take here and now.
fn usual_durations(node: &Node) -> (Duration, Duration) {
    let took = |call: Call| {
        let start = Instant::now();
        call.succeed();
        start.elapsed()
    };
    let rounds = (0..5).map(|_| {
        let pod = Pod::new();
        let add = took(node.call("ADD", "warm-up", &pod.path()));
        (add, took(node.call("DEL", "warm-up", &pod.path())))
    });
    let (mut adds, mut dels): (Vec<_>, Vec<_>) = rounds.unzip();
    adds.sort();
    dels.sort();
    (adds[2], dels[2])
}

fn gc(node: &Node, valid: &[&str]) {
    let listed = |container: &&str| json!({"containerID": container, "ifname": "eth0"});
    let valid: Vec<Value> = valid.iter().map(listed).collect();
    let mut call = node.call("GC", "", "").version("1.1.0");
    call.config["cni.dev/valid-attachments"] = json!(valid);
    call.succeed();
}

#[test]
fn after_two_hundred_kills_gc_leaves_only_what_is_alive() {
    on_a_node(|node| {
        let mut random = fastrand::Rng::new();
        eprintln!("seed {}", random.get_seed());
        let node = node.with_subnets(&["10.244.0.0/16", "fd00:10:244::/64"]);
        let empty = node.leftovers();
        let (add, del) = usual_durations(&node);
        let limit = json!({"bandwidth": {"egressRate": 8_000_000, "egressBurst": 8_000_000}});
        // Pods outlive the calls: what their namespaces hold does not go by itself.
        let pods: Vec<_> = (0..KILLS + KILLS / SPARED).map(|_| Pod::new()).collect();
        let mut spared = Vec::new();
        for (n, pod) in pods.iter().enumerate() {
            let container = format!("c{n}");
            let mut call = node.call("ADD", &container, &pod.path());
            if n % 8 == 3 {
                call = call.configured("/runtimeConfig", limit.clone());
            }
            if n % (SPARED + 1) == SPARED {
                spared.push((container, pod, call.succeed()));
            } else if random.bool() {
                kill_somewhere(&call, add, &mut random);
            } else {
                call.succeed();
                let call = node.call("DEL", &container, &pod.path());
                kill_somewhere(&call, del, &mut random);
            }
        }
        let count = |kind: &str| {
            let all = node.leftovers();
            all.iter().filter(|name| name.starts_with(kind)).count()
        };
        assert_ne!(
            count("lease"),
            count("entry"),
            "some were hit in the middle"
        );
        let valid: Vec<_> = spared
            .iter()
            .map(|(container, ..)| container.as_str())
            .collect();
        gc(&node, &valid);
        let standing = node.leftovers();
        // Of each: an interface, and a lease, an entry and a route in each family; perhaps a pin.
        let found = ["lease", "entry", "route"].map(count);
        assert_eq!(found, [2 * spared.len(); 3], "{standing:?}");
        for (container, pod, result) in &spared {
            let check = node.call("CHECK", container, &pod.path());
            check.configured("/prevResult", result.clone()).succeed();
        }
        gc(&node, &[]);
        assert_eq!(node.leftovers(), empty);
    });
}

#[test]
fn what_a_killed_add_or_del_leaves_the_next_del_removes() {
    on_a_node(|node| {
        let mut random = fastrand::Rng::new();
        eprintln!("seed {}", random.get_seed());
        let before = node.leftovers();
        let (add, del) = usual_durations(node);
        for round in 0..40 {
            let pod = Pod::new();
            let call = node.call("ADD", "c1", &pod.path());
            if round % 2 == 0 {
                kill_somewhere(&call, add, &mut random);
            } else {
                call.succeed();
                kill_somewhere(&node.call("DEL", "c1", &pod.path()), del, &mut random);
            }
            node.del("c1");
            assert_eq!(node.leftovers(), before, "round {round}");
        }
        let pod = Pod::new();
        node.add("c1", &pod);
    });
}

#[test]
fn an_add_after_a_killed_one_meets_a_stale_pin() {
    on_a_node(|node| {
        let fresh = node.leftovers();
        let pod = Pod::new();
        let limit = json!({"bandwidth": {"egressRate": 8_000_000, "egressBurst": 8_000_000}});
        let add = node.call("ADD", "c1", &pod.path());
        let add = add.configured("/runtimeConfig", limit);
        let host = host_end_of(&add.succeed());
        // As after a crash of the node's agent or operator: the interface gone, the pin left.
        ip(&["link", "delete", &host]);
        assert!(node.pin(&format!("links/from_pod-{host}")).exists());
        assert_eq!(host_end_of(&add.succeed()), host);
        let before = node.leftovers();
        assert!(before.contains(&format!("pin from_pod-{host}")));
        node.del("c1");
        assert_eq!(node.leftovers(), fresh, "both leases and entries go");
    });
}
