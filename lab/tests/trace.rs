//! `flatnet trace`: each path of docs/packet-paths.md in both families, compared with what the
//! trace says and with whom the endpoint really saw; and where a path dies, the right reason.

mod stage;

use std::net::IpAddr;
use std::process::Output;

use lab::Lab;
use serde_json::Value;

use stage::askers::{From, Stage};
use stage::outside::client_addresses;
use stage::servers::of_family;
use stage::{PATIENCE, output, told};

const PAGE: &str = include_str!("../../docs/packet-paths.md");
const HOST: &str = "{apiVersion: v1, kind: Pod, metadata: {name: host, labels: {app: host}}, spec: {\
    nodeName: node1, terminationGracePeriodSeconds: 0, containers: [{name: c, image: none, \
    command: [flatnet-demo, serve, --port, '8080'], \
    ports: [{containerPort: 8080, hostPort: 8082}, \
    {containerPort: 8080, hostPort: 8082, protocol: UDP}]}]}}";

/// A pod that is never ready.
const SICK: &str = "{apiVersion: v1, kind: Pod, metadata: {name: sick, labels: {app: sick}}, spec: {\
    nodeName: node1, terminationGracePeriodSeconds: 0, containers: [{name: c, image: none, \
    command: [flatnet-demo, serve, --port, '8080'], \
    readinessProbe: {httpGet: {path: /, port: 1}, periodSeconds: 1}}]}}";

/// A path of the page.
#[derive(Debug, Clone)]
struct Row {
    title: String,
    asked: String,
    expected: [String; 2],
}

fn rows() -> Vec<Row> {
    let sections = PAGE.split("\n### ").skip(1);
    let row = |section: &str| {
        let block = section.split("```path\n").nth(1)?.split("```").next()?;
        let mut lines = block.lines().map(str::to_owned);
        Some(Row {
            title: section.lines().next()?.to_owned(),
            asked: lines.next()?,
            expected: [lines.next()?, lines.next()?],
        })
    };
    sections.filter_map(row).collect()
}

/// The row for a family, in the cluster as it is: the DNS server may be on either node.
fn meant(row: &Row, lab: &Lab, v6: bool, dns_node: &str) -> Row {
    let beyond = if v6 {
        "[2001:db8:9::9]"
    } else {
        "198.51.100.9"
    };
    let swapped = |text: &str| {
        let dns = row.asked.contains("kube-dns") && dns_node == "node2";
        match dns {
            true => text
                .replace("node1", "\0")
                .replace("node2", "node1")
                .replace('\0', "node2"),
            false => text.to_owned(),
        }
    };
    let client = of_family(&client_addresses(lab), family(v6));
    let asked = swapped(&row.asked).replace("BEYOND", beyond);
    Row {
        title: format!("{}, {}", row.title, if v6 { "IPv6" } else { "IPv4" }),
        asked: asked.replace("outside ", &format!("{client} ")) + if v6 { " -6" } else { "" },
        expected: row.expected.clone().map(|text| swapped(&text)),
    }
}

fn family(v6: bool) -> IpAddr {
    match v6 {
        true => IpAddr::from([0u16; 8]),
        false => IpAddr::from([0u8; 4]),
    }
}

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
    stage.service("web", "web", 30091, "type: NodePort");
    lab.apply(HOST).expect("applied");
    lab.wait_pods("host", 1, PATIENCE).expect("it serves");
    for node in ["node1", "node2"] {
        for at in stage.at(node, 30091) {
            stage.settle(From::Outside, at);
        }
    }
    let dns = output(lab.kubectl(&["get", "pods", "-n", "kube-system", "-o", "json"]));
    let dns: Value = serde_json::from_str(&dns).expect("JSON");
    let mut pods = dns["items"].as_array().expect("pods").iter();
    let is_dns = |pod: &&Value| {
        pod["metadata"]["name"]
            .as_str()
            .is_some_and(|n| n.contains("dns"))
    };
    let dns_node = pods.find(is_dns).expect("a server")["spec"]["nodeName"].as_str();
    let dns_node = dns_node.expect("a node");
    let all = rows();
    assert!(all.len() >= 15, "the page has {} paths", all.len());
    for row in &all {
        for v6 in [false, true] {
            let row = meant(row, lab, v6, dns_node);
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
    let from = match words[0] {
        "pod/on-node1" => From::Pod("node1"),
        "pod/on-node2" => From::Pod("node2"),
        "node/node2" => From::Node("node2"),
        address if address.parse::<IpAddr>().is_ok() => From::Outside,
        _ => return,
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

fn destination(stage: &Stage, end: &str, v6: bool) -> std::net::SocketAddr {
    let (name, port) = end.rsplit_once(':').expect("a port");
    let addresses: Vec<IpAddr> = match name {
        "pod/web" => stage.lab.pods("web").expect("pods")[0].addresses.clone(),
        "svc/web" => {
            let service = output(stage.lab.kubectl(&["get", "service", "web", "-o", "json"]));
            let service: Value = serde_json::from_str(&service).expect("JSON");
            let ips = service["spec"]["clusterIPs"]
                .as_array()
                .expect("addresses")
                .clone();
            let ips = ips
                .iter()
                .map(|ip| ip.as_str().expect("text").parse().expect("an address"));
            ips.collect()
        }
        node => stage.lab.node_addresses(node.trim_start_matches("node/")),
    };
    let port = port.parse().expect("a number");
    std::net::SocketAddr::new(of_family(&addresses, family(v6)), port)
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
