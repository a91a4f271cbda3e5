//! What an operator must see is an Event at the object that it is about, once, however many nodes
//! see it, and `kubectl` shows it.

mod stage;

use std::time::Duration;

use serde_json::Value;

use stage::askers::{From, Stage};
use stage::{Running, output};

/// Agents look every ten seconds.
const TOLD: Duration = Duration::from_secs(40);
const HEALTH_PORT: &str = "32123";

/// Two Services that want one external address; one whose clients on node2 meet nobody; and one
/// with a health check at a port that somebody else has.
const SERVICES: &str = "\
{apiVersion: v1, kind: Service, metadata: {name: first}, spec: {externalIPs: [192.0.2.77], \
selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: second}, spec: {externalIPs: [192.0.2.77], \
selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: near}, spec: {internalTrafficPolicy: Local, \
selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: checked}, spec: {type: LoadBalancer, \
externalTrafficPolicy: Local, healthCheckNodePort: 32123, \
selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}
";

fn events(stage: &Stage) -> Vec<Value> {
    let text = output(stage.lab.kubectl(&["get", "events", "-A", "-o", "json"]));
    let list: Value = serde_json::from_str(&text).expect("JSON");
    list["items"].as_array().expect("a list").clone()
}

/// Those of a reason, as `Kind/name: message`.
fn told(stage: &Stage, reason: &str) -> Vec<String> {
    let all = events(stage);
    let of_reason = all.iter().filter(|event| event["reason"] == reason);
    let shown = of_reason.map(|event| {
        let about = &event["involvedObject"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!(
            "{}/{}: {}",
            text(&about["kind"]),
            text(&about["name"]),
            text(&event["message"])
        )
    });
    shown.collect()
}

/// Waits for the one Event of a reason, which begins and speaks so.
fn wait_told(stage: &Stage, reason: &str, begins: &str, word: &str) {
    let found = || Ok(told(stage, reason).into_iter().next());
    let text = stage.lab.wait(reason, TOLD, found).expect("told");
    assert!(text.starts_with(begins) && text.contains(word), "{text}");
}

#[test]
fn what_an_operator_must_see_is_told_once() {
    let Some(stage) = Stage::new("events") else {
        return;
    };
    let taken = ["flatnet-demo", "serve", "--port", HEALTH_PORT];
    let _squatter = Running::start(stage.lab.on_node("node2", &taken));
    let there = format!("http://127.0.0.1:{HEALTH_PORT}");
    let listens = || {
        let ask = ["flatnet-demo", "get", &there];
        let answered = stage.lab.on_node("node2", &ask).output();
        Ok(answered
            .is_ok_and(|asked| asked.status.success())
            .then_some(()))
    };
    let waited = stage.lab.wait("a port that is taken", TOLD, listens);
    waited.expect("taken before the agent wants it");
    stage.lab.apply(SERVICES).expect("applied");

    let (conflict, check) = ("FrontendConflict", "FailedToStartServiceHealthcheck");
    wait_told(&stage, conflict, "Service/second: ", "192.0.2.77:80/tcp");
    wait_told(&stage, check, "Service/checked: Node node2 ", HEALTH_PORT);
    assert_eq!(told(&stage, "NoLocalEndpoint"), [""; 0], "nobody asked");

    // What a policy keeps from everybody on a node is told when somebody asks there.
    let ask = ["flatnet-demo", "get", "http://near", "--timeout-ms", "1500"];
    let asked = stage.command(From::Pod("node2"), &ask).output();
    assert!(!asked.expect("it runs").status.success(), "dropped");
    let begins = "Node/node2: Packets were dropped";
    wait_told(&stage, "NoLocalEndpoint", begins, "default/near");

    let shown = output(stage.lab.kubectl(&["describe", "service", "second"]));
    assert!(shown.contains(conflict), "{shown}");
    let shown = output(stage.lab.kubectl(&["describe", "node", "node2"]));
    assert!(shown.contains("NoLocalEndpoint"), "{shown}");
    // Every agent has looked once more by now, on both nodes.
    std::thread::sleep(Duration::from_secs(12));
    for reason in [conflict, check, "NoLocalEndpoint"] {
        assert_eq!(told(&stage, reason).len(), 1, "{reason}");
    }
}
