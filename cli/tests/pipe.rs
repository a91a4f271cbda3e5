//! Who reads what `flatnet` writes may go before it is done: `flatnet services | head -1`.

use std::io;
use std::process::Stdio;

use axum::Router;
use axum::routing::get;
use tokio::net::UnixListener;
use tokio::process::Command;

#[tokio::test]
async fn who_has_gone_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    let flows = r#"{"node": "n1", "found": 0, "flows": []}"#;
    let routes = Router::new().route("/v1/flows", get(move || async move { flows }));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    for words in [&["flows"][..], &["flows", "-o", "json"]] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_flatnet"));
        command.arg("--socket").arg(&socket).args(words);
        let ended = command.stdout(writer).stderr(Stdio::piped()).output().await;
        let ended = ended.expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(
            ended.status.success() && said.is_empty(),
            "{words:?}: {said}"
        );
    }
}
