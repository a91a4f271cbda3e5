//! `flatnet trace`: each path of docs/packet-paths.md in both families, compared with what the
//! trace says and with whom the endpoint really saw; and where a path dies, the right reason.

mod stage;

use std::process::Output;

use lab::Lab;
use serde_json::Value;

use stage::askers::Stage;
use stage::paths::{self, Row, destination, family, meant, rows, sender};
use stage::{PATIENCE, output, told};

/// A pod that is never ready.
const SICK: &str = "{apiVersion: v1, kind: Pod, metadata: {name: sick, labels: {app: sick}}, spec: {\
    nodeName: node1, terminationGracePeriodSeconds: 0, containers: [{name: c, image: none, \
    command: [flatnet-demo, serve, --port, '8080'], \
    readinessProbe: {httpGet: {path: /, port: 1}, periodSeconds: 1}}]}}";

fn trace(lab: &Lab, asked: &str, form: &str) -> Output {
    let words = format!("trace --explain {asked} -o {form}");
    let words: Vec<&str> = words.split(' ').collect();
    lab.flatnet(&words).output().expect("it runs")
}

#[test]
fn every_path_of_the_page_is_what_the_trace_says_and_what_happens() {
    let Some(stage) = Stage::new("trace-paths") else {
        return;
    };
    let lab = &stage.lab;
    let dns_node = paths::set(&stage);
    let all = rows();
    assert!(all.len() >= 15, "the page has {} paths", all.len());
    for row in &all {
        for v6 in [false, true] {
            let row = meant(row, lab, v6, &dns_node);
            let said = trace(lab, &row.asked, "short");
            let text = String::from_utf8_lossy(&said.stdout);
            let seen: Vec<&str> = text.lines().take(2).collect();
            assert_eq!(seen, row.expected, "{}: {}", row.title, told(&said));
            let status = if row.title.contains("outside of the cluster") {
                2
            } else {
                0
            };
            assert_eq!(
                said.status.code(),
                Some(status),
                "{}: {}",
                row.title,
                told(&said)
            );
            agrees(&stage, &row, v6);
        }
    }
}

/// Asks what the row asks, and compares whom the server saw with what the trace says.
fn agrees(stage: &Stage, row: &Row, v6: bool) {
    let words: Vec<&str> = row.asked.split(' ').collect();
    let Some(from) = sender(words[0]) else {
        return;
    };
    let serves = ["pod/web:8080", "svc/web:80", ":30091", ":8082"];
    if !serves.iter().any(|end| words[1].ends_with(end)) {
        return;
    }
    let told: Value =
        serde_json::from_slice(&trace(&stage.lab, &row.asked, "json").stdout).expect("JSON");
    let hops = told["forward"].as_array().expect("hops");
    let mut changes = hops.iter().filter_map(|hop| hop["change"].as_object());
    let last = changes
        .next_back()
        .and_then(|change| change["after"]["from"].as_str());
    let end = last.map_or(stage.address(from, family(v6)), |end| {
        let address = end.rsplit_once(':').expect("a port").0;
        address
            .trim_matches(['[', ']'])
            .parse()
            .expect("an address")
    });
    let to = destination(stage, words[1], v6);
    let seen = stage.ask(from, to).expect("an answer");
    assert!(
        seen.contains(&end),
        "{}: {end} is to be seen, and {seen:?} was",
        row.title
    );
}

/// What is asked, how it ends, and which object is named.
const DEATHS: [(&str, &str, &str); 9] = [
    ("pod/on-node1 svc/deaf:81", "no-such-port", "default/deaf"),
    (
        "pod/on-node1 svc/nobody:80",
        "no-endpoint",
        "default/nobody",
    ),
    (
        "pod/on-node1 svc/deaf:80",
        "nobody-listens",
        "pod default/web",
    ),
    (
        "pod/on-node1 svc/nameless:80",
        "no-port",
        "default/nameless",
    ),
    ("pod/on-node2 svc/away:80", "none-here", "default/away"),
    ("pod/on-node2 svc/sick:80", "none-ready", "default/sick"),
    (
        "pod/on-node2 kube-dns.kube-system:53 -p udp",
        "no-endpoint",
        "kube-system/kube-dns",
    ),
    (
        "pod/on-node2 svc/headless:80",
        "headless",
        "default/headless",
    ),
    (
        "pod/on-node2 pod/web:81",
        "nobody-listens",
        "pod default/web",
    ),
];

#[test]
fn where_a_path_dies_the_reason_and_the_object_are_named() {
    let Some(stage) = Stage::new("trace-dies") else {
        return;
    };
    let lab = &stage.lab;
    let service = |name: &str, fields: &str, port: &str| {
        let manifest = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{{fields}, \
             ports: [{{port: 80, {port}}}]}}}}"
        );
        lab.apply(&manifest).expect("applied");
    };
    service("nobody", "selector: {app: nobody}", "targetPort: 8080");
    service("deaf", "selector: {app: web}", "targetPort: 9999");
    service(
        "nameless",
        "selector: {app: web}",
        "targetPort: no-such-port",
    );
    service(
        "away",
        "selector: {app: web}, internalTrafficPolicy: Local",
        "targetPort: 8080",
    );
    service(
        "headless",
        "selector: {app: web}, clusterIP: None",
        "targetPort: 8080",
    );
    service("sick", "selector: {app: sick}", "targetPort: 8080");
    lab.apply(SICK).expect("applied");
    let none = [
        "scale",
        "-n",
        "kube-system",
        "deploy/flatnet-dns",
        "--replicas=0",
    ];
    output(lab.kubectl(&none));
    for (asked, reason, object) in DEATHS {
        let read = || {
            let said = trace(lab, asked, "json");
            let told: Value = serde_json::from_slice(&said.stdout).unwrap_or_default();
            let right = told["outcome"]["reason"] == reason && said.status.code() == Some(1);
            Ok(right.then_some(told))
        };
        // The agents hear of a Service a moment after it is made.
        let told = lab.wait(&format!("{asked}: {reason}"), PATIENCE, read);
        let told = told
            .unwrap_or_else(|error| panic!("{error}: {}", stage::told(&trace(lab, asked, "text"))));
        let words = told["outcome"]["words"].as_str().expect("words");
        match asked.split(['/', ':']).nth(2) {
            Some("nobody") => assert!(words.contains("labels app=nobody"), "{words}"),
            Some("sick") => assert!(words.contains("pod sick is not ready"), "{words}"),
            _ => {}
        }
        let named = told["outcome"]["object"].as_str().expect("an object");
        assert!(named.contains(object), "{asked}: {named}");
    }
}
