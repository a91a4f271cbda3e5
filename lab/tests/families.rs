//! Services and names in IPv6 and dual-stack clusters, and what the objects say.

mod stage;

use std::net::{IpAddr, SocketAddr};

use lab::Lab;
use lab::network::{Families, Network};
use lab::store::Kind;
use serde_json::{Value, json};
use stage::{PATIENCE, output, two_tier_on};

fn cluster(prefix: &str, families: Families) -> Option<Lab> {
    let network = Network {
        families,
        ..Network::default()
    };
    two_tier_on(prefix, network, &[])
}

fn service(lab: &Lab, name: &str) -> Value {
    let found = lab.api().find(Kind::Service, "default", name);
    found.expect("an answer").expect("the Service")
}

/// What a frontend finds for `name`, in order, once it finds anything.
fn resolved(lab: &Lab, name: &str) -> Vec<IpAddr> {
    let argv = ["flatnet-demo", "resolve", name];
    let look = || {
        let found = lab.in_pod("deploy/frontend", &argv).output();
        let found = found.expect("it runs");
        let text = String::from_utf8_lossy(&found.stdout).into_owned();
        Ok(found.status.success().then_some(text))
    };
    let text = lab.wait(name, PATIENCE, look).expect("it is known");
    let mut found: Vec<_> = text
        .lines()
        .map(|line| line.parse().expect("an address"))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Asks `host` from every frontend: each answer saw the frontend's own address of that family.
fn answered_to(lab: &Lab, host: &str, v6: bool) {
    let url = format!("http://{host}");
    for frontend in lab.wait_pods("frontend", 2, PATIENCE).expect("frontends") {
        let own = frontend.addresses.iter().find(|own| own.is_ipv6() == v6);
        let own = *own.expect("an address");
        let argv = ["flatnet-demo", "get", &url, "--count", "10"];
        for line in output(lab.in_pod(&frontend.name, &argv)).lines() {
            let answer: Value = serde_json::from_str(line).expect("an answer");
            let client = answer["client"].as_str().expect("a client");
            let client: SocketAddr = client.parse().expect("an address");
            assert_eq!(client.ip(), own, "whom {host} saw");
        }
    }
}

#[test]
fn a_service_answers_by_name_over_ipv6() {
    let Some(lab) = cluster("svc-ipv6", Families::Ipv6) else {
        return;
    };
    let backend = service(&lab, "backend");
    assert_eq!(backend["spec"]["ipFamilies"], json!(["IPv6"]));
    let address = backend["spec"]["clusterIP"].as_str().expect("one");
    assert_eq!(
        resolved(&lab, "backend"),
        [address.parse::<IpAddr>().expect("one")]
    );
    answered_to(&lab, "backend", true);
    let node = ["flatnet-demo", "get", &format!("http://[{address}]")];
    for name in lab.nodes() {
        output(lab.on_node(&name, &node));
    }
}

const BOTH: &str = "{apiVersion: v1, kind: Service, metadata: {name: both}, spec: {\
     ipFamilyPolicy: RequireDualStack, selector: {app: backend}, \
     ports: [{port: 80, targetPort: 8080}]}}\n---\n\
     {apiVersion: v1, kind: Service, metadata: {name: six}, spec: {\
     ipFamilies: [IPv6], selector: {app: backend}, ports: [{port: 80, targetPort: 8080}]}}";

#[test]
fn a_dual_stack_cluster_serves_each_family() {
    let Some(lab) = cluster("svc-dual", Families::Dual) else {
        return;
    };
    lab.apply(BOTH).expect("applied");
    let plain = service(&lab, "backend");
    assert_eq!(plain["spec"]["ipFamilies"], json!(["IPv4"]));
    let both = service(&lab, "both");
    let ips = both["spec"]["clusterIPs"].as_array().expect("two");
    let mut ips: Vec<IpAddr> = ips
        .iter()
        .map(|ip| ip.as_str().and_then(|ip| ip.parse().ok()).expect("one"))
        .collect();
    ips.sort();
    assert_eq!(resolved(&lab, "both"), ips);
    answered_to(&lab, "backend", false);
    resolved(&lab, "six");
    answered_to(&lab, "six", true);
    answered_to(&lab, &ips[0].to_string(), false);
    answered_to(&lab, &format!("[{}]", ips[1]), true);
    let slices = lab.api().list(Kind::EndpointSlice, "default");
    let slices = slices.expect("an answer");
    let types = slices
        .iter()
        .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "both");
    let mut types: Vec<_> = types.map(|slice| slice["addressType"].clone()).collect();
    types.sort_by_key(Value::to_string);
    assert_eq!(types, [json!("IPv4"), json!("IPv6")]);
}
