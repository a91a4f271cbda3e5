//! A Pod object -> a Pod.

use cluster_model::{Pod, PodName};

use super::{LeftOut, good, named, namespaced, parsed, part};
use crate::wire::PodObject;

/// A pod, or nothing if it has no name or has ended: its address is another's by then.
pub(crate) fn pod(object: PodObject, left_out: &mut Vec<LeftOut>) -> Option<Pod> {
    let name = namespaced(&object.metadata, left_out)?;
    let status = part(object.status, "status", left_out);
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let spec = part(object.spec, "spec", left_out);
    let listed = good(status.pod_ips, "pod IP", left_out);
    let addresses = listed.into_iter().filter_map(|fields| named(fields.ip));
    Some(Pod {
        name: PodName::new(name.namespace, name.name),
        addresses: parsed(addresses, "pod IP", left_out).collect(),
        host_network: spec.host_network.unwrap_or(false),
    })
}
