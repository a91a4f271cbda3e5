//! The one Service of the cluster whose endpoints change: headless, the last of all.

use std::net::Ipv4Addr;

use serde_json::json;

use super::names::CLUSTER;
use crate::bench::api::{Api, Objects};
use crate::bench::population::{self, slice};

/// Its number.
const NUMBER: usize = CLUSTER.services;

/// The cluster with it.
pub(super) fn objects() -> Objects {
    let mut service = population::service(NUMBER);
    service["spec"]["clusterIP"] = json!("None");
    service["spec"]["clusterIPs"] = json!(["None"]);
    let (mut services, mut slices) = (CLUSTER.services(), CLUSTER.slices());
    services.push(service.to_string());
    slices.push(slice(NUMBER, endpoints(), true).to_string());
    Objects::from([("services", services), ("endpointslices", slices)])
}

/// Tells the watches that its first endpoint is at `address` now. `n` counts the changes from 1.
///
/// # Errors
/// When nobody watches.
pub(super) fn change(api: &Api, address: Ipv4Addr, n: u32) -> anyhow::Result<()> {
    let mut object = slice(NUMBER, endpoints(), true);
    object["endpoints"][0]["addresses"][0] = json!(address);
    object["metadata"]["resourceVersion"] = json!((n + 1).to_string());
    api.modified("endpointslices", &object.to_string())
}

fn endpoints() -> impl Iterator<Item = Ipv4Addr> {
    (0..CLUSTER.endpoints).map(|e| CLUSTER.endpoint(NUMBER, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_headless_and_the_last() {
        let objects = objects();
        let (services, slices) = (&objects["services"], &objects["endpointslices"]);
        assert_eq!((services.len(), slices.len()), (NUMBER + 1, NUMBER + 1));
        assert!(services[NUMBER].contains("\"clusterIP\":\"None\""));
        assert!(slices[NUMBER].contains("service-10000"));
    }
}
