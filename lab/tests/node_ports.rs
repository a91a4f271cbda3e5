//! NodePorts and the addresses of load balancers: from outside, from pods and from nodes' own
//! processes, at the node that has the endpoint and at the one that has not, over TCP and UDP, in
//! both families.

mod stage;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lab::patience::longer;
use serde_json::Value;

use stage::askers::{EVERYBODY, From, SETTLED, Stage};
use stage::servers::of_family;
use stage::{PATIENCE, output};

/// The endpoint is on node1: there everybody keeps their address, at node2 only who is on node2.
#[test]
fn a_node_port_answers_at_every_node_to_everybody() {
    let Some(stage) = Stage::new("np-cluster") else {
        return;
    };
    stage.service("web", "web", 30080, "type: NodePort");
    for node in ["node1", "node2"] {
        for at in stage.at(node, 30080) {
            stage.settle(From::Outside, at);
            for from in EVERYBODY {
                let kept =
                    node == "node1" || matches!(from, From::Node("node2") | From::Pod("node2"));
                let whom = if kept { from } else { From::Node("node2") };
                let expected = stage.address(whom, at.ip());
                let seen = stage.ask(from, at);
                assert_eq!(seen, Ok(vec![expected; 2]), "{from:?} at {at}");
            }
        }
    }
}

/// At node2, which has no endpoint, only its own pods and processes are answered.
#[test]
fn with_a_local_policy_the_source_stays_and_other_nodes_drop() {
    let Some(stage) = Stage::new("np-local") else {
        return;
    };
    let fields = "type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 30100";
    stage.service("web", "web", 30081, fields);
    for at in stage.at("node1", 30081) {
        stage.settle(From::Outside, at);
        for from in EVERYBODY {
            let expected = stage.address(from, at.ip());
            let seen = stage.ask(from, at);
            assert_eq!(seen, Ok(vec![expected; 2]), "{from:?} at {at}");
        }
    }
    for at in stage.at("node2", 30081) {
        for from in [From::Node("node2"), From::Pod("node2")] {
            let expected = stage.address(from, at.ip());
            let seen = stage.ask(from, at);
            assert_eq!(seen, Ok(vec![expected; 2]), "{from:?} at {at}");
        }
        assert_eq!(words(&stage, From::Outside, at), [false; 2], "{at}");
    }
    for (node, local) in [
        ("node1", "\"localEndpoints\":1"),
        ("node2", "\"localEndpoints\":0"),
    ] {
        for at in stage.at(node, 30100) {
            let url = format!("http://{at}/");
            let said = output(stage.lab.on_client(&["curl", "-s", "-m", "2", &url]));
            let said = said.replace(' ', "");
            assert!(said.contains(local), "{url}: {said}");
        }
    }
}

/// Whether TCP and UDP to `at` were refused; they must have failed, and not been answered.
fn words(stage: &Stage, from: From, at: SocketAddr) -> [bool; 2] {
    let (url, target) = (format!("http://{at}"), at.to_string());
    let patience = ["--timeout-ms", "1000"];
    let argvs = [["get", url.as_str()], ["udp", target.as_str()]];
    argvs.map(|argv| {
        let argv = [&["flatnet-demo"][..], &argv, &patience].concat();
        let asked = stage.command(from, &argv).output().expect("it runs");
        assert!(!asked.status.success(), "{from:?} is answered at {at}");
        String::from_utf8_lossy(&asked.stderr).contains("refused")
    })
}

#[test]
fn without_endpoints_everybody_is_refused_at_once() {
    let Some(stage) = Stage::new("np-none") else {
        return;
    };
    stage.service("nobody", "nobody", 30082, "type: NodePort");
    for at in ["node1", "node2"]
        .map(|node| stage.at(node, 30082))
        .concat()
    {
        for from in EVERYBODY {
            let refused = || Ok((words(&stage, from, at) == [true; 2]).then_some(()));
            let waited = stage.lab.wait("the refusal", SETTLED, refused);
            assert!(
                waited.is_ok(),
                "{from:?} at {at}: {:?}",
                words(&stage, from, at)
            );
            let began = Instant::now();
            assert_eq!(words(&stage, from, at), [true; 2]);
            assert!(
                began.elapsed() < longer(Duration::from_secs(1)),
                "{from:?} at {at}"
            );
        }
    }
}

