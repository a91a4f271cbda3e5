//! A pod's annotation says no to the socket path: its connections go to the cluster IP packet by
//! packet, from the first on, beside a pod of the same node that says nothing.

mod stage;

use serde_json::json;
use stage::askers::From;
use stage::capture::Capture;
use stage::cast::{Cast, End};
use stage::output;

/// What a pod's own interface carries tells where its connections went: with the socket path to
/// the endpoint, without it to the frontend.
#[test]
fn a_pod_that_says_no_connects_to_the_frontend_itself() {
    let Some(lab) = stage::product_in_zones("said-no", 3, &[], &["kubectl", "tcpdump"]) else {
        return;
    };
    let cast = Cast::on(lab);
    cast.service("web", json!({}));
    cast.ends("web", &[End::ready(1), End::ready(2)]);
    for (from, pod, packets) in [
        (From::Pod("node1"), "c1", false),
        (From::Pod("node3"), "c3", true),
    ] {
        for at in cast.frontends("web") {
            cast.until(from, at, &[1, 2]);
            let capture = Capture::start(&cast.lab, pod, "tcp");
            output(cast.command(
                from,
                &[
                    "flatnet-demo",
                    "get",
                    &format!("http://{at}"),
                    "--count",
                    "5",
                ],
            ));
            let seen = capture.finish();
            let frontend = format!("> {}.{}:", at.ip(), at.port());
            let to_frontend = seen.iter().filter(|line| line.contains(&frontend)).count();
            let syns = seen
                .iter()
                .filter(|line| line.contains("Flags [S]"))
                .count();
            // Of five; tcpdump may be ended before it has read the last.
            assert!(syns > 0, "{pod}: {seen:?}");
            assert_eq!(to_frontend > 0, packets, "{pod} to {at}: {seen:?}");
        }
    }
}

/// A value that is neither yes nor no is told, not guessed.
#[test]
fn an_annotation_that_says_neither_keeps_the_pod_from_starting() {
    let Some(lab) = stage::product_in_zones("said-what", 1, &[], &["kubectl"]) else {
        return;
    };
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "annotations": {"flatnet.dev/socket-lb": "maybe"}},
        "spec": {"nodeName": "node1", "containers": [{"name": "c", "image": "none", "command": ["sleep", "infinity"]}]}});
    lab.apply(&pod.to_string()).expect("applied");
    let told = || {
        let pod = lab
            .api()
            .find(lab::store::Kind::Pod, "default", "p")?
            .unwrap_or_default();
        Ok(pod["status"]
            .to_string()
            .contains("flatnet.dev/socket-lb")
            .then_some(()))
    };
    lab.wait("the reason in the pod's status", stage::PATIENCE, told)
        .expect("told");
}
