//! The paths of docs/packet-paths.md, as a lab of two nodes has them.

use std::net::{IpAddr, SocketAddr};

use lab::Lab;
use serde_json::Value;

use super::askers::{From, Stage};
use super::outside::client_addresses;
use super::servers::of_family;
use super::{PATIENCE, output};

const PAGE: &str = include_str!("../../../docs/packet-paths.md");
const HOST: &str = "{apiVersion: v1, kind: Pod, metadata: {name: host, labels: {app: host}}, spec: {\
    nodeName: node1, terminationGracePeriodSeconds: 0, containers: [{name: c, image: none, \
    command: [flatnet-demo, serve, --port, '8080'], \
    ports: [{containerPort: 8080, hostPort: 8082}, \
    {containerPort: 8080, hostPort: 8082, protocol: UDP}]}]}}";

/// Has everybody run that the page speaks of; the node that has the DNS server.
pub(crate) fn set(stage: &Stage) -> String {
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
    dns_node.expect("a node").to_owned()
}

/// A path of the page.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) title: String,
    pub(crate) asked: String,
    pub(crate) expected: [String; 2],
}

/// Every path of the page.
pub(crate) fn rows() -> Vec<Row> {
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
pub(crate) fn meant(row: &Row, lab: &Lab, v6: bool, dns_node: &str) -> Row {
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

/// An address of that family.
pub(crate) fn family(v6: bool) -> IpAddr {
    match v6 {
        true => IpAddr::from([0u16; 8]),
        false => IpAddr::from([0u8; 4]),
    }
}

/// Who asks in a row, if a command can be run there.
pub(crate) fn sender(end: &str) -> Option<From> {
    match end {
        "pod/on-node1" => Some(From::Pod("node1")),
        "pod/on-node2" => Some(From::Pod("node2")),
        "node/node2" => Some(From::Node("node2")),
        address => address.parse::<IpAddr>().ok().map(|_| From::Outside),
    }
}

/// Whom the row's far end is.
pub(crate) fn destination(stage: &Stage, end: &str, v6: bool) -> SocketAddr {
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
    SocketAddr::new(of_family(&addresses, family(v6)), port)
}
