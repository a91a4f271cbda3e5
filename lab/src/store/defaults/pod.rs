//! Defaults of pods, and of the pod templates in Deployments.

use super::{maps_in, set_default, set_default_text};
use crate::store::object;
use serde_json::{Map, Value, json};

pub(super) fn fill(pod: &mut Value) {
    let spec = object::map_mut(pod, "spec");
    fill_spec(spec);
    set_default_text(spec, "serviceAccountName", "default");
    let class = qos_class(spec);
    let status = object::map_mut(pod, "status");
    set_default_text(status, "phase", "Pending");
    set_default_text(status, "qosClass", class);
}

pub(super) fn fill_spec(spec: &mut Map<String, Value>) {
    for (field, value) in [
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ] {
        set_default_text(spec, field, value);
    }
    set_default(spec, "terminationGracePeriodSeconds", json!(30));
    set_default(spec, "securityContext", json!({}));
    for list in ["initContainers", "containers"] {
        for container in maps_in(spec, list) {
            fill_container(container);
        }
    }
}

fn fill_container(container: &mut Map<String, Value>) {
    let policy = pull_policy(object::str_of(
        container.get("image").unwrap_or(&Value::Null),
    ));
    set_default_text(container, "imagePullPolicy", policy);
    set_default_text(container, "terminationMessagePath", "/dev/termination-log");
    set_default_text(container, "terminationMessagePolicy", "File");
    set_default(container, "resources", json!({}));
    for port in maps_in(container, "ports") {
        set_default_text(port, "protocol", "TCP");
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = container.get_mut(probe) {
            fill_probe(probe);
        }
    }
}

/// Images without a tag, or with the tag `latest`, may change under their name.
fn pull_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    let pinned = last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest");
    if pinned { "IfNotPresent" } else { "Always" }
}

fn fill_probe(probe: &mut Map<String, Value>) {
    for (field, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        set_default(probe, field, json!(value));
    }
    if let Some(Value::Object(get)) = probe.get_mut("httpGet") {
        set_default_text(get, "path", "/");
        set_default_text(get, "scheme", "HTTP");
    }
    if let Some(Value::Object(grpc)) = probe.get_mut("grpc") {
        set_default(grpc, "service", json!(""));
    }
}

/// Pods that ask for nothing are BestEffort; the finer class Guaranteed is not told apart here.
fn qos_class(spec: &Map<String, Value>) -> &'static str {
    let containers = spec.get("containers").map_or(&[][..], object::items);
    let asks = containers.iter().any(|c| {
        let resources = &c["resources"];
        !(resources["requests"].is_null() && resources["limits"].is_null())
    });
    if asks { "Burstable" } else { "BestEffort" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pull_policy_follows_the_tag() {
        let rows = [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("localhost:5000/nginx", "Always"),
            ("localhost:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
            ("", "Always"),
        ];
        for (image, expected) in rows {
            assert_eq!(pull_policy(image), expected, "{image}");
        }
    }

    #[test]
    fn pod_gets_what_a_user_sees() {
        let mut pod = json!({"spec": {"containers": [{
            "name": "web", "image": "web:1", "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 2},
        }]}});
        fill(&mut pod);
        let spec = &pod["spec"];
        assert_eq!(spec["restartPolicy"], "Always");
        assert_eq!(spec["terminationGracePeriodSeconds"], 30);
        assert_eq!(spec["dnsPolicy"], "ClusterFirst");
        let container = &spec["containers"][0];
        assert_eq!(container["ports"][0]["protocol"], "TCP");
        let probe = &container["readinessProbe"];
        assert_eq!(probe["periodSeconds"], 2, "what was given stays");
        assert_eq!(probe["failureThreshold"], 3);
        assert_eq!(probe["httpGet"]["scheme"], "HTTP");
        assert_eq!(pod["status"]["phase"], "Pending");
    }
}
