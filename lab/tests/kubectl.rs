//! The real `kubectl` against the lab's API server, in this process on a loopback port of its own.
//!
//! No nodes run here: [`Cluster::play_kubelet`] stands in for the kubelet, and the tests themselves
//! write what controllers would.
//! Without `kubectl` on the machine the tests say so and pass, except where `CI` is set.

use lab::api;
use lab::store::{ChangeKind, Config, DeleteOptions, Kind, Store, clock, object};
use serde_json::{Value, json};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::{CancellationToken, DropGuard};

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web:1
        env: [{name: COLOUR, value: red}]
        ports: [{containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: 8080}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: lone, labels: {app: lone}}
spec: {containers: [{name: c, image: lone:1}]}
";

/// An API server and a kubeconfig for it; both go when it is dropped.
struct Cluster {
    store: Store,
    directory: TempDir,
    _server: DropGuard,
}

/// What a kubectl command said.
struct Said {
    ok: bool,
    out: String,
    err: String,
}

impl Said {
    fn from(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            ok: output.status.success(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Cluster {
    /// `None` where there is no kubectl.
    async fn start() -> Option<Cluster> {
        if !has_kubectl().await {
            assert!(
                std::env::var_os("CI").is_none(),
                "kubectl is not installed, and CI is set"
            );
            eprintln!("SKIPPED: kubectl is not installed");
            return None;
        }
        let store = Store::new(&Config::default());
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a loopback port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        tokio::spawn(api::serve(
            listener,
            api::router(store.clone()),
            shutdown.clone(),
        ));
        let directory = tempfile::tempdir().expect("a directory");
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": format!("http://{address}")}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            "users": [{"name": "lab", "user": {}}],
        });
        let cluster = Cluster {
            store,
            directory,
            _server: shutdown.drop_guard(),
        };
        cluster.write("kubeconfig", &kubeconfig.to_string());
        Some(cluster)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(arguments)
            .env("KUBECONFIG", self.directory.path().join("kubeconfig"))
            // Discovery is cached by host and port, and a port may come back.
            .env("HOME", self.directory.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs kubectl to its end, whatever that is.
    async fn run(&self, arguments: &[&str]) -> Said {
        let output =
            tokio::time::timeout(Duration::from_secs(60), self.command(arguments).output());
        Said::from(
            &output
                .await
                .expect("kubectl ends within a minute")
                .expect("kubectl runs"),
        )
    }

    /// Runs kubectl, which must succeed; gives what it printed.
    async fn kubectl(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments).await;
        assert!(said.ok, "kubectl {arguments:?}: {}{}", said.out, said.err);
        said.out
    }

    /// Runs kubectl, which must fail; gives what it complained of.
    async fn complaint(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments).await;
        assert!(!said.ok, "kubectl {arguments:?} should fail: {}", said.out);
        said.err
    }

    fn deployment(&self) -> Value {
        let found = self
            .store
            .get(Kind::Deployment, "default", "web")
            .expect("a Deployment");
        found.as_ref().clone()
    }

    /// Puts pods on a node at once, and lets deleted ones go after `linger`.
    fn play_kubelet(&self, linger: Duration) {
        let store = self.store.clone();
        let mut watch = store.watch(Kind::Pod, None, None).expect("a watch");
        tokio::spawn(async move {
            while let Ok(change) = watch.next().await {
                if change.kind == ChangeKind::Deleted {
                    continue;
                }
                let namespace = object::namespace(&change.object).to_owned();
                let name = object::name(&change.object).to_owned();
                if object::is_terminating(&change.object) {
                    let store = store.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(linger).await;
                        // It may have been let go by an earlier event already.
                        let _ = store.delete(Kind::Pod, &namespace, &name, &DeleteOptions::now());
                    });
                } else {
                    let _ = store.modify(Kind::Pod, &namespace, &name, run_pod);
                }
            }
        });
    }
}