/// The addresses are ones that only the default route leads to.
#[test]
fn external_and_balancer_addresses_answer_and_source_ranges_limit_the_balancers() {
    let Some(stage) = Stage::new("np-balancer") else {
        return;
    };
    let (external, balancer) = ("198.51.100.7", "198.51.100.8");
    let fields = format!(
        "type: LoadBalancer, externalIPs: [{external}], \
         loadBalancerSourceRanges: [172.30.0.200/32, 10.244.2.0/24]"
    );
    stage.service("web", "web", 30083, &fields);
    let status =
        format!(r#"{{"status":{{"loadBalancer":{{"ingress":[{{"ip":"{balancer}"}}]}}}}}}"#);
    let patch = [
        "patch",
        "service",
        "web",
        "--subresource=status",
        "--type=merge",
        "-p",
        &status,
    ];
    output(stage.lab.kubectl(&patch));
    let via = stage.lab.node_addresses("node1")[0].to_string();
    for address in [external, balancer] {
        output(
            stage
                .lab
                .on_client(&["ip", "route", "replace", address, "via", &via]),
        );
        let at = SocketAddr::new(address.parse().expect("an address"), 80);
        stage.settle(From::Outside, at);
        for from in EVERYBODY {
            let admitted = matches!(from, From::Outside | From::Pod("node2"));
            if address == external || admitted {
                let expected = stage.address(from, at.ip());
                assert_eq!(
                    stage.ask(from, at),
                    Ok(vec![expected; 2]),
                    "{from:?} at {at}"
                );
            } else {
                assert_eq!(words(&stage, from, at), [false; 2], "{from:?} at {at}");
            }
        }
    }
}

/// Four endpoints and thirty questions: one of them answers all.
#[test]
fn client_affinity_holds_over_every_frontend() {
    let Some(stage) = Stage::new("np-affinity") else {
        return;
    };
    let deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: many}, spec: {\
        replicas: 4, selector: {matchLabels: {app: many}}, template: {\
        metadata: {labels: {app: many}}, spec: {terminationGracePeriodSeconds: 0, \
        containers: [{name: c, image: none, command: [flatnet-demo, serve, --port, '8080']}]}}}}";
    stage.lab.apply(deployment).expect("applied");
    stage
        .lab
        .wait_pods("many", 4, PATIENCE)
        .expect("they serve");
    let fields = "type: NodePort, sessionAffinity: ClientIP";
    stage.service("many", "many", 30084, fields);
    for ip in cluster_ips(&stage, "many") {
        let at = SocketAddr::new(ip, 80);
        stage.settle(From::Pod("node1"), at);
        let node = of_family(&stage.lab.node_addresses("node1"), ip);
        let at_node = SocketAddr::new(node, 30084);
        for argv in [["get", &format!("http://{at}")], ["udp", &at.to_string()]] {
            let through = argv[1].replace(&at.to_string(), &at_node.to_string());
            let mut seen = answered(&stage, [argv[0], argv[1]]);
            seen.extend(answered(&stage, [argv[0], &through]));
            seen.dedup();
            assert_eq!(seen.len(), 1, "{argv:?} and {through}: {seen:?}");
        }
    }
}

fn answered(stage: &Stage, argv: [&str; 2]) -> Vec<String> {
    let argv = [&["flatnet-demo"][..], &argv, &["--count", "15"]].concat();
    let text = output(stage.command(From::Pod("node1"), &argv));
    let pods = text.lines().map(|line| {
        let answer: Value = serde_json::from_str(line).expect("an answer");
        answer["pod"].as_str().expect("a name").to_owned()
    });
    pods.collect()
}

/// A node without an endpoint sends nobody to another's; that of another is answered.
#[test]
fn with_an_internal_local_policy_only_the_endpoints_node_is_answered() {
    let Some(stage) = Stage::new("np-internal") else {
        return;
    };
    stage.service(
        "web",
        "web",
        30085,
        "type: NodePort, internalTrafficPolicy: Local",
    );
    for ip in cluster_ips(&stage, "web") {
        let at = SocketAddr::new(ip, 80);
        stage.settle(From::Pod("node1"), at);
        for from in [From::Node("node1"), From::Pod("node1")] {
            let expected = stage.address(from, ip);
            assert_eq!(
                stage.ask(from, at),
                Ok(vec![expected; 2]),
                "{from:?} at {at}"
            );
        }
        for from in [From::Node("node2"), From::Pod("node2")] {
            let [_, udp] = words(&stage, from, at);
            assert!(!udp, "{from:?} at {at}");
        }
    }
}

fn cluster_ips(stage: &Stage, service: &str) -> Vec<IpAddr> {
    let service = output(
        stage
            .lab
            .kubectl(&["get", "service", service, "-o", "json"]),
    );
    let service: Value = serde_json::from_str(&service).expect("JSON");
    let ips = service["spec"]["clusterIPs"].as_array().expect("addresses");
    let text = |ip: &Value| ip.as_str().expect("text").parse();
    ips.iter()
        .map(text)
        .collect::<Result<_, _>>()
        .expect("addresses")
}
