//! What a cluster holds before its user comes: the API server's Service and the cluster DNS.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::cluster;
use crate::error::LabError;
use crate::manifest;
use crate::network::Families;
use crate::node::API_PORT;
use crate::objects::{self, Condition, holds};
use crate::places::Places;
use crate::settings::Settings;
use crate::store::{ApiError, Kind, Store, object};

/// The Service `kubernetes` and its endpoints: the API server at every node's own address, in the
/// cluster's first family, as upstream has it.
pub(super) fn register_api_server(store: &Store, settings: &Settings) -> Result<(), ApiError> {
    let families = settings.network.families;
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    let service = json!({
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {
            "clusterIP": families.api_address(),
            "ports": [{
                "name": "https", "protocol": "TCP",
                "port": cluster::API_SERVICE_PORT, "targetPort": API_PORT,
            }],
        },
    });
    store.create(Kind::Service, service)?;
    let endpoints: Vec<_> = settings
        .nodes
        .iter()
        .map(|node| json!({"addresses": [node.address()], "conditions": {"ready": true}}))
        .collect();
    let slice = json!({
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": families.first("IPv4", "IPv6"),
        "ports": [{"name": "https", "protocol": "TCP", "port": API_PORT}],
        "endpoints": endpoints,
    });
    store.create(Kind::EndpointSlice, slice)?;
    Ok(())
}

/// The ServiceCIDR `kubernetes`, as upstream makes it of the API server's own range.
pub(super) fn register_service_cidr(store: &Store, ranges: &[IpNet]) -> Result<(), ApiError> {
    let cidrs: Vec<_> = ranges.iter().map(ToString::to_string).collect();
    let ready = json!({"type": "Ready", "status": "True"});
    let cidr = json!({
        "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": cidrs}, "status": {"conditions": [ready]},
    });
    store.create(Kind::ServiceCidr, cidr)?;
    Ok(())
}

/// Creates the cluster DNS.
pub(super) fn create_dns(store: &Store, families: Families) -> Result<(), LabError> {
    for (kind, object) in manifest::dns(families)? {
        store.create(kind, object)?;
    }
    Ok(())
}

/// Waits until every node is Ready.
pub(super) async fn nodes_ready(
    store: &Store,
    places: &Places,
    within: Duration,
) -> Result<(), LabError> {
    let unready = || {
        let nodes = store.list(Kind::Node, None).items;
        nodes
            .iter()
            .find(|node| !has_condition(node, "Ready"))
            .map(|node| {
                let name = object::name(node).to_owned();
                let log = places.agent_log(&name);
                (format!("node {name} did not become Ready"), log)
            })
    };
    wait(store, Kind::Node, within, unready).await
}

/// Waits until the cluster DNS is available.
pub(super) async fn dns_available(
    store: &Store,
    places: &Places,
    within: Duration,
) -> Result<(), LabError> {
    let unavailable = || {
        let dns = store.get(Kind::Deployment, "kube-system", "flatnet-dns");
        let available = dns.is_some_and(|dns| has_condition(&dns, "Available"));
        (!available).then(|| {
            (
                "the cluster DNS did not become ready".to_owned(),
                places.logs(),
            )
        })
    };
    wait(store, Kind::Deployment, within, unavailable).await
}

fn has_condition(object: &Value, kind: &str) -> bool {
    let conditions: Vec<Condition> =
        objects::read(&object["status"]["conditions"]).unwrap_or_default();
    holds(&conditions, kind)
}

/// Waits for changes of `kind` until nothing is wrong any more; `wrong` says what, and which log
/// may tell why.
async fn wait(
    store: &Store,
    kind: Kind,
    within: Duration,
    wrong: impl Fn() -> Option<(String, PathBuf)>,
) -> Result<(), LabError> {
    let mut watch = store.watch(kind, None, None)?;
    let waiting = async {
        while wrong().is_some() {
            watch.next().await?;
        }
        Ok(())
    };
    match timeout(within, waiting).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => match wrong() {
            None => Ok(()),
            Some((what, log)) => Err(LabError::NotInTime {
                what,
                seconds: within.as_secs(),
                log,
            }),
        },
    }
}
