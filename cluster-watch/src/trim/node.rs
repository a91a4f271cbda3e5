//! A Node object -> a Node.

use cluster_model::Node;
use ipnet::IpNet;

use super::{LeftOut, cidrs, good, label, named, parsed, part};
use crate::wire::{List, Loose, NodeObject, TaintFields};

const ZONE: &str = "topology.kubernetes.io/zone";
/// The cluster autoscaler's mark of a node that it is about to remove.
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

/// A node, or nothing if it has no name.
pub(crate) fn node(object: NodeObject, left_out: &mut Vec<LeftOut>) -> Option<Node> {
    let Some(name) = object
        .metadata
        .name
        .as_deref()
        .filter(|name| !name.is_empty())
    else {
        left_out.push(LeftOut::Nameless);
        return None;
    };
    let status = part(object.status, "status", left_out);
    let addresses = good(status.addresses, "address", left_out);
    let internal = addresses
        .into_iter()
        .filter(|a| a.r#type == "InternalIP")
        .map(|a| a.address);
    let spec = part(object.spec, "spec", left_out);
    let deleted = object.metadata.deletion_timestamp.is_some();
    Some(Node {
        name: name.into(),
        addresses: parsed(internal, "InternalIP", left_out).collect(),
        pod_cidrs: pod_cidrs(spec.pod_cidrs, spec.pod_cidr, left_out),
        zone: label(&object.metadata, ZONE).map(Into::into),
        leaving: deleted || to_be_deleted(spec.taints, left_out),
    })
}

fn to_be_deleted(taints: List<Loose<TaintFields>>, left_out: &mut Vec<LeftOut>) -> bool {
    let taints = good(taints, "taint", left_out);
    taints.iter().any(|taint| taint.key == TO_BE_DELETED)
}

fn pod_cidrs(
    list: List<String>,
    single: Option<String>,
    left_out: &mut Vec<LeftOut>,
) -> Box<[IpNet]> {
    let list = list.filter(|list| !list.is_empty());
    let texts = list.unwrap_or_else(|| named(single).into_iter().collect());
    cidrs(texts, left_out)
}
