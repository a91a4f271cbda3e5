//! The tables of the small kinds: Namespaces, ConfigMaps, ServiceAccounts, Leases, ClusterRoles.

use super::{AGE, Column, NAME, age, name, text_or};
use crate::store::object::items;
use jiff::Timestamp;
use serde_json::Value;

pub(super) const NAMESPACE: &[Column] = &[NAME, ("Status", "string", 0), AGE];
pub(super) const CONFIG_MAP: &[Column] = &[NAME, ("Data", "string", 0), AGE];
pub(super) const ACCOUNT: &[Column] = &[NAME, ("Secrets", "string", 0), AGE];
pub(super) const ROLE: &[Column] = &[NAME, ("Created At", "date", 0)];
pub(super) const BINDING: &[Column] = &[NAME, ("Role", "string", 0), AGE];
pub(super) const LEASE: &[Column] = &[NAME, ("Holder", "string", 0), AGE];

pub(super) fn namespace(namespace: &Value, now: Timestamp) -> Vec<Value> {
    let phase = text_or(&namespace["status"]["phase"], "Unknown");
    vec![name(namespace), phase, age(namespace, now)]
}

pub(super) fn config_map(map: &Value, now: Timestamp) -> Vec<Value> {
    let count = |field: &str| map[field].as_object().map_or(0, serde_json::Map::len);
    vec![
        name(map),
        (count("data") + count("binaryData")).into(),
        age(map, now),
    ]
}

pub(super) fn account(account: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(account),
        items(&account["secrets"]).len().into(),
        age(account, now),
    ]
}

pub(super) fn role(role: &Value, _now: Timestamp) -> Vec<Value> {
    let created = text_or(&role["metadata"]["creationTimestamp"], "<unknown>");
    vec![name(role), created]
}

pub(super) fn binding(binding: &Value, now: Timestamp) -> Vec<Value> {
    let role = &binding["roleRef"];
    let role = format!(
        "{}/{}",
        role["kind"].as_str().unwrap_or_default(),
        role["name"].as_str().unwrap_or_default()
    );
    vec![name(binding), role.into(), age(binding, now)]
}

pub(super) fn lease(lease: &Value, now: Timestamp) -> Vec<Value> {
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    vec![name(lease), holder.into(), age(lease, now)]
}
