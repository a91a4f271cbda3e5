//! Every pod has its own address from the node's podCIDRs: many pods on one node, no address
//! twice, none lost after delete.

mod stage;

use std::collections::BTreeSet;
use std::time::Duration;

use lab::Lab;
use lab::network::{Families, Network};
use stage::{output, product_on};

/// Nearly all that a /24 has, so that a second round meets the end of the range.
const PODS: usize = 250;
/// For all of them, on a busy machine.
const LONG: Duration = Duration::from_secs(180);

fn deploy(lab: &Lab) {
    let manifest = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: many}, spec: {\
         replicas: 0, selector: {matchLabels: {app: many}}, template: {\
         metadata: {labels: {app: many}}, spec: {terminationGracePeriodSeconds: 0, \
         containers: [{name: c, image: none, command: [sleep, infinity]}]}}}}";
    lab.apply(manifest).expect("applied");
}

/// Starts the pods, and checks that each has an address of its own in each family.
fn fill(lab: &Lab) {
    let count = u32::try_from(PODS).expect("a small number");
    lab.scale("many", count).expect("scaled");
    let pods = lab.wait_pods("many", PODS, LONG).expect("all run");
    let cidrs = lab.pod_cidrs("node1");
    let mut all = BTreeSet::new();
    for pod in &pods {
        assert_eq!(pod.addresses.len(), cidrs.len(), "{pod:?}");
        for (address, cidr) in pod.addresses.iter().zip(&cidrs) {
            assert!(cidr.contains(address), "{pod:?} in {cidr}");
            assert!(all.insert(*address), "{address} twice");
        }
    }
    assert_eq!(all.len(), PODS * cidrs.len());
}

/// What the node still has of pods: leases, host ends, routes.
fn left(lab: &Lab) -> Vec<String> {
    let mut left = vec![];
    let leases = lab.state_dir().join("cni/node1/networks/flatnet");
    for lease in std::fs::read_dir(leases).expect("leases") {
        let name = lease.expect("a lease").file_name();
        let name = name.to_string_lossy().into_owned();
        // The lock and the memory of the last address stay.
        if name.contains(":") || name.starts_with("10.") {
            left.push(name);
        }
    }
    for argv in [
        &["ip", "-o", "link", "show", "type", "veth"][..],
        &["ip", "-4", "route", "show", "proto", "170"],
        &["ip", "-6", "route", "show", "proto", "170"],
    ] {
        let text = output(lab.on_node("node1", argv));
        let lines = text.lines().filter(|line| !line.contains("eth0"));
        left.extend(lines.map(str::to_owned));
    }
    left
}

#[test]
fn many_pods_on_one_node_have_an_address_each_and_lose_none() {
    let network = Network {
        families: Families::Dual,
        ..Network::default()
    };
    let Some(lab) = product_on("pod-many", 1, network, &["ip"]) else {
        return;
    };
    deploy(&lab);
    // The cluster DNS is a pod too, and stays.
    let before = left(&lab);
    fill(&lab);
    lab.scale("many", 0).expect("scaled");
    let gone = || {
        let pods = lab.pods("many")?;
        Ok((pods.is_empty() && left(&lab).len() == before.len()).then_some(()))
    };
    if let Err(error) = lab.wait("an empty node", LONG, gone) {
        panic!("{error}: {:?}", left(&lab));
    }
    assert_eq!(left(&lab), before);
    fill(&lab);
}
