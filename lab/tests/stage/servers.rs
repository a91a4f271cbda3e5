//! Servers in pods, and asking them whom they see.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use lab::Lab;
use lab::handle::RunningPod;
use lab::network::{Families, Network};
use serde_json::Value;

use super::{PATIENCE, output, product_on, told};

/// Where they listen.
pub(crate) const PORT: u16 = 8080;

/// A lab for one row of the pod network in clusters of these families.
pub(crate) fn cluster(row: &str, nodes: u8, families: Families, tools: &[&str]) -> Option<Lab> {
    let network = Network {
        families,
        ..Network::default()
    };
    let family = format!("{families:?}").to_lowercase();
    product_on(&format!("{row}-{family}"), nodes, network, tools)
}

/// `replicas` servers, ready.
pub(crate) fn servers(lab: &Lab, replicas: u8) -> Vec<RunningPod> {
    let manifest = format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {{\
         replicas: {replicas}, selector: {{matchLabels: {{app: web}}}}, template: {{\
         metadata: {{labels: {{app: web}}}}, spec: {{terminationGracePeriodSeconds: 0, \
         containers: [{{name: c, image: none, command: [flatnet-demo, serve, --port, '{PORT}'], \
         readinessProbe: {{httpGet: {{path: /healthz, port: {PORT}}}, periodSeconds: 1}}}}]}}}}}}}}"
    );
    lab.apply(&manifest).expect("applied");
    let pods = lab.wait_pods("web", replicas.into(), PATIENCE);
    pods.expect("the servers run")
}

/// Asks `address` over TCP and UDP, by commands made of an argv; each answer as (who answered,
/// whom it saw).
pub(crate) fn ask(
    place: impl Fn(&[&str]) -> Command,
    address: SocketAddr,
) -> Vec<(String, IpAddr)> {
    questions(place, address)
        .map(|question| read(&output(question)))
        .into()
}

/// Asks likewise: whom it saw each time, or all about the first question without an answer.
pub(crate) fn try_ask(
    place: impl Fn(&[&str]) -> Command,
    address: SocketAddr,
) -> Result<Vec<IpAddr>, String> {
    let asked = questions(place, address).map(|mut question| {
        let output = question.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => Ok(read(&text).1),
            false => Err(format!("{question:?}: {}", told(&output))),
        }
    });
    asked.into_iter().collect()
}

fn questions(place: impl Fn(&[&str]) -> Command, address: SocketAddr) -> [Command; 2] {
    let (url, target) = (format!("http://{address}"), address.to_string());
    [
        place(&["flatnet-demo", "get", &url]),
        place(&["flatnet-demo", "udp", &target]),
    ]
}

fn read(text: &str) -> (String, IpAddr) {
    let answer: Value = serde_json::from_str(text.trim()).expect("an answer");
    let client = answer["client"].as_str().expect("a client");
    let client: SocketAddr = client.parse().expect("an address");
    let pod = answer["pod"].as_str().expect("a name").to_owned();
    (pod, client.ip())
}

/// The one of `addresses` that is of `other`'s family.
pub(crate) fn of_family(addresses: &[IpAddr], other: IpAddr) -> IpAddr {
    let mut same = addresses
        .iter()
        .filter(|own| own.is_ipv4() == other.is_ipv4());
    *same.next().expect("an address of each family")
}
