//! What is listed.

use lab::store::Kind;
use serde_json::{Value, json};

use crate::MANIFEST;
use crate::cluster::{Cluster, run_pod, words};

#[tokio::test(flavor = "multi_thread")]
async fn tables_look_as_users_expect() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let node = json!({"metadata": {"name": "node-1"}, "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "172.30.0.11"}],
        "nodeInfo": {"kubeletVersion": "v1.32.0"}}});
    cluster.store.create(Kind::Node, node).expect("created");
    let slice = json!({"metadata": {"name": "web-x"}, "addressType": "IPv4",
        "ports": [{"port": 8080}], "endpoints": [{"addresses": ["10.244.1.5"]}]});
    cluster
        .store
        .create(Kind::EndpointSlice, slice)
        .expect("created");
    let file = cluster.write("two.yaml", MANIFEST);
    cluster.kubectl(&["apply", "-f", &file]).await;
    cluster
        .store
        .modify(Kind::Pod, "default", "lone", run_pod)
        .expect("placed");

    let table = |arguments: &'static [&'static str]| cluster.kubectl(arguments);
    let nodes = table(&["get", "nodes", "-o", "wide"]).await;
    assert_eq!(
        words(&nodes)[0][..6],
        ["NAME", "STATUS", "ROLES", "AGE", "VERSION", "INTERNAL-IP"]
    );
    assert_eq!(words(&nodes)[1][..3], ["node-1", "Ready", "<none>"]);
    assert_eq!(words(&nodes)[1][4..6], ["v1.32.0", "172.30.0.11"]);
    let pods = table(&["get", "pods"]).await;
    assert_eq!(
        words(&pods)[0],
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    );
    assert_eq!(words(&pods)[1][..4], ["lone", "1/1", "Running", "0"]);
    let pods = table(&["get", "po", "-A", "-o", "wide"]).await;
    assert_eq!(words(&pods)[1][6..8], ["10.244.1.5", "node-1"]);
    let services = table(&["get", "svc", "-o", "wide"]).await;
    assert_eq!(words(&services)[1][1..2], ["ClusterIP"]);
    assert_eq!(words(&services)[1][4], "80/TCP");
    assert_eq!(words(&services)[1][6], "app=web");
    let slices = table(&["get", "endpointslices"]).await;
    assert_eq!(
        words(&slices)[0],
        ["NAME", "ADDRESSTYPE", "PORTS", "ENDPOINTS", "AGE"]
    );
    assert_eq!(
        words(&slices)[1][..4],
        ["web-x", "IPv4", "8080", "10.244.1.5"]
    );
    let deployments = table(&["get", "deploy"]).await;
    assert_eq!(words(&deployments)[1][..4], ["web", "0/2", "0", "0"]);

    let all = table(&["get", "nodes,pods,svc,endpointslices", "-A", "-o", "wide"]).await;
    for name in [
        "node/node-1",
        "pod/lone",
        "service/web",
        "endpointslice.discovery.k8s.io/web-x",
    ] {
        assert!(all.contains(name), "{all}");
    }
    let names = table(&["get", "all", "-o", "name"]).await;
    assert_eq!(names, "pod/lone\nservice/web\ndeployment.apps/web\n");
    let selected = table(&["get", "pods", "--selector", "app in (web,x)", "-o", "name"]).await;
    assert_eq!(selected, "");
    let yaml = table(&["get", "svc", "web", "-o", "yaml"]).await;
    assert!(yaml.contains("clusterIP: 10.96."), "{yaml}");
    let list = table(&["get", "pods,svc", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
}

/// It is listed, and an address of it can be asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_cidr_widens_what_a_service_may_ask_for() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "far"},
        "spec": {"clusterIP": "10.196.196.9", "ports": [{"port": 80}]},
    });
    let service = cluster.write("service.json", &service.to_string());
    let said = cluster.complaint(&["apply", "-f", &service]).await;
    assert!(said.contains("not in the valid range"), "{said}");
    let cidr = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "more"}, "spec": {"cidrs": ["10.196.196.0/24"]},
    });
    let cidr = cluster.write("cidr.json", &cidr.to_string());
    cluster.kubectl(&["apply", "-f", &cidr]).await;
    let table = cluster.kubectl(&["get", "servicecidrs"]).await;
    let rows = words(&table);
    assert_eq!(rows[0], ["NAME", "CIDRS", "AGE"]);
    assert_eq!(rows[1][..2], ["more", "10.196.196.0/24"]);
    cluster.kubectl(&["apply", "-f", &service]).await;
}
