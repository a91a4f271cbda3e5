//! What a real cluster refuses, said in its words. Pure.
//!
//! Objects arrive with their defaults filled in.
//! Field types have been checked at the API's door; here a field of the wrong type reads as missing.

pub mod causes;
mod metadata;
pub mod names;
mod pod;
mod service;
mod workload;

use super::{Cause, Kind};
use serde_json::Value;

/// Everything that is wrong with an object on its own; empty if nothing is.
pub fn check(kind: Kind, object: &Value) -> Vec<Cause> {
    let mut found = metadata::check(kind, object);
    match kind {
        Kind::Pod => pod::check(&object["spec"], "spec", &mut found),
        Kind::Service => service::check(object, &mut found),
        Kind::Deployment => workload::check_deployment(object, &mut found),
        Kind::DaemonSet => workload::check_daemon_set(object, &mut found),
        Kind::EndpointSlice => workload::check_endpoint_slice(object, &mut found),
        Kind::Node
        | Kind::Namespace
        | Kind::ConfigMap
        | Kind::ServiceAccount
        | Kind::Event
        | Kind::Lease
        | Kind::ClusterRole
        | Kind::ClusterRoleBinding
        | Kind::ServiceCidr => (),
    }
    found
}

/// Everything that may not change as it does from `current` to `next`.
pub fn check_change(kind: Kind, current: &Value, next: &Value) -> Vec<Cause> {
    match kind {
        Kind::Pod => pod::check_change(current, next),
        Kind::Service => service::check_change(current, next),
        Kind::Deployment | Kind::DaemonSet => workload::check_selector_change(current, next),
        Kind::EndpointSlice => workload::check_endpoint_slice_change(current, next),
        _ => Vec::new(),
    }
}
