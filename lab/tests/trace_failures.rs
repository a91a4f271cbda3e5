//! `flatnet trace` where something is broken that no map, route or object shows: what a packet of
//! its own, the kernel and the programs say.

mod stage;

use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use stage::askers::{From, Stage};
use stage::place::on_fabric;
use stage::{PATIENCE, output, told};

fn trace(stage: &Stage, words: &[&str]) -> (Output, Value) {
    let words = [&["trace"], words, &["-o", "json"]].concat();
    let said = stage.lab.flatnet(&words).output().expect("it runs");
    let answer = serde_json::from_slice(&said.stdout);
    let answer = answer.unwrap_or_else(|error| panic!("{error}: {}", told(&said)));
    (said, answer)
}

/// Ends with this reason, and an object that says so.
fn dies(stage: &Stage, words: &[&str], reason: &str, object: &str) -> Value {
    let (said, answer) = trace(stage, words);
    let outcome = &answer["outcome"];
    assert_eq!(outcome["reason"], reason, "{}", told(&said));
    assert_eq!(said.status.code(), Some(1), "{}", told(&said));
    let named = outcome["object"].as_str().expect("an object");
    assert!(named.contains(object), "{named}");
    answer
}

/// Asks until the trace says that it arrives.
fn arrives(stage: &Stage, words: &[&str]) -> Value {
    let asked = format!("{words:?} arrives");
    let looked = || {
        let (said, answer) = trace(stage, words);
        Ok(said.status.success().then_some(answer))
    };
    let answer = stage.lab.wait(&asked, PATIENCE, looked);
    answer.unwrap_or_else(|error| panic!("{error}: {}", told(&trace(stage, words).0)))
}

/// The model arrives, since all that it is made of is as it should be; the packet does not.
#[test]
fn a_node_that_is_cut_off_is_seen_by_a_packet_alone() {
    let Some(stage) = Stage::new("trace-cut") else {
        return;
    };
    let lab = &stage.lab;
    let asked = ["trace", "pod/on-node2", "pod/web:8080", "-o", "json"];
    let whole = lab.flatnet(&asked).output().expect("it runs");
    assert!(whole.status.success(), "{}", told(&whole));
    let answer: Value = serde_json::from_slice(&whole.stdout).expect("JSON");
    assert_eq!(
        answer["observed"]["probe"]["answer"], "answered",
        "{answer}"
    );
    assert_eq!(answer["observed"]["difference"], Value::Null, "{answer}");
    let seen = |hop: &&Value| hop["seen_after_nanoseconds"].is_u64();
    let count = |way: &str| {
        answer[way]
            .as_array()
            .expect("hops")
            .iter()
            .filter(seen)
            .count()
    };
    // Out of the pod, through from_pod, out of the node, into the other, into its pod; and back.
    assert_eq!((count("forward"), count("back")), (5, 5), "{answer}");
    output(on_fabric(lab, "ip link set node1 down"));
    let cut = lab.flatnet(&asked).output().expect("it runs");
    assert_eq!(cut.status.code(), Some(1), "{}", told(&cut));
    let answer: Value = serde_json::from_slice(&cut.stdout).expect("JSON");
    let difference = answer["observed"]["difference"]
        .as_str()
        .expect("they differ");
    let words = "seen last at eth0 egress of node2, and not at eth0 ingress of node1";
    assert_eq!(difference, words);
    assert_eq!(answer["outcome"]["reason"], "lost-between-nodes");
    let object = answer["outcome"]["object"].as_str().expect("an object");
    assert!(object.starts_with("node node1 (is it up?)"), "{object}");
}

/// Its kernel takes connections and datagrams, and nobody reads them.
#[test]
fn a_stopped_process_is_named() {
    let Some(stage) = Stage::new("trace-stopped") else {
        return;
    };
    let asked = ["pod/on-node2", "pod/web:8080"];
    let answer = arrives(&stage, &asked);
    let hops = answer["forward"].as_array().expect("hops");
    let does = hops[hops.len() - 1]["does"].as_str().expect("words");
    let number = does
        .split("(process ")
        .nth(1)
        .and_then(|rest| rest.split(')').next());
    let pid = Pid::from_raw(number.expect("a process").parse().expect("a number"));
    kill(pid, Signal::SIGSTOP).expect("stopped");
    for protocol in ["tcp", "udp"] {
        let asked = [&asked[..], &["-p", protocol]].concat();
        dies(&stage, &asked, "process-stopped", "pod default/web");
    }
    kill(pid, Signal::SIGCONT).expect("it goes on");
    arrives(&stage, &asked);
}

