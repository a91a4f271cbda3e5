//! A Service from everywhere it must answer: from pods and from a node's own processes, over TCP
//! and UDP, with and without the socket path in between, and with nobody behind it.

mod stage;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lab::Lab;
use lab::patience::longer;
use lab::store::Kind;
use serde_json::Value;

use stage::{PATIENCE, output, two_tier};

fn answers(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("an answer"))
        .collect()
}

fn pods_in(answers: &[Value]) -> BTreeSet<String> {
    answers
        .iter()
        .map(|answer| answer["pod"].as_str().expect("a pod").to_owned())
        .collect()
}

fn cluster_ip(lab: &Lab, service: &str) -> String {
    let service = lab
        .api()
        .find(Kind::Service, "default", service)
        .expect("an answer");
    let service = service.expect("the Service");
    service["spec"]["clusterIP"]
        .as_str()
        .expect("a cluster IP")
        .to_owned()
}

#[test]
fn tcp_and_udp_answer_from_pods_and_from_the_nodes_own_processes() {
    let Some(lab) = two_tier("svc-from", &[]) else {
        return;
    };
    let address = cluster_ip(&lab, "backend");
    let backends: BTreeSet<_> = lab
        .pods("backend")
        .expect("pods")
        .into_iter()
        .map(|pod| pod.name)
        .collect();
    let tcp = [
        "flatnet-demo",
        "get",
        &format!("http://{address}"),
        "--count",
        "50",
    ];
    let udp = [
        "flatnet-demo",
        "udp",
        &format!("{address}:80"),
        "--count",
        "50",
    ];
    for frontend in lab.pods("frontend").expect("pods") {
        for argv in [tcp, udp] {
            let answers = answers(&output(lab.in_pod(&frontend.name, &argv)));
            assert_eq!(pods_in(&answers), backends, "{argv:?} spreads");
            for answer in answers {
                let client = answer["client"].as_str().expect("a client");
                assert!(
                    client.starts_with(&format!("{}:", frontend.address)),
                    "{argv:?} {client}"
                );
            }
        }
    }
    for node in lab.nodes() {
        for argv in [tcp, udp] {
            let answers = answers(&output(lab.on_node(&node, &argv)));
            assert_eq!(answers.len(), 50, "{node} {argv:?}");
            assert_eq!(pods_in(&answers), backends, "{node} {argv:?} spreads");
        }
    }
}

#[test]
fn a_name_answers_by_every_form_of_it() {
    let Some(lab) = two_tier("svc-name", &[]) else {
        return;
    };
    let address = cluster_ip(&lab, "backend");
    for name in [
        "backend",
        "backend.default",
        "backend.default.svc.cluster.local.",
    ] {
        let resolved = output(lab.in_pod("deploy/frontend", &["flatnet-demo", "resolve", name]));
        assert_eq!(resolved.lines().next(), Some(address.as_str()), "{name}");
    }
    let mut unknown = lab.in_pod(
        "deploy/frontend",
        &["flatnet-demo", "resolve", "no-such-name"],
    );
    assert!(!unknown.output().expect("it runs").status.success());
}

#[test]
fn one_udp_flow_keeps_its_endpoint_and_leaves_a_dead_one() {
    let Some(lab) = two_tier("svc-udp", &[]) else {
        return;
    };
    let address = format!("{}:80", cluster_ip(&lab, "backend"));
    let flow = [
        "flatnet-demo",
        "udp",
        &address,
        "--one-socket",
        "--count",
        "20",
    ];
    let kept = answers(&output(lab.in_pod("deploy/frontend", &flow)));
    assert_eq!(pods_in(&kept).len(), 1, "one flow, one endpoint");

    // A flow that lasts while its endpoint goes: it must not stick to the dead address.
    let count = longer(Duration::from_secs(8)).as_millis() / 100;
    let count = count.to_string();
    let lasting = [
        "flatnet-demo",
        "udp",
        &address,
        "--one-socket",
        "--count",
        &count,
        "--interval-ms",
        "100",
        "--timeout-ms",
        "500",
    ];
    let mut command = lab.in_pod("deploy/frontend", &lasting);
    let child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = child.spawn().expect("it runs");
    std::thread::sleep(longer(Duration::from_secs(1)));
    for pod in lab.pods("backend").expect("pods") {
        lab.api()
            .delete(Kind::Pod, "default", &pod.name)
            .expect("deleted");
    }
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("text");
    let answers = answers(&text);
    let (first, last) = (&answers[0]["pod"], &answers[answers.len() - 1]["pod"]);
    assert_ne!(first, last, "the flow moved");
    let now: BTreeSet<_> = lab
        .pods("backend")
        .expect("pods")
        .into_iter()
        .map(|pod| pod.name)
        .collect();
    assert!(
        now.contains(last.as_str().expect("a pod")),
        "to a living endpoint"
    );
}

#[test]
fn a_service_without_endpoints_refuses_at_once_from_everywhere() {
    let Some(lab) = two_tier("svc-none", &[]) else {
        return;
    };
    lab.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: nobody}, spec: {selector: {app: nobody}, \
         ports: [{name: t, port: 80}, {name: u, port: 80, protocol: UDP}]}}",
    )
    .expect("applied");
    let address = cluster_ip(&lab, "nobody");
    let tcp = ["flatnet-demo", "get", &format!("http://{address}")];
    let udp = ["flatnet-demo", "udp", &format!("{address}:80")];
    let refused = |mut command: std::process::Command| {
        let began = Instant::now();
        let output = command.output().expect("it runs");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let at_once = began.elapsed() < longer(Duration::from_secs(1));
        (at_once && words.contains("refused"))
            .then_some(())
            .ok_or(words)
    };
    for argv in [&tcp, &udp] {
        for place in ["deploy/frontend", "node1"] {
            let command = || {
                if place == "node1" {
                    lab.on_node(place, argv.as_slice())
                } else {
                    lab.in_pod(place, argv.as_slice())
                }
            };
            // The agents hear of the Service a moment after it is made.
            let settled = || Ok(refused(command()).ok());
            let waited = lab.wait("the refusal", Duration::from_secs(5), settled);
            assert!(waited.is_ok(), "{place} {argv:?}: {:?}", refused(command()));
            for _ in 0..5 {
                assert_eq!(refused(command()), Ok(()), "{place} {argv:?}");
            }
        }
    }
    lab.scale("backend", 0).expect("scaled");
    let backend = cluster_ip(&lab, "backend");
    let argv = ["flatnet-demo", "get", &format!("http://{backend}")];
    lab.wait_pods("backend", 0, PATIENCE).expect("none");
    let settled = || Ok(refused(lab.in_pod("deploy/frontend", &argv)).ok());
    lab.wait(
        "the refusal by a Service that had endpoints",
        PATIENCE,
        settled,
    )
    .expect("refused");
}
