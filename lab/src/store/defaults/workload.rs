//! Defaults of Deployments, DaemonSets and EndpointSlices.

use super::{maps_in, pod, set_default, set_default_text};
use crate::store::object;
use serde_json::{Value, json};

pub(super) fn fill_deployment(deployment: &mut Value) {
    let spec = object::map_mut(deployment, "spec");
    set_default(spec, "replicas", json!(1));
    set_default(spec, "revisionHistoryLimit", json!(10));
    set_default(spec, "progressDeadlineSeconds", json!(600));
    set_default(spec, "strategy", json!({}));
    if let Some(Value::Object(strategy)) = spec.get_mut("strategy") {
        set_default_text(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            set_default(strategy, "rollingUpdate", json!({}));
            if let Some(Value::Object(rolling)) = strategy.get_mut("rollingUpdate") {
                set_default(rolling, "maxSurge", json!("25%"));
                set_default(rolling, "maxUnavailable", json!("25%"));
            }
        }
    }
    if let Some(template) = spec
        .get_mut("template")
        .filter(|template| template.is_object())
    {
        pod::fill_spec(object::map_mut(template, "spec"));
    }
}

pub(super) fn fill_daemon_set(set: &mut Value) {
    let spec = object::map_mut(set, "spec");
    set_default(spec, "revisionHistoryLimit", json!(10));
    set_default(spec, "updateStrategy", json!({}));
    if let Some(Value::Object(strategy)) = spec.get_mut("updateStrategy") {
        set_default_text(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            set_default(strategy, "rollingUpdate", json!({}));
            if let Some(Value::Object(rolling)) = strategy.get_mut("rollingUpdate") {
                set_default(rolling, "maxSurge", json!(0));
                set_default(rolling, "maxUnavailable", json!(1));
            }
        }
    }
    if let Some(template) = spec
        .get_mut("template")
        .filter(|template| template.is_object())
    {
        pod::fill_spec(object::map_mut(template, "spec"));
    }
}

pub(super) fn fill_endpoint_slice(slice: &mut Value) {
    let Value::Object(slice) = slice else { return };
    for port in maps_in(slice, "ports") {
        set_default(port, "name", json!(""));
        set_default_text(port, "protocol", "TCP");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployment_rolls_a_quarter_at_a_time() {
        let mut deployment = json!({"spec": {"template": {"spec": {"containers": [{}]}}}});
        fill_deployment(&mut deployment);
        let spec = &deployment["spec"];
        assert_eq!(spec["replicas"], 1);
        assert_eq!(spec["strategy"]["rollingUpdate"]["maxSurge"], "25%");
        assert_eq!(spec["template"]["spec"]["restartPolicy"], "Always");
        let mut recreate = json!({"spec": {"strategy": {"type": "Recreate"}, "replicas": 0}});
        fill_deployment(&mut recreate);
        assert_eq!(recreate["spec"]["strategy"], json!({"type": "Recreate"}));
        assert_eq!(recreate["spec"]["replicas"], 0);
    }

    #[test]
    fn slice_ports_are_tcp_and_unnamed() {
        let mut slice = json!({"ports": [{"port": 80}, {"name": "dns", "protocol": "UDP"}]});
        fill_endpoint_slice(&mut slice);
        assert_eq!(
            slice["ports"][0],
            json!({"port": 80, "name": "", "protocol": "TCP"})
        );
        assert_eq!(slice["ports"][1], json!({"name": "dns", "protocol": "UDP"}));
    }
}
