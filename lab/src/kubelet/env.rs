//! The variables of a container, and `$(NAME)` in its command (pure).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;
use thiserror::Error;

use crate::objects::{Container, EnvVar, Pod};

/// What a pod may ask about where it runs.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) node: String,
    /// The node's addresses, the cluster's first family first, as the pod's.
    pub(super) host_ips: Vec<IpAddr>,
    pub(super) pod_ips: Vec<IpAddr>,
    pub(super) api_port: u16,
    /// The ConfigMaps of the pod's namespace, by name.
    pub(super) config_maps: BTreeMap<String, BTreeMap<String, String>>,
}

/// A variable whose value the lab cannot tell.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum EnvError {
    #[error("env {name}: the lab knows no field {path:?}")]
    UnknownField { name: String, path: String },
    #[error("env {0}: the lab reads values and fieldRef only")]
    UnsupportedSource(String),
    #[error("envFrom: the lab reads configMapRef without a prefix only")]
    EnvFrom,
    #[error("envFrom: there is no ConfigMap {0:?}")]
    NoConfigMap(String),
}

/// Every variable of `container`, the lab's own first, so that the container's win.
pub(super) fn variables(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
) -> Result<Vec<(String, String)>, EnvError> {
    let (host_ip, pod_ip) = (first(&facts.host_ips), first(&facts.pod_ips));
    let own = [
        ("HOSTNAME", hostname(pod).to_owned()),
        // The address of the node's own listener, not the cluster IP: what needs the API server
        // to bring the cluster network up must not need the cluster network to reach it.
        ("KUBERNETES_SERVICE_HOST", host_ip.clone()),
        ("KUBERNETES_SERVICE_PORT", facts.api_port.to_string()),
        ("NODE_NAME", facts.node.clone()),
        ("NODE_IP", host_ip),
        ("POD_NAME", pod.metadata.name.clone()),
        ("POD_NAMESPACE", pod.metadata.namespace.clone()),
        ("POD_IP", pod_ip),
    ];
    let mut variables: Vec<_> = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for source in &container.env_from {
        for (name, value) in config_map(source, facts)? {
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone(), value.clone()));
        }
    }
    for variable in &container.env {
        let value = value(variable, pod, facts, &variables)?;
        variables.retain(|(name, _)| *name != variable.name);
        variables.push((variable.name.clone(), value));
    }
    Ok(variables)
}

fn config_map<'a>(
    source: &Value,
    facts: &'a Facts,
) -> Result<&'a BTreeMap<String, String>, EnvError> {
    let name = source["configMapRef"]["name"].as_str();
    let name = name.filter(|_| source["prefix"].is_null());
    let name = name.ok_or(EnvError::EnvFrom)?;
    let found = facts.config_maps.get(name);
    found.ok_or_else(|| EnvError::NoConfigMap(name.to_owned()))
}

/// What a pod calls itself: `spec.hostname`, or its name, cut to what the kernel takes as kubelets
/// cut it.
pub(super) fn hostname(pod: &Pod) -> &str {
    const LONGEST: usize = 63;
    let given = [&pod.spec.hostname, &pod.metadata.name]
        .into_iter()
        .find(|name| !name.is_empty());
    let name = given.map(String::as_str).unwrap_or_default();
    name.get(..LONGEST)
        .map_or(name, |cut| cut.trim_end_matches(['-', '.']))
}

fn value(
    variable: &EnvVar,
    pod: &Pod,
    facts: &Facts,
    known: &[(String, String)],
) -> Result<String, EnvError> {
    let Some(source) = &variable.value_from else {
        return Ok(expand(&variable.value, known));
    };
    let field = source
        .field_ref
        .as_ref()
        .ok_or_else(|| EnvError::UnsupportedSource(variable.name.clone()))?;
    Ok(match field.field_path.as_str() {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "spec.nodeName" => facts.node.clone(),
        "status.hostIP" => first(&facts.host_ips),
        "status.hostIPs" => all(&facts.host_ips),
        "status.podIP" => first(&facts.pod_ips),
        "status.podIPs" => all(&facts.pod_ips),
        path => {
            let (name, path) = (variable.name.clone(), path.to_owned());
            return Err(EnvError::UnknownField { name, path });
        }
    })
}

