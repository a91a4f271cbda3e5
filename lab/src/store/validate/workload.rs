//! Deployments, DaemonSets and EndpointSlices.

use super::causes::{Cause, invalid, required, unsupported};
use super::{names, pod};
use crate::store::object::{items, str_of};
use crate::store::selector::Selector;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) fn check_deployment(deployment: &Value, found: &mut Vec<Cause>) {
    let spec = &deployment["spec"];
    if spec["replicas"]
        .as_i64()
        .is_some_and(|replicas| replicas < 0)
    {
        let why = "must be greater than or equal to 0";
        found.push(invalid("spec.replicas", &spec["replicas"], why));
    }
    check_template(spec, found);
    let strategy = str_of(&spec["strategy"]["type"]);
    let known = ["Recreate", "RollingUpdate"];
    if !known.contains(&strategy) {
        found.push(unsupported("spec.strategy.type", strategy, &known));
    }
}

pub(super) fn check_daemon_set(set: &Value, found: &mut Vec<Cause>) {
    let spec = &set["spec"];
    check_template(spec, found);
    let strategy = str_of(&spec["updateStrategy"]["type"]);
    let known = ["OnDelete", "RollingUpdate"];
    if !strategy.is_empty() && !known.contains(&strategy) {
        found.push(unsupported("spec.updateStrategy.type", strategy, &known));
    }
}

/// The selector and the pods it selects, which run for ever.
fn check_template(spec: &Value, found: &mut Vec<Cause>) {
    check_selector(spec, found);
    let template = &spec["template"]["spec"];
    pod::check(template, "spec.template.spec", found);
    let policy = str_of(&template["restartPolicy"]);
    if !["", "Always"].contains(&policy) {
        found.push(unsupported(
            "spec.template.spec.restartPolicy",
            policy,
            &["Always"],
        ));
    }
}

fn check_selector(spec: &Value, found: &mut Vec<Cause>) {
    let selector = &spec["selector"];
    if selector.is_null() {
        found.push(required("spec.selector", ""));
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    match Selector::from_object(selector) {
        Err(why) => found.push(invalid("spec.selector", selector, &why)),
        Ok(parsed) if parsed.is_empty() => {
            let why = "empty selector is invalid for deployment";
            found.push(invalid("spec.selector", selector, why));
        }
        Ok(parsed) if !parsed.matches(labels) => {
            let why = "`selector` does not match template `labels`";
            found.push(invalid("spec.template.metadata.labels", labels, why));
        }
        Ok(_) => (),
    }
}

pub(super) fn check_selector_change(current: &Value, next: &Value) -> Vec<Cause> {
    let (old, new) = (&current["spec"]["selector"], &next["spec"]["selector"]);
    if old == new {
        Vec::new()
    } else {
        vec![invalid("spec.selector", new, "field is immutable")]
    }
}

pub(super) fn check_endpoint_slice(slice: &Value, found: &mut Vec<Cause>) {
    let family = str_of(&slice["addressType"]);
    let known = ["FQDN", "IPv4", "IPv6"];
    if family.is_empty() {
        found.push(required("addressType", ""));
    } else if !known.contains(&family) {
        found.push(unsupported("addressType", family, &known));
    }
    for (index, endpoint) in items(&slice["endpoints"]).iter().enumerate() {
        let path = format!("endpoints[{index}].addresses");
        if items(&endpoint["addresses"]).is_empty() {
            found.push(required(&path, "must contain at least 1 address"));
        }
        for (index, address) in items(&endpoint["addresses"]).iter().enumerate() {
            let why = refuse_address(family, str_of(address));
            found.extend(why.map(|why| invalid(&format!("{path}[{index}]"), address, &why)));
        }
    }
    for (index, port) in items(&slice["ports"]).iter().enumerate() {
        let why = Some(&port["port"])
            .filter(|p| !p.is_null())
            .and_then(|p| names::port(p.as_i64()));
        found.extend(why.map(|why| invalid(&format!("ports[{index}].port"), &port["port"], &why)));
    }
}

fn refuse_address(family: &str, address: &str) -> Option<String> {
    match family {
        "IPv4" => address
            .parse::<Ipv4Addr>()
            .err()
            .map(|_| "must be a valid IPv4 address".to_owned()),
        "IPv6" => address
            .parse::<Ipv6Addr>()
            .err()
            .map(|_| "must be a valid IPv6 address".to_owned()),
        _ => names::subdomain(address),
    }
}

pub(super) fn check_endpoint_slice_change(current: &Value, next: &Value) -> Vec<Cause> {
    let (old, new) = (&current["addressType"], &next["addressType"]);
    if old == new {
        Vec::new()
    } else {
        vec![invalid("addressType", new, "field is immutable")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn deployment_selector_must_match_its_template() {
        let deployment = |selector: Value, labels: Value| {
            json!({"spec": {"selector": selector, "strategy": {"type": "Recreate"}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            }}})
        };
        let app = json!({"matchLabels": {"app": "web"}});
        let rows = [
            (app.clone(), json!({"app": "web", "tier": "x"}), None),
            (
                app.clone(),
                json!({"app": "db"}),
                Some("spec.template.metadata.labels"),
            ),
            (app, Value::Null, Some("spec.template.metadata.labels")),
            (Value::Null, json!({}), Some("spec.selector")),
            (json!({}), json!({}), Some("spec.selector")),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Like"}]}),
                json!({}),
                Some("spec.selector"),
            ),
        ];
        for (selector, labels, expected) in rows {
            let mut found = Vec::new();
            check_deployment(&deployment(selector.clone(), labels.clone()), &mut found);
            let field = found.first().map(|cause| cause.field.as_str());
            assert_eq!(field, expected, "{selector} {labels}");
        }
    }

    #[test]
    fn slice_addresses_are_of_its_family() {
        // (family, address, good)
        let rows = [
            ("IPv4", "10.0.0.1", true),
            ("IPv4", "fd00::1", false),
            ("IPv6", "fd00::1", true),
            ("FQDN", "a.example", true),
            ("", "10.0.0.1", false),
        ];
        for (family, address, good) in rows {
            let slice = json!({"addressType": family, "endpoints": [{"addresses": [address]}]});
            let mut found = Vec::new();
            check_endpoint_slice(&slice, &mut found);
            assert_eq!(found.is_empty(), good, "{family} {address}: {found:?}");
        }
    }
}
