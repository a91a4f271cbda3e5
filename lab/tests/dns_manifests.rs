//! The manifests of the DNS server, as pods of a lab: once for the cluster, and on every node.
//!
//! What a lab has not is put in by the test: instead of credentials the API server's address,
//! instead of a DaemonSet's controller one pod a node, and of the security context what a runtime
//! makes of it (user, capabilities, the sysctl). Probes, ports, labels and Services are the
//! manifests' own.

mod stage;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::Lab;
use lab::network::{Families, Network};
use lab::store::Kind;
use serde::Deserialize;
use serde_json::{Value, json};
use stage::place::Place;
use stage::{PATIENCE, product_of, programs_copied};

/// Once for the cluster, and on every node: folders of `kind-config/manifests`.
const ONCE: &str = "dns";
const EVERY_NODE: &str = "dns-every-node";
const OPTIONS: &str = include_str!("../../kind-config/manifests/flatnet.env");

/// Who asks: a pod on each node.
const CLIENTS: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: on-node1, labels: {app: client}}, spec: {\
nodeName: node1, terminationGracePeriodSeconds: 0, \
containers: [{name: c, image: none, command: [sleep, infinity]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: on-node2, labels: {app: client}}, spec: {\
nodeName: node2, terminationGracePeriodSeconds: 0, \
containers: [{name: c, image: none, command: [sleep, infinity]}]}}
";
const SERVERS: [&str; 2] = ["10.96.0.10", "fd00:10:96::a"];
/// A type that nobody else asks for, to count questions by.
const KIND: &str = "MX";

/// What `kubectl apply -k` would send of a folder.
fn rendered(folder: &str) -> String {
    let room = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
    let path = Path::new(&room)
        .join("../kind-config/manifests")
        .join(folder);
    let mut command = Command::new("kubectl");
    command.arg("kustomize").arg(path);
    stage::output(command)
}

/// The manifest's object of this kind.
fn object(manifest: &str, kind: &str) -> Value {
    let mut objects = serde_yaml_ng::Deserializer::from_str(manifest)
        .map(|document| Value::deserialize(document).expect("YAML"));
    let found = objects.find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("a {kind}"))
}

/// The pod template `pod`, made such that a lab runs it as it is meant.
fn for_the_lab(pod: &mut Value) {
    let context = pod["spec"]["securityContext"].clone();
    let container = &mut pod["spec"]["containers"][0];
    let address = "http://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)";
    let mut variables = vec![json!({"name": "FLATNET_API_SERVER", "value": address})];
    let set = OPTIONS.lines().filter(|line| !line.starts_with('#'));
    variables.extend(
        set.filter_map(|line| line.split_once('='))
            .map(|(name, value)| json!({"name": name, "value": value})),
    );
    container["env"] = json!(variables);
    // The ConfigMap, which holds these options, is another folder's.
    container["envFrom"] = json!([]);

    let own = &container["securityContext"];
    assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(own["allowPrivilegeEscalation"], false);
    assert_eq!(context["runAsNonRoot"], true);
    let mut script = String::new();
    for sysctl in context["sysctls"].as_array().expect("sysctls") {
        let text = |field: &str| sysctl[field].as_str().expect(field).replace('.', "/");
        script += &format!("echo {} > /proc/sys/{} && ", text("value"), text("name"));
    }
    script += &format!(
        "exec setpriv --reuid={} --regid={} --clear-groups --no-new-privs --inh-caps=-all \
         --bounding-set=-all \"$@\"",
        context["runAsUser"], context["runAsGroup"]
    );
    let mut command = vec![json!("sh"), json!("-c"), json!(script), json!("sh")];
    command.extend(container["command"].as_array().expect("a command").clone());
    container["command"] = json!(command);
}

