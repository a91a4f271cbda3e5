//! The nodes of a cluster, asked by `kubectl exec`: with a stand-in for kubectl that runs the
//! command of the pod here, against an agent that is one route.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use axum::Router;
use axum::routing::get;
use tokio::net::UnixListener;
use tokio::process::Command;

const FLATNET: &str = env!("CARGO_BIN_EXE_flatnet");
const FLOWS: &str = r#"{"node": "n1", "found": 0, "flows": []}"#;

/// `kubectl get pods` and `kubectl exec -n NAMESPACE POD -- flatnet ...`, no more.
fn kubectl(folder: &Path, socket: &Path) {
    let pods = r#"{"items": [{"metadata": {"namespace": "net", "name": "agent-1"},
        "spec": {"nodeName": "n1"}}]}"#;
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n\
         'get pods -A -l app.kubernetes.io/name=flatnet-agent -o json') echo '{pods}' ;;\n\
         'exec -n net agent-1 -- flatnet '*) shift 6; exec {FLATNET} --socket {} \"$@\" ;;\n\
         *) echo \"what is $*?\" >&2; exit 1 ;;\nesac\n",
        socket.display()
    );
    let path = folder.join("kubectl");
    fs::write(&path, script).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
}

async fn run(folder: &Path, words: &[&str]) -> Output {
    let path = std::env::var("PATH").expect("a PATH");
    let mut command = Command::new(FLATNET);
    command.args(words);
    command.env("PATH", format!("{}:{path}", folder.display()));
    command.output().await.expect("it runs")
}

#[tokio::test]
async fn an_agent_is_asked_in_its_pod() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("agent.sock");
    kubectl(folder.path(), &socket);
    let routes = Router::new().route("/v1/flows", get(|| async { FLOWS }));
    let listener = UnixListener::bind(&socket).expect("bound");
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let asked = run(folder.path(), &["--cluster", "flows"]).await;
    let text = String::from_utf8_lossy(&asked.stdout);
    assert_eq!(text, "no conversation is translated\n", "{asked:?}");
    let json = run(folder.path(), &["--cluster", "flows", "-o", "json"]).await;
    assert!(String::from_utf8_lossy(&json.stdout).contains("\"node\": \"n1\""));

    let unknown = run(folder.path(), &["--cluster", "--node", "n2", "flows"]).await;
    let text = String::from_utf8_lossy(&unknown.stderr);
    assert!(text.contains("there is no agent of n2"), "{text}");
    let refused = run(folder.path(), &["--cluster", "drops"]).await;
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("404"), "{text}");
}