fn first(addresses: &[IpAddr]) -> String {
    addresses
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn all(addresses: &[IpAddr]) -> String {
    let words: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    words.join(",")
}

/// Replaces `$(NAME)` by the variable; `$$(NAME)` is a literal `$(NAME)`, and a name that is not
/// known stays as written. As Kubernetes' `expansion.Expand`.
pub(super) fn expand(text: &str, variables: &[(String, String)]) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = reference(rest) {
            match variables.iter().find(|(known, _)| known == name) {
                Some((_, value)) => expanded.push_str(value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

fn reference(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('(')?.split_once(')')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects;
    use serde_json::json;

    fn facts() -> Facts {
        Facts {
            node: "node1".into(),
            host_ips: vec![[172, 30, 0, 11].into()],
            pod_ips: vec![[10, 244, 1, 2].into()],
            api_port: 6443,
            config_maps: BTreeMap::from([(
                "options".to_owned(),
                BTreeMap::from([("A", "1"), ("WHERE", "2")].map(|(k, v)| (k.into(), v.into()))),
            )]),
        }
    }

    #[test]
    fn references_expand_as_kubernetes_expands_them() {
        let known = [
            ("A".to_owned(), "1".to_owned()),
            ("B".to_owned(), "$(A)".to_owned()),
        ];
        for (text, expected) in [
            ("plain", "plain"),
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(NONE)", "$(NONE)"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
            ("http://$(A):$(A)", "http://1:1"),
        ] {
            assert_eq!(expand(text, &known), expected, "{text}");
        }
    }

    #[test]
    fn a_containers_own_variables_win_and_see_those_before_them() {
        let pod: Pod = objects::read(&json!({
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [{"name": "c", "env": [
                {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "URL", "value": "http://$(WHERE)/$(POD_IP)"},
                {"name": "NODE_NAME", "value": "mine"},
            ], "envFrom": [{"configMapRef": {"name": "options"}}]}]},
        }))
        .expect("a pod");
        let found = variables(&pod, &pod.spec.containers[0], &facts()).expect("variables");
        let rows = [
            ("URL", "http://node1/10.244.1.2"),
            ("NODE_NAME", "mine"),
            ("KUBERNETES_SERVICE_HOST", "172.30.0.11"),
            ("HOSTNAME", "p"),
            ("A", "1"),
            ("WHERE", "node1"),
        ];
        for (name, expected) in rows {
            let values = found.iter().filter(|(found, _)| found == name);
            let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
            assert_eq!(values, [expected], "{name}");
        }
    }

    #[test]
    fn a_host_name_is_one_the_kernel_takes() {
        let mut pod = Pod::default();
        pod.metadata.name = format!("{}-b", "a".repeat(62));
        assert_eq!(hostname(&pod), "a".repeat(62));
        pod.spec.hostname = "db-0".into();
        assert_eq!(hostname(&pod), "db-0");
    }

    #[test]
    fn what_the_lab_cannot_tell_is_refused_by_name() {
        let container = |env: serde_json::Value| -> Pod {
            objects::read(&json!({"spec": {"containers": [env]}})).expect("a pod")
        };
        let field = json!({"fieldRef": {"fieldPath": "status.phase"}});
        let secret = json!({"secretKeyRef": {"name": "s", "key": "k"}});
        for (env, what) in [
            (
                json!({"env": [{"name": "X", "valueFrom": field}]}),
                "status.phase",
            ),
            (
                json!({"env": [{"name": "X", "valueFrom": secret}]}),
                "env X",
            ),
            (
                json!({"envFrom": [{"configMapRef": {"name": "m"}}]}),
                "no ConfigMap \"m\"",
            ),
            (
                json!({"envFrom": [{"secretRef": {"name": "m"}}]}),
                "configMapRef",
            ),
        ] {
            let pod = container(env);
            let error = variables(&pod, &pod.spec.containers[0], &facts()).expect_err(what);
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
