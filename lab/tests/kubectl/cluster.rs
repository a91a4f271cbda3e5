//! An API server without nodes, and `kubectl` pointed at it.

use std::process::{Output, Stdio};
use std::time::Duration;

use lab::api;
use lab::store::{ChangeKind, Config, DeleteOptions, Kind, Store, object};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::{CancellationToken, DropGuard};

/// An API server and a kubeconfig for it; both go when it is dropped.
pub(crate) struct Cluster {
    pub(crate) store: Store,
    pub(crate) directory: TempDir,
    _server: DropGuard,
}

/// What a kubectl command said.
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn from(output: &Output) -> Said {
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
    pub(crate) async fn start() -> Option<Cluster> {
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

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
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
    pub(crate) async fn run(&self, arguments: &[&str]) -> Said {
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
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments).await;
        assert!(said.ok, "kubectl {arguments:?}: {}{}", said.out, said.err);
        said.out
    }

    /// Runs kubectl, which must fail; gives what it complained of.
    pub(crate) async fn complaint(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments).await;
        assert!(!said.ok, "kubectl {arguments:?} should fail: {}", said.out);
        said.err
    }

    pub(crate) fn deployment(&self) -> Value {
        let found = self
            .store
            .get(Kind::Deployment, "default", "web")
            .expect("a Deployment");
        found.as_ref().clone()
    }

    /// Puts pods on a node at once, and lets deleted ones go after `linger`.
    pub(crate) fn play_kubelet(&self, linger: Duration) {
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

pub(crate) async fn has_kubectl() -> bool {
    let mut command = Command::new("kubectl");
    command
        .args(["version", "--client"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

pub(crate) fn run_pod(pod: &mut Value) {
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
pub(crate) fn words(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}
