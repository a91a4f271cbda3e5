//! Defaults of Services, all but the families, addresses and node ports that `allocate` chooses,
//! because those depend on the cluster.

use super::{maps_in, set_default, set_default_text};
use crate::store::object::{self, items, str_of};
use serde_json::{Map, Value, json};

pub(super) fn fill(service: &mut Value, current: Option<&Value>) {
    let spec = object::map_mut(service, "spec");
    set_default_text(spec, "type", "ClusterIP");
    set_default_text(spec, "sessionAffinity", "None");
    let kind = str_of(&spec["type"]).to_owned();
    if let Some(current) = current {
        keep_allocated(spec, &current["spec"], &kind);
    }
    maps_in(spec, "ports").for_each(fill_port);
    if spec["sessionAffinity"] == "ClientIP" {
        set_default(
            spec,
            "sessionAffinityConfig",
            json!({"clientIP": {"timeoutSeconds": 10800}}),
        );
    }
    if kind == "ExternalName" {
        drop_fields(
            spec,
            &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"],
        );
    } else {
        mirror_first_address(spec);
        set_default_text(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        set_default_text(spec, "externalTrafficPolicy", "Cluster");
    } else {
        drop_fields(
            spec,
            &["externalTrafficPolicy", "allocateLoadBalancerNodePorts"],
        );
    }
    if kind == "LoadBalancer" {
        set_default(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    object::map_mut(service, "status")
        .entry("loadBalancer")
        .or_insert_with(|| json!({}));
}

fn fill_port(port: &mut Map<String, Value>) {
    set_default_text(port, "protocol", "TCP");
    let no_target = field(port, "targetPort").is_null() || field(port, "targetPort") == &json!(0);
    if let Some(number) = port.get("port").cloned().filter(|_| no_target) {
        port.insert("targetPort".to_owned(), number);
    }
}

/// A change that does not speak of what was allocated keeps it, as upstream
/// (`patchAllocatedValues`).
fn keep_allocated(spec: &mut Map<String, Value>, current: &Value, kind: &str) {
    if kind == "ExternalName" || current["type"] == "ExternalName" {
        return;
    }
    let changed_single = !str_of(field(spec, "clusterIP")).is_empty()
        && field(spec, "clusterIPs") == &current["clusterIPs"]
        && field(spec, "clusterIP") != &current["clusterIP"];
    if changed_single {
        // Who changes only clusterIP means both: the list follows.
        drop_fields(spec, &["clusterIPs"]);
    }
    for name in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let is_changed_pair = changed_single && name == "clusterIPs";
        if !current[name].is_null() && !is_changed_pair {
            set_default(spec, name, current[name].clone());
        }
    }
    let without = kind == "LoadBalancer" && *field(spec, "allocateLoadBalancerNodePorts") == false;
    if kind != "ClusterIP" && !without {
        keep_node_ports(spec, current);
    } else if kind == "ClusterIP" && current["type"] != "ClusterIP" {
        // Back from NodePort: what was allocated for it goes.
        for port in maps_in(spec, "ports") {
            port.remove("nodePort");
        }
    }
}

fn keep_node_ports(spec: &mut Map<String, Value>, current: &Value) {
    for port in maps_in(spec, "ports") {
        let protocol = port.get("protocol").map_or("TCP", str_of).to_owned();
        let same = |old: &&Value| {
            Some(&old["port"]) == port.get("port") && str_of(&old["protocol"]) == protocol
        };
        let old = items(&current["ports"])
            .iter()
            .find(same)
            .map(|old| old["nodePort"].clone());
        if let Some(number) = old.filter(|number| !number.is_null()) {
            set_default(port, "nodePort", number);
        }
    }
}

/// `clusterIP` and `clusterIPs` say the same.
fn mirror_first_address(spec: &mut Map<String, Value>) {
    if str_of(field(spec, "clusterIP")).is_empty() {
        let first = items(field(spec, "clusterIPs")).first().cloned();
        spec.extend(first.map(|first| ("clusterIP".to_owned(), first)));
    }
    if items(field(spec, "clusterIPs")).is_empty() && !str_of(field(spec, "clusterIP")).is_empty() {
        let list = json!([field(spec, "clusterIP")]);
        spec.insert("clusterIPs".to_owned(), list);
    }
}

fn field<'a>(spec: &'a Map<String, Value>, name: &str) -> &'a Value {
    spec.get(name).unwrap_or(&Value::Null)
}

fn drop_fields(spec: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        spec.remove(*name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(spec: Value, current: Option<Value>) -> Value {
        let mut service = json!({"spec": spec});
        let current = current.map(|spec| json!({"spec": spec}));
        fill(&mut service, current.as_ref());
        service["spec"].take()
    }

    #[test]
    fn plain_service() {
        let expected = json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        });
        assert_eq!(filled(json!({"ports": [{"port": 80}]}), None), expected);
    }

    #[test]
    fn headless_external_and_exposed_services() {
        let headless = filled(json!({"clusterIP": "None"}), None);
        assert_eq!(headless["clusterIPs"], json!(["None"]));
        let external = filled(json!({"type": "ExternalName", "externalName": "a.b"}), None);
        assert_eq!(external["ipFamilies"], Value::Null);
        assert_eq!(external["internalTrafficPolicy"], Value::Null);
        let exposed = filled(
            json!({"type": "LoadBalancer", "sessionAffinity": "ClientIP"}),
            None,
        );
        assert_eq!(exposed["externalTrafficPolicy"], "Cluster");
        assert_eq!(
            exposed["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"],
            10800
        );
    }

    #[test]
    fn a_change_keeps_what_was_allocated() {
        let current = json!({
            "type": "NodePort", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}],
        });
        let kept = filled(
            json!({"type": "NodePort", "ports": [{"port": 80}, {"port": 81}]}),
            Some(current.clone()),
        );
        assert_eq!(kept["clusterIPs"], json!(["10.96.0.9"]));
        assert_eq!(kept["ports"][0]["nodePort"], 30001);
        assert_eq!(kept["ports"][1]["nodePort"], Value::Null);
        let given_up = filled(
            json!({
                "type": "LoadBalancer", "allocateLoadBalancerNodePorts": false,
                "ports": [{"port": 80}],
            }),
            Some(current.clone()),
        );
        assert_eq!(given_up["ports"][0]["nodePort"], Value::Null);
        let back = filled(
            json!({"type": "ClusterIP", "ports": [{"port": 80, "nodePort": 30001}]}),
            Some(current),
        );
        assert_eq!(back["ports"][0]["nodePort"], Value::Null);
    }
}