/// What `dig` in the pod on `node` says to these arguments.
fn dig(lab: &Lab, node: &str, arguments: &[&str]) -> String {
    let argv = [&["dig", "+time=1", "+tries=2"], arguments].concat();
    let output = lab.in_pod(&format!("on-{node}"), &argv).output();
    let text = String::from_utf8_lossy(&output.expect("it runs").stdout).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The DNS server's pods that are ready: names, nodes and first addresses.
fn copies(lab: &Lab) -> Vec<(String, String, IpAddr)> {
    let pods = lab.api().list(Kind::Pod, "kube-system").expect("pods");
    let ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        pod["metadata"]["deletionTimestamp"].is_null()
            && pod["metadata"]["labels"]["k8s-app"] == "kube-dns"
            && conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let copy = |pod: &Value| {
        let address = text(&pod["status"]["podIP"]).parse().expect("an address");
        (
            text(&pod["metadata"]["name"]),
            text(&pod["spec"]["nodeName"]),
            address,
        )
    };
    pods.iter().filter(ready).map(copy).collect()
}

/// Waits until the ready copies are as `settled` wants them.
fn wait_copies(
    lab: &Lab,
    what: &str,
    settled: impl Fn(&[(String, String, IpAddr)]) -> bool,
) -> Vec<(String, String, IpAddr)> {
    let look = || Ok(Some(copies(lab)).filter(|copies| settled(copies)));
    lab.wait(what, PATIENCE, look).expect(what)
}

/// How many questions of [`KIND`] the copy at `address` had.
fn counted(lab: &Lab, node: &str, address: IpAddr) -> u64 {
    let text = Place::member(lab, node).inside(|| {
        let mut stream = TcpStream::connect(SocketAddr::from((address, 9153))).expect("metrics");
        let request = b"GET /metrics HTTP/1.1\r\nHost: dns\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("received");
        text
    });
    let kind = format!("type=\"{KIND}\"");
    let lines = text
        .lines()
        .filter(|line| line.starts_with("coredns_dns_requests_total") && line.contains(&kind));
    lines
        .filter_map(|line| line.split(' ').next_back()?.parse::<u64>().ok())
        .sum()
}

/// Every way to ask, from both nodes.
fn is_answered(lab: &Lab) {
    for node in ["node1", "node2"] {
        for server in SERVERS {
            for way in ["+notcp", "+tcp"] {
                let name = "kube-dns.kube-system.svc.cluster.local";
                let at = format!("@{server}");
                let said = dig(lab, node, &[&at, way, name]);
                assert!(
                    said.contains("IN A 10.96.0.10"),
                    "{node} {at} {way}: {said}"
                );
            }
        }
    }
}

/// Has the lab's `kube-dns` as the manifest says.
fn patch_service(lab: &Lab, manifest: &str) -> Value {
    let (name, service) = (("kube-system", "kube-dns"), object(manifest, "Service"));
    let patched = lab.api().patch(Kind::Service, name, &service);
    patched.expect("the Service")
}

fn without_dns(lab: &Lab) {
    lab.api()
        .delete(Kind::Deployment, "kube-system", "flatnet-dns")
        .expect("deleted");
    wait_copies(lab, "no copy", <[_]>::is_empty);
}

#[test]
fn the_manifests_run_as_they_say() {
    let Some(bin_dir) = programs_copied("flatnet-dns") else {
        return;
    };
    let network = Network {
        families: Families::Dual,
        ..Network::default()
    };
    let tools = ["dig", "kubectl", "setpriv"];
    let Some(lab) = product_of(bin_dir.path(), "dns-manifests", 2, network, &tools) else {
        return;
    };
    lab.apply(CLIENTS).expect("applied");
    lab.wait_pods("client", 2, PATIENCE).expect("they run");
    // The lab's own makes place.
    without_dns(&lab);

    let mut deployment = object(&rendered(ONCE), "Deployment");
    for_the_lab(&mut deployment["spec"]["template"]);
    patch_service(&lab, &rendered(ONCE));
    lab.apply(&deployment.to_string()).expect("the Deployment");
    let two = wait_copies(&lab, "two copies", |copies| copies.len() == 2);
    assert_ne!(two[0].1, two[1].1, "spread over the nodes");
    is_answered(&lab);
    is_an_ordinary_user(&lab);
    without_dns(&lab);

    on_every_node(&lab);
}

/// Nothing of the DNS server's processes is root's.
fn is_an_ordinary_user(lab: &Lab) {
    let procs = |dir: &str| -> Vec<String> {
        let text = fs::read_to_string(format!("/proc/{dir}/status")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let mut found = 0;
    for entry in walk(&lab.cgroup()) {
        for pid in entry.lines() {
            let status = procs(pid);
            if !status.iter().any(|line| line == "Name:\tflatnet-dns") {
                continue;
            }
            found += 1;
            for wanted in [
                "Uid:\t65532\t65532\t65532\t65532",
                "CapEff:\t0000000000000000",
            ] {
                assert!(
                    status.iter().any(|line| line == wanted),
                    "{wanted}: {status:?}"
                );
            }
        }
    }
    assert_eq!(found, 2, "two processes");
}

/// The processes of a cgroup and of those below it.
fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut found = vec![fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default()];
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(walk(&entry.path()));
        }
    }
    found
}

/// The DaemonSet: each node's pods are answered by the node's own copy.
fn on_every_node(lab: &Lab) {
    let service = patch_service(lab, &rendered(EVERY_NODE));
    assert_eq!(service["spec"]["internalTrafficPolicy"], "Local");
    let mut template = object(&rendered(EVERY_NODE), "DaemonSet")["spec"]["template"].clone();
    for_the_lab(&mut template);
    for node in ["node1", "node2"] {
        let mut pod = template.clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!(format!("flatnet-dns-{node}"));
        pod["metadata"]["namespace"] = json!("kube-system");
        pod["spec"]["nodeName"] = json!(node);
        lab.apply(&pod.to_string()).expect("a pod of the DaemonSet");
    }
    let copies = wait_copies(lab, "a copy a node", |copies| copies.len() == 2);
    is_answered(lab);

    let at = |node: &str| {
        let copy = copies.iter().find(|(_, on, _)| on == node);
        counted(lab, node, copy.expect("a copy there").2)
    };
    let before = (at("node1"), at("node2"));
    for n in 0..10 {
        let server = format!("@{}", SERVERS[n % 2]);
        dig(
            lab,
            "node1",
            &[&server, "kube-dns.kube-system.svc.cluster.local", KIND],
        );
    }
    assert_eq!(
        (at("node1"), at("node2")),
        (before.0 + 10, before.1),
        "node1's own"
    );

    // A node without a copy has no DNS; the other does not take its questions.
    lab.api()
        .delete(Kind::Pod, "kube-system", "flatnet-dns-node2")
        .expect("deleted");
    wait_copies(lab, "one copy", |copies| copies.len() == 1);
    let asked = |node: &str| {
        let name = "kube-dns.kube-system.svc.cluster.local";
        dig(lab, node, &["@10.96.0.10", "+tries=1", name])
    };
    let refused = || Ok((!asked("node2").contains("IN A")).then_some(()));
    lab.wait("no DNS on node2", Duration::from_secs(20), refused)
        .expect("its own copy is gone");
    assert!(
        asked("node1").contains("IN A 10.96.0.10"),
        "node1 has its own"
    );
}
