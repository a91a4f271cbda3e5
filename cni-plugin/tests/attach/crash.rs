//! Killed at any instruction: what an ADD or DEL left half done, GC removes, or the next DEL, and
//! the container can be added again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ask::ip;
use crate::call::Call;
use crate::node::{Node, Pod, has_tcx, on_a_node, on_a_node_with_tcx};
use crate::result::host_end_of;

const KILLS: usize = 200;
/// Of so many attachments one is left alone, to see that GC leaves it alone too.
const SPARED: usize = 20;

/// The moments at which calls of one kind are killed: spread evenly between their start and
/// somewhat after their usual end, which is measured again and again, as other tests come and go.
struct Moments {
    recent: VecDeque<Duration>,
    /// Of the usual duration.
    at: f64,
}

impl Moments {
    /// How many calls say what is usual.
    const RECENT: usize = 5;
    /// The golden ratio: each step falls into the widest gap that those before have left.
    const STEP: f64 = 0.618_033_988_749_895;
    /// How much later than usual a call may be killed.
    const LAST: f64 = 1.2;

    fn new(random: &mut fastrand::Rng) -> Self {
        Self {
            recent: VecDeque::new(),
            at: random.f64(),
        }
    }

    /// Runs a call to its end and notes how long it takes.
    fn measure(&mut self, call: &Call) -> Value {
        let start = Instant::now();
        let result = call.succeed();
        self.recent.push_back(start.elapsed());
        if self.recent.len() > Self::RECENT {
            self.recent.pop_front();
        }
        result
    }

    /// Runs a call and kills it at the next moment.
    fn kill(&mut self, call: &Call) {
        let mut recent: Vec<_> = self.recent.iter().collect();
        recent.sort();
        let usual = *recent[recent.len() / 2];
        self.at = (self.at + Self::STEP).fract();
        let mut child = call.start();
        std::thread::sleep(usual.mul_f64(self.at * Self::LAST));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// The moments for ADD and DEL, measured here and now.
fn moments(node: &Node, random: &mut fastrand::Rng) -> (Moments, Moments) {
    let (mut add, mut del) = (Moments::new(random), Moments::new(random));
    for _ in 0..Moments::RECENT {
        let pod = Pod::new();
        add.measure(&node.call("ADD", "warm-up", &pod.path()));
        del.measure(&node.call("DEL", "warm-up", &pod.path()));
    }
    (add, del)
}

/// What the runtime asks for beyond the configuration: nothing, host ports, a limit to what the
/// pod sends.
fn wishes(n: usize) -> Value {
    match n % 4 {
        1 => json!({"portMappings": [
            {"hostPort": 20_000 + n, "containerPort": 80},
            {"hostPort": 20_000 + n, "containerPort": 80, "protocol": "udp", "hostIP": "127.0.0.1"},
        ]}),
        3 if n % 8 == 3 && has_tcx() => {
            json!({"bandwidth": {"egressRate": 8_000_000, "egressBurst": 8_000_000}})
        }
        _ => json!({}),
    }
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
        let (mut add, mut del) = moments(&node, &mut random);
        // Pods outlive the calls: what their namespaces hold does not go by itself.
        let pods: Vec<_> = (0..KILLS + KILLS / SPARED).map(|_| Pod::new()).collect();
        let mut spared = Vec::new();
        for (n, pod) in pods.iter().enumerate() {
            let container = format!("c{n}");
            let call = node.call("ADD", &container, &pod.path());
            let call = call.configured("/runtimeConfig", wishes(n));
            if n % (SPARED + 1) == SPARED {
                let other = format!("{container}-other");
                let result = add.measure(&call);
                let passing = Pod::new();
                node.call("ADD", &other, &passing.path()).succeed();
                del.measure(&node.call("DEL", &other, ""));
                spared.push((n, container, pod, result));
            } else if random.bool() {
                add.kill(&call);
            } else {
                call.succeed();
                del.kill(&node.call("DEL", &container, &pod.path()));
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
            .map(|(_, container, ..)| container.as_str())
            .collect();
        gc(&node, &valid);
        let standing = node.leftovers();
        // Of each: an interface, and a lease, an entry and a route in each family; perhaps two pins,
        // perhaps three ports: one of all addresses of each family, one of one address.
        let found = ["lease", "entry", "route"].map(count);
        assert_eq!(found, [2 * spared.len(); 3], "{standing:?}");
        let with_ports = spared.iter().filter(|(n, ..)| n % 4 == 1).count();
        assert_ne!(with_ports, 0);
        assert_eq!(count("port"), 3 * with_ports, "{standing:?}");
        for (n, container, pod, result) in &spared {
            let check = node.call("CHECK", container, &pod.path());
            let check = check.configured("/runtimeConfig", wishes(*n));
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
        let (mut add, mut del) = moments(node, &mut random);
        for round in 0..40 {
            let pod = Pod::new();
            let call = node.call("ADD", "c1", &pod.path());
            let call = call.configured("/runtimeConfig", wishes(round / 2));
            if round % 2 == 0 {
                add.kill(&call);
            } else {
                add.measure(&call);
                del.kill(&node.call("DEL", "c1", &pod.path()));
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
    on_a_node_with_tcx(|node| {
        let fresh = node.leftovers();
        let pod = Pod::new();
        let limit = json!({"bandwidth": {"egressRate": 8_000_000, "egressBurst": 8_000_000}});
        let add = node.call("ADD", "c1", &pod.path());
        let add = add.configured("/runtimeConfig", limit);
        let host = host_end_of(&add.succeed());
        // As after a crash of the node's agent or operator: the interface gone, the pin left.
        ip(&["link", "delete", &host]);
        for program in ["from_pod", "to_pod"] {
            assert!(node.pin(&format!("links/{program}-{host}")).exists());
        }
        assert_eq!(host_end_of(&add.succeed()), host);
        let before = node.leftovers();
        for program in ["from_pod", "to_pod"] {
            assert!(before.contains(&format!("pin {program}-{host}")));
        }
        node.del("c1");
        assert_eq!(node.leftovers(), fresh, "both leases and entries go");
    });
}
