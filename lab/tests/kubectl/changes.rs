//! What is changed: applied, patched, edited by small commands, and what is complained of.

use lab::store::{Kind, object};
use serde_json::json;

use crate::MANIFEST;
use crate::cluster::Cluster;

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