/// Nobody tells the sender that something on the way carries less.
#[test]
fn a_hole_that_swallows_large_packets_is_found() {
    let Some(stage) = Stage::new("trace-hole") else {
        return;
    };
    let asked = ["pod/on-node2", "pod/web:8080", "--size", "1200"];
    arrives(&stage, &asked);
    output(on_fabric(&stage.lab, "ip link set node1 mtu 1000"));
    let object = "the MTU between eth0 egress of node2 and eth0 ingress of node1";
    dies(&stage, &asked, "mtu", object);
}

#[test]
fn a_firewall_rule_in_a_pod_is_named_by_the_kernel() {
    let Some(stage) = Stage::new("trace-firewall") else {
        return;
    };
    let asked = ["pod/on-node2", "pod/web:8080"];
    arrives(&stage, &asked);
    let rules = "nft add table inet guard && \
                 nft add chain inet guard in '{ type filter hook input priority 0 ; }' && \
                 nft add rule inet guard in tcp dport 8080 drop";
    output(stage.lab.in_pod("web", &["sh", "-c", rules]));
    let answer = dies(
        &stage,
        &asked,
        "netfilter-drop",
        "nft list ruleset in pod default/web",
    );
    let freed = answer["observed"]["freed"].as_array().expect("ends");
    assert_eq!(freed[0]["node"], "node1", "{freed:?}");
}

/// Whoever watches for drops sees it with the pod that sent it, on live traffic.
#[test]
fn a_forged_source_is_seen_with_the_pod_that_sent_it() {
    let Some(stage) = Stage::new("trace-forged") else {
        return;
    };
    let watch = ["trace", "--watch", "--drops", "--seconds", "60"];
    let mut watch = stage.lab.flatnet(&watch);
    let mut watch = watch.stdout(Stdio::piped()).spawn().expect("it runs");
    let lines = std::io::BufReader::new(watch.stdout.take().expect("piped"));
    let web = stage.lab.pods("web").expect("pods")[0].addresses[0];
    let (found, line) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        use std::io::BufRead as _;
        let mut lines = lines.lines().map_while(Result::ok);
        let forged = lines.find(|line| line.contains("10.244.77.7"));
        _ = found.send(forged.unwrap_or_default());
    });
    let forge = format!(
        "ip address add 10.244.77.7/32 dev lo && \
         flatnet-demo udp {web}:8080 --timeout-ms 100 --count 1 || true; \
         ip route replace {web} via 169.254.1.1 dev eth0 src 10.244.77.7; \
         flatnet-demo udp {web}:8080 --timeout-ms 100 --count 1 || true"
    );
    let looked = || {
        let mut command = stage.command(From::Pod("node1"), &["sh", "-c", &forge]);
        _ = command.output();
        Ok(line.try_recv().ok())
    };
    let line = stage.lab.wait("the drop", PATIENCE, looked);
    watch.kill().expect("killed");
    watch.wait().expect("ended");
    reader.join().expect("read");
    let line = line.expect("the drop is told");
    assert!(line.contains("forged-source"), "{line}");
    assert!(line.contains("look at pod default/on-node1"), "{line}");
}

#[test]
fn a_name_is_looked_up_from_a_pod() {
    let Some(stage) = Stage::new("trace-name") else {
        return;
    };
    stage.service("web", "web", 30091, "type: NodePort");
    let name = "web.default.svc.cluster.local";
    let answer = arrives(&stage, &["pod/on-node2", "--dns", name]);
    let addresses = &answer["observed"]["probe"]["lookup"]["addresses"];
    assert_eq!(addresses.as_array().map(Vec::len), Some(1), "{answer}");
    let other = "nobody.default.svc.cluster.local";
    dies(&stage, &["pod/on-node2", "--dns", other], "no-name", other);
    let none = [
        "scale",
        "-n",
        "kube-system",
        "deploy/flatnet-dns",
        "--replicas=0",
    ];
    output(stage.lab.kubectl(&none));
    let looked = || {
        let (_, answer) = trace(&stage, &["pod/on-node2", "--dns", name]);
        Ok((answer["outcome"]["reason"] == "no-endpoint").then_some(answer))
    };
    let down = stage
        .lab
        .wait("no DNS server", PATIENCE, looked)
        .expect("down");
    let object = down["outcome"]["object"].as_str().expect("an object");
    assert!(object.contains("kube-system/kube-dns"), "{object}");
}