async fn has_kubectl() -> bool {
    let mut command = Command::new("kubectl");
    command
        .args(["version", "--client"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

fn run_pod(pod: &mut Value) {
    pod["spec"]["nodeName"] = json!("node-1");
    pod["status"]["phase"] = json!("Running");
    pod["status"]["podIP"] = json!("10.244.1.5");
    pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    let started = pod["metadata"]["creationTimestamp"].clone();
    pod["status"]["containerStatuses"] = json!([
        {"name": "c", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": started}}},
    ]);
}

/// The words of each line of a table.
fn words(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_creates_changes_and_leaves_alone() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let file = cluster.write("two.yaml", MANIFEST);
    let apply = ["apply", "-f", &file];
    let created = "deployment.apps/web created\nservice/web created\npod/lone created\n";
    assert_eq!(cluster.kubectl(&apply).await, created);
    let unchanged = created.replace("created", "unchanged");
    assert_eq!(cluster.kubectl(&apply).await, unchanged);

    let changed = MANIFEST
        .replace("web:1", "web:2")
        .replace("{name: COLOUR, value: red}", "{name: SHAPE, value: round}")
        .replace("containerPort: 8080", "containerPort: 9090")
        .replace("replicas: 2", "replicas: 3");
    cluster.write("two.yaml", &changed);
    let said = cluster.kubectl(&apply).await;
    assert_eq!(said.lines().next(), Some("deployment.apps/web configured"));
    let deployment = cluster.deployment();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "web:2");
    assert_eq!(
        container["env"],
        json!([{"name": "SHAPE", "value": "round"}])
    );
    assert_eq!(
        container["ports"],
        json!([{"containerPort": 9090, "protocol": "TCP"}])
    );
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(deployment["metadata"]["generation"], 2);

    let said = cluster
        .kubectl(&["apply", "--server-side", "-f", &file])
        .await;
    assert_eq!(
        said.lines().next(),
        Some("deployment.apps/web serverside-applied")
    );
    assert_eq!(
        cluster.deployment()["spec"],
        deployment["spec"],
        "nothing to change"
    );
    let dry = cluster
        .kubectl(&["apply", "--dry-run=server", "-f", &file])
        .await;
    assert!(dry.contains("(server dry run)"), "{dry}");
    cluster.kubectl(&["diff", "-f", &file]).await;
    cluster
        .kubectl(&["delete", "--wait=false", "-f", &file])
        .await;
    assert_eq!(cluster.store.list(Kind::Service, None).items.len(), 0);
}

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

#[tokio::test(flavor = "multi_thread")]
async fn small_changes_by_many_commands() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let file = cluster.write("two.yaml", MANIFEST);
    cluster.kubectl(&["apply", "-f", &file]).await;
    let commands: [&[&str]; 8] = [
        &["scale", "deploy/web", "--replicas=4"],
        &[
            "scale",
            "deploy/web",
            "--replicas=5",
            "--current-replicas=4",
        ],
        &["label", "deploy", "web", "tier=front"],
        &["label", "--overwrite", "deploy", "web", "tier=back"],
        &["annotate", "deploy", "web", "note=yes"],
        &["set", "env", "deploy/web", "SIZE=big"],
        &["rollout", "restart", "deploy/web"],
        &[
            "expose",
            "deploy",
            "web",
            "--name=open",
            "--port=90",
            "--type=NodePort",
        ],
    ];
    for command in commands {
        cluster.kubectl(command).await;
    }
    let deployment = cluster.deployment();
    let (metadata, template) = (&deployment["metadata"], &deployment["spec"]["template"]);
    assert_eq!(deployment["spec"]["replicas"], 5);
    assert_eq!(metadata["labels"], json!({"app": "web", "tier": "back"}));
    assert_eq!(metadata["annotations"]["note"], "yes");
    assert!(object::annotation(template, "kubectl.kubernetes.io/restartedAt").is_some());
    let env = json!([{"name": "COLOUR", "value": "red"}, {"name": "SIZE", "value": "big"}]);
    assert_eq!(template["spec"]["containers"][0]["env"], env);
    let service = cluster
        .store
        .get(Kind::Service, "default", "open")
        .expect("a Service");
    assert!(service["spec"]["ports"][0]["nodePort"].as_u64() >= Some(30000));
    cluster.kubectl(&["label", "deploy", "web", "tier-"]).await;
    assert_eq!(
        cluster.deployment()["metadata"]["labels"],
        json!({"app": "web"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_of_every_kind() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let file = cluster.write("two.yaml", MANIFEST);
    cluster.kubectl(&["apply", "-f", &file]).await;
    let pause = r#"[{"op":"add","path":"/spec/paused","value":true}]"#;
    let image = r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:7"}]}}}}"#;
    let patch = ["patch", "deploy", "web", "-p"];
    for (kind, body) in [
        ("--type=merge", r#"{"spec":{"minReadySeconds":3}}"#),
        ("--type=json", pause),
        ("--type=strategic", image),
    ] {
        cluster.kubectl(&[&patch[..], &[body, kind]].concat()).await;
    }
    let spec = cluster.deployment()["spec"].clone();
    assert_eq!(
        (&spec["minReadySeconds"], &spec["paused"]),
        (&json!(3), &json!(true))
    );
    let container = &spec["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "web:7");
    assert_eq!(
        container["ports"][0]["containerPort"], 8080,
        "the rest stays"
    );
    cluster.kubectl(&["rollout", "resume", "deploy/web"]).await;
    assert_ne!(cluster.deployment()["spec"]["paused"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn complaints_are_upstreams() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let bad = cluster.write(
        "bad.yaml",
        &MANIFEST.replace("replicas: 2", "replicants: 2"),
    );
    let said = cluster.complaint(&["apply", "-f", &bad]).await;
    assert!(
        said.contains("strict decoding error: unknown field \"spec.replicants\""),
        "{said}"
    );
    let port = cluster.write("port.yaml", &MANIFEST.replace("port: 80,", "port: 0,"));
    let said = cluster.complaint(&["apply", "-f", &port]).await;
    let expected = "The Service \"web\" is invalid: spec.ports[0].port: Invalid value: 0: must be \
                    between 1 and 65535, inclusive";
    assert!(said.contains(expected), "{said}");
    let rows: [(&[&str], &str); 6] = [
        (
            &["get", "pod", "nobody"],
            "Error from server (NotFound): pods \"nobody\" not found",
        ),
        (
            &["get", "widgets"],
            "the server doesn't have a resource type \"widgets\"",
        ),
        (
            &["-n", "nowhere", "run", "x", "--image=y"],
            "namespaces \"nowhere\" not found",
        ),
        (
            &["logs", "lone"],
            "use `flatnet-lab exec lone -- COMMAND` instead",
        ),
        (
            &["exec", "lone", "--", "ls"],
            "use `flatnet-lab exec lone -- COMMAND` instead",
        ),
        (
            &["delete", "ns", "default"],
            "this namespace may not be deleted",
        ),
    ];
    for (command, expected) in rows {
        let said = cluster.complaint(command).await;
        assert!(said.contains(expected), "{command:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_are_waited_for() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let linger = Duration::from_millis(300);
    cluster.play_kubelet(linger);
    cluster.kubectl(&["run", "slow", "--image=x"]).await;
    cluster
        .kubectl(&["wait", "--for=condition=Ready", "pod/slow", "--timeout=10s"])
        .await;
    let began = std::time::Instant::now();
    cluster.kubectl(&["delete", "pod", "slow"]).await;
    assert!(
        began.elapsed() >= linger,
        "kubectl waits until the kubelet lets go"
    );
    assert!(!cluster.store.exists(Kind::Pod, "default", "slow"));

    cluster.kubectl(&["create", "ns", "team"]).await;
    cluster
        .kubectl(&["-n", "team", "run", "p", "--image=x"])
        .await;
    cluster
        .kubectl(&[
            "-n",
            "team",
            "wait",
            "--for=condition=Ready",
            "pod/p",
            "--timeout=10s",
        ])
        .await;
    cluster.kubectl(&["delete", "ns", "team"]).await;
    assert!(!cluster.store.exists(Kind::Namespace, "", "team"));

    let file = cluster.write("two.yaml", MANIFEST);
    cluster.kubectl(&["apply", "-f", &file]).await;
    let owner = cluster.deployment();
    let pod = json!({"metadata": {"name": "web-1", "labels": {"app": "web"},
            "ownerReferences": [object::owner_reference(&owner)]},
        "spec": owner["spec"]["template"]["spec"]});
    cluster.store.create(Kind::Pod, pod).expect("created");
    cluster
        .kubectl(&["delete", "deploy", "web", "--cascade=foreground"])
        .await;
    assert!(
        !cluster.store.exists(Kind::Pod, "default", "web-1"),
        "foreground waits for pods"
    );
    cluster.kubectl(&["delete", "pods,svc", "--all"]).await;
    assert_eq!(cluster.kubectl(&["get", "pods,svc"]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_w_follows() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    cluster.kubectl(&["run", "first", "--image=x"]).await;
    let mut child = cluster
        .command(&["get", "pods", "-w", "--output-watch-events"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut line = async || {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        line.expect("a line in time")
            .expect("readable")
            .expect("kubectl goes on")
    };
    let header = line().await;
    assert_eq!(
        words(&header)[0],
        ["EVENT", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    );
    assert_eq!(
        words(&line().await)[0][..4],
        ["ADDED", "first", "0/1", "Pending"]
    );

    // It has listed: from here on it must see everything.
    cluster.kubectl(&["delete", "pod", "first"]).await;
    cluster.play_kubelet(Duration::from_millis(100));
    cluster.kubectl(&["run", "p", "--image=x"]).await;
    cluster.kubectl(&["delete", "pod", "p"]).await;
    let expected = [
        ["DELETED", "first", "0/1", "Pending"],
        ["ADDED", "p", "0/1", "Pending"],
        ["MODIFIED", "p", "1/1", "Running"],
        ["MODIFIED", "p", "1/1", "Terminating"],
        ["DELETED", "p", "1/1", "Terminating"],
    ];
    for expected in expected {
        assert_eq!(words(&line().await)[0][..4], expected);
    }
    child.kill().await.expect("killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn rollouts_and_descriptions() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let file = cluster.write("two.yaml", MANIFEST);
    cluster.kubectl(&["apply", "-f", &file]).await;
    cluster
        .store
        .modify(Kind::Deployment, "default", "web", |deployment| {
            deployment["status"] = json!({
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
                "conditions": [{"type": "Available", "status": "True",
                    "lastTransitionTime": clock::timestamp()}],
            });
        })
        .expect("written");
    let said = cluster
        .kubectl(&["rollout", "status", "deploy/web", "--timeout=10s"])
        .await;
    assert_eq!(said, "deployment \"web\" successfully rolled out\n");
    let described = cluster.kubectl(&["describe", "deploy", "web"]).await;
    assert!(
        described.contains("2 desired | 2 updated | 2 total | 2 available"),
        "{described}"
    );
    let described = cluster.kubectl(&["describe", "svc", "web"]).await;
    assert!(
        described.contains("TargetPort:               8080/TCP"),
        "{described}"
    );
    cluster.kubectl(&["describe", "pod", "lone"]).await;
    let resources = cluster.kubectl(&["api-resources", "--no-headers"]).await;
    assert_eq!(resources.lines().count(), Kind::all().count());
}

/// These commands send protobuf.
#[tokio::test(flavor = "multi_thread")]
async fn create_commands_and_drain() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let commands: [&[&str]; 6] = [
        &["create", "ns", "team"],
        &["create", "cm", "settings", "--from-literal=colour=red"],
        &["create", "sa", "robot"],
        &["create", "service", "nodeport", "open", "--tcp=80:8080"],
        &[
            "create",
            "service",
            "externalname",
            "far",
            "--external-name=far.example",
        ],
        &[
            "create",
            "deployment",
            "web",
            "--image=web:1",
            "--replicas=0",
            "--port=80",
            "--",
            "serve",
            "all",
        ],
    ];
    for command in commands {
        cluster.kubectl(command).await;
    }
    let get = |kind, name| cluster.store.get(kind, "default", name).expect("created");
    assert_eq!(
        get(Kind::ConfigMap, "settings")["data"],
        json!({"colour": "red"})
    );
    assert_eq!(
        get(Kind::Service, "open")["spec"]["ports"][0]["targetPort"],
        8080
    );
    assert_eq!(
        get(Kind::Service, "far")["spec"]["externalName"],
        "far.example"
    );
    let deployment = cluster.deployment();
    assert_eq!(deployment["spec"]["replicas"], 0);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"], json!(["serve", "all"]));

    cluster
        .store
        .create(Kind::Node, json!({"metadata": {"name": "node-1"}}))
        .expect("created");
    cluster.play_kubelet(Duration::from_millis(100));
    cluster.kubectl(&["run", "p", "--image=x"]).await;
    cluster
        .kubectl(&["wait", "--for=condition=Ready", "pod/p", "--timeout=10s"])
        .await;
    cluster
        .kubectl(&["drain", "node-1", "--force", "--timeout=20s"])
        .await;
    assert!(!cluster.store.exists(Kind::Pod, "default", "p"));
    let nodes = cluster.kubectl(&["get", "nodes", "--no-headers"]).await;
    assert_eq!(words(&nodes)[0][1], "Unknown,SchedulingDisabled");
    cluster.kubectl(&["uncordon", "node-1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_takes_back_what_it_no_longer_says() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let file = cluster.write("two.yaml", MANIFEST);
    let apply = ["apply", "--server-side", "-f", &file];
    cluster.kubectl(&apply).await;
    let before = cluster.deployment();
    cluster.kubectl(&apply).await;
    assert_eq!(
        cluster.deployment(),
        before,
        "applying twice changes nothing"
    );
    // Somebody else's label is not the manifest's to take back.
    cluster
        .kubectl(&["label", "deploy", "web", "foreign=1"])
        .await;
    let changed = MANIFEST
        .replace("{name: COLOUR, value: red}", "{name: SHAPE, value: round}")
        .replace("containerPort: 8080", "containerPort: 9090")
        .replace(
            "labels: {app: web}}\nspec:\n  replicas",
            "labels: {}}\nspec:\n  replicas",
        );
    cluster.write("two.yaml", &changed);
    cluster.kubectl(&apply).await;
    let deployment = cluster.deployment();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["env"],
        json!([{"name": "SHAPE", "value": "round"}])
    );
    assert_eq!(
        container["ports"],
        json!([{"containerPort": 9090, "protocol": "TCP"}])
    );
    assert_eq!(deployment["metadata"]["labels"], json!({"foreign": "1"}));
}
