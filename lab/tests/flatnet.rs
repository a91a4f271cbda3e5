//! The program `flatnet` in a lab: what it says of nodes and Services, with and without agents.

mod stage;

use lab::Lab;
use serde_json::Value;

use stage::askers::{From, Stage};
use stage::{output, told};

/// The program in a node's place, its answer as JSON.
fn json(lab: &Lab, node: &str, words: &[&str]) -> Value {
    let argv = [&["flatnet"], words, &["-o", "json"]].concat();
    serde_json::from_str(&output(lab.on_node(node, &argv))).expect("JSON")
}

#[test]
fn a_node_tells_how_it_fares() {
    let Some(stage) = Stage::new("cli-status") else {
        return;
    };
    let lab = &stage.lab;
    let text = output(lab.on_node("node1", &["flatnet", "status"]));
    assert!(text.starts_with("node1\n  agent       "), "{text}");
    assert!(text.contains("12 pinned"), "{text}");
    let status = &json(lab, "node1", &["status"])[0];
    assert_eq!(status["waiting"], Value::Array(vec![]), "{status}");
    let attached = status["kernel"]["attached"].as_array().expect("places");
    let runs = |program: &str| {
        attached
            .iter()
            .filter(|one| one["program"] == program)
            .count()
    };
    assert_eq!(runs("from_pod"), lab_pods(lab, "node1"), "{status}");
    assert_eq!(runs("connect4"), 1, "{status}");
    // Every node of the lab at once, from outside of them.
    let sockets = lab.sockets();
    let sockets = sockets.to_str().expect("text");
    let all = output(lab.on_client(&["flatnet", "--sockets", sockets, "status"]));
    for node in lab.nodes() {
        assert!(all.lines().any(|line| line == node), "{all}");
    }
}

fn lab_pods(lab: &Lab, node: &str) -> usize {
    let pods = output(lab.kubectl(&["get", "pods", "-A", "-o", "json"]));
    let pods: Value = serde_json::from_str(&pods).expect("JSON");
    let all = pods["items"].as_array().expect("pods").iter();
    let own = |pod: &&Value| {
        pod["spec"]["nodeName"] == node && pod["spec"]["hostNetwork"] != Value::Bool(true)
    };
    all.filter(own).count()
}

#[test]
fn services_are_told_from_the_kernel_with_their_names() {
    let Some(stage) = Stage::new("cli-services") else {
        return;
    };
    let lab = &stage.lab;
    stage.service(
        "web",
        "web",
        30091,
        "type: NodePort, externalTrafficPolicy: Local",
    );
    stage.service("nobody", "nobody", 30092, "type: NodePort");
    for at in stage.at("node1", 30091) {
        stage.settle(From::Outside, at);
    }
    let settled = || {
        let found = json(lab, "node2", &["services", "web"]);
        let port = &found[0]["services"][0]["ports"][0];
        let fronts = port["frontends"].as_array().cloned().unwrap_or_default();
        let done = fronts.len() == 4 && fronts.iter().all(|one| one["programmed"] == "yes");
        Ok(done.then_some(fronts))
    };
    let fronts = lab.wait("the Service on node2", stage::PATIENCE, settled);
    for front in fronts.expect("programmed") {
        let inside = front["inside"]["endpoints"].as_array().expect("a list");
        assert_eq!(inside.len(), 1, "{front}");
        let code = &front["outside"]["nobody"]["code"];
        match front["kind"].as_str() {
            Some("node-port") => assert_eq!(code, "none-here", "{front}"),
            _ => assert_eq!(*code, Value::Null, "{front}"),
        }
    }
    let text = output(lab.on_node("node1", &["flatnet", "services", "nobody"]));
    assert!(text.contains("the selector matches no pod"), "{text}");
    let unknown = lab
        .on_node("node1", &["flatnet", "services", "no-such"])
        .output();
    assert!(!unknown.expect("it runs").status.success());
}

#[test]
fn without_the_agent_it_tells_what_the_kernel_holds() {
    let Some(stage) = Stage::new("cli-down") else {
        return;
    };
    let lab = &stage.lab;
    let without = |words: &[&str]| {
        let argv = [&["flatnet", "--socket", "/nowhere/agent.sock"], words].concat();
        lab.on_node("node1", &argv).output().expect("it runs")
    };
    let status = without(&["status"]);
    let text = told(&status);
    assert!(!status.status.success(), "{text}");
    assert!(text.contains("the agent does not run"), "{text}");
    assert!(text.contains("12 pinned"), "{text}");
    let services = without(&["services"]);
    let text = told(&services);
    assert!(!services.status.success(), "{text}");
    // The API server's own Service is in every lab.
    assert!(text.contains(":443"), "{text}");
    let refused = without(&["drops"]);
    assert!(told(&refused).contains("the agent does not run"));
}
