//! The fields that say who may reach a Service from where, and which endpoint is for whom.

use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// A Service with this spec and these addresses of a load balancer.
fn of_status(spec: Value, ingress: Value) -> Outcome<Service> {
    let metadata = json!({"namespace": "default", "name": "web", "resourceVersion": "7"});
    let status = json!({"loadBalancer": {"ingress": ingress}});
    converted(
        service,
        json!({"metadata": metadata, "spec": spec, "status": status}),
    )
}

#[test]
fn what_narrows_a_service() {
    let with = |fields: Value| {
        let mut spec = json!({"clusterIP": "10.96.0.1"});
        let fields = fields.as_object().expect("an object").clone();
        spec.as_object_mut().expect("an object").extend(fields);
        spec
    };
    let balancer = |policy: &str, port: i64| {
        with(json!({
            "type": "LoadBalancer", "externalTrafficPolicy": policy, "healthCheckNodePort": port,
        }))
    };
    let rows = [
        (
            "policies",
            with(json!({"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"})),
            web().internal_local().external_local(),
        ),
        (
            "policies that are the default",
            with(json!({"internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Cluster"})),
            web(),
        ),
        (
            "affinity",
            with(json!({
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            })),
            web().affinity(60),
        ),
        (
            "affinity without a time",
            with(json!({"sessionAffinity": "ClientIP"})),
            web().affinity(10_800),
        ),
        (
            "affinity of none",
            with(json!({
                "sessionAffinity": "None",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            })),
            web(),
        ),
        (
            "external IPs",
            with(json!({"externalIPs": ["192.0.2.1", "2001:db8::1"]})),
            web().external_ip("192.0.2.1").external_ip("2001:db8::1"),
        ),
        (
            "source ranges, one padded, one with host bits",
            with(json!({"loadBalancerSourceRanges": [" 10.0.0.0/8 ", "2001:db8::1/32"]})),
            web()
                .source_range("10.0.0.0/8")
                .source_range("2001:db8::/32"),
        ),
        (
            "health check port",
            balancer("Local", 32000),
            web().external_local().health_check(32000),
        ),
        (
            "health check port that nobody needs",
            balancer("Cluster", 32000),
            web(),
        ),
        (
            "no health check port",
            balancer("Local", 0),
            web().external_local(),
        ),
    ];
    for (case, spec, wanted) in rows {
        assert_eq!(of_spec(spec), (Some(wanted), vec![]), "{case}");
    }
}

#[test]
fn load_balancer_addresses() {
    let rows = [
        ("none", Value::Null, web()),
        (
            "no mode",
            json!([{"ip": "192.0.2.7"}]),
            web().load_balancer_ip("192.0.2.7"),
        ),
        (
            "VIP",
            json!([{"ip": "192.0.2.7", "ipMode": "VIP"}, {"ip": "2001:db8::7"}]),
            web()
                .load_balancer_ip("192.0.2.7")
                .load_balancer_ip("2001:db8::7"),
        ),
        (
            "Proxy wants to see the packets itself",
            json!([{"ip": "192.0.2.7", "ipMode": "Proxy"}]),
            web(),
        ),
        (
            "a hostname",
            json!([{"hostname": "lb.example.com"}, {"ip": ""}]),
            web(),
        ),
    ];
    for (case, ingress, wanted) in rows {
        let spec = json!({"clusterIP": "10.96.0.1"});
        assert_eq!(of_status(spec, ingress), (Some(wanted), vec![]), "{case}");
    }
}

#[test]
fn what_is_malformed_is_left_out_alone() {
    let spec = json!({
        "clusterIP": "10.96.0.1",
        "externalIPs": ["here", "192.0.2.1"],
        "loadBalancerSourceRanges": ["10.0.0.0/33", "10.0.0.0/8"],
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": -1}},
    });
    let wanted = web()
        .external_ip("192.0.2.1")
        .source_range("10.0.0.0/8")
        .load_balancer_ip("192.0.2.7")
        .affinity(10_800);
    let (model, mut left_out) = of_status(spec, json!([{"ip": "x"}, {"ip": "192.0.2.7"}, 7]));
    assert_eq!(model, Some(wanted));
    left_out.sort();
    assert_eq!(
        left_out,
        [
            r#"external IP "here": no IP address of the right family"#,
            r#"load balancer IP "x": no IP address of the right family"#,
            "one load balancer ingress of unexpected shape",
            r#"source range "10.0.0.0/33""#,
        ]
    );
}

#[test]
fn services_that_are_labelled_away_are_marked() {
    for name in ["service-proxy-name", "headless"] {
        let labels = json!({format!("service.kubernetes.io/{name}"): ""});
        let metadata = json!({"namespace": "default", "name": "web", "labels": labels});
        let spec = json!({"clusterIP": "10.96.0.1"});
        let outcome = converted(service, json!({"metadata": metadata, "spec": spec}));
        assert_eq!(outcome, (Some(web().other_proxy()), vec![]), "{name}");
    }
}

#[test]
fn hints_of_endpoints() {
    let hinted = |hints: Value| {
        of_slice(json!({"endpoints": [{"addresses": ["10.244.1.2"], "hints": hints}]}))
    };
    let here = || mk_endpoint("10.244.1.2");
    let one = |endpoint: Endpoint| Some(mk_slice("default", "web", "web-1").endpoint(endpoint));
    let rows = [
        (json!({}), here()),
        (json!({"forZones": []}), here()),
        (
            json!({"forZones": [{"name": "a"}, {"name": "b"}]}),
            here().for_zone("a").for_zone("b"),
        ),
        (
            json!({"forNodes": [{"name": "n1"}], "forZones": [{"name": "a"}]}),
            here().for_zone("a").for_node("n1"),
        ),
    ];
    for (hints, wanted) in rows {
        let case = hints.to_string();
        assert_eq!(hinted(hints), (one(wanted), vec![]), "{case}");
    }
    let complaint = "one hints of unexpected shape".to_owned();
    assert_eq!(hinted(json!("a")), (one(here()), vec![complaint]));
}

#[test]
fn a_slice_says_when_what_it_tells_of_happened() {
    let said = |text: &str| {
        let metadata = json!({
            "namespace": "default", "name": "web-1",
            "labels": {"kubernetes.io/service-name": "web"},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": text, "b": "c"},
        });
        let (model, left_out) = of_slice(json!({"metadata": metadata}));
        assert_eq!(left_out, [""; 0]);
        model.expect("a slice").triggered
    };
    let at = UNIX_EPOCH + Duration::from_millis(1_500);
    assert_eq!(said("1970-01-01T00:00:01.5Z"), Some(at));
    assert_eq!(said("yesterday"), None);
}

#[test]
fn nodes_that_leave() {
    let rows = [
        (
            "deleted",
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
            json!({}),
            true,
        ),
        (
            "to be deleted",
            json!({}),
            json!({"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]}),
            true,
        ),
        (
            "tainted otherwise",
            json!({}),
            json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}),
            false,
        ),
    ];
    for (case, mut metadata, spec, leaving) in rows {
        metadata["name"] = json!("n1");
        let wanted = Node {
            leaving,
            ..mk_node("n1")
        };
        let outcome = converted(node, json!({"metadata": metadata, "spec": spec}));
        assert_eq!(outcome, (Some(wanted), vec![]), "{case}");
    }
}
