//! flatnet as people get it: from the image archive and the manifests, with `kubectl apply -k`,
//! on nodes that have nothing. What the manifests say is what runs: command, environment, mounts,
//! user and capabilities.

mod stage;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lab::Lab;
use lab::handle::LabOptions;
use lab::network::Network;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use stage::{EXE, PATIENCE, output, skip_without, told};

/// How long a rollout may take.
const ROLLOUT: &str = "--timeout=90s";
const RESTARTS: usize = 10;

/// The archive under test, or nothing after having said why not.
fn archive(tools: &[&str]) -> Option<PathBuf> {
    skip_without(&[&["ip"], tools].concat(), "FLATNET_IMAGE")
}

/// Bare nodes, and flatnet on them.
struct Installed {
    lab: Lab,
    /// The overlay that says where this cluster's API server is.
    overlay: TempDir,
}

impl Installed {
    fn new(prefix: &str) -> Option<Self> {
        let image = archive(&["kubectl"])?;
        let options = LabOptions {
            prefix: prefix.to_owned(),
            nodes: 3,
            zones: vec![],
            network: Network::default(),
            bin_dir: Path::new(EXE).parent().expect("a folder").to_owned(),
            programs: None,
            dns: false,
            image: Some(image),
        };
        let lab = Lab::start(Path::new(EXE), options).expect("the lab starts");
        let overlay = tempfile::tempdir().expect("a folder");
        let this = Self { lab, overlay };
        this.configure(&[]);
        this.apply();
        Some(this)
    }

    /// Writes the overlay, with `options` more.
    fn configure(&self, options: &[&str]) {
        let room = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
        let manifests = Path::new(&room).join("../kind-config/manifests");
        let manifests = manifests.canonicalize().expect("the manifests");
        // kustomize takes no absolute path.
        let up = self.overlay.path().canonicalize().expect("a folder");
        let up = "../".repeat(up.components().count() - 1);
        let address = self.lab.node_addresses("node1")[0];
        let mut text = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
             namespace: kube-system\nresources: [{up}{}]\n\
             configMapGenerator:\n- name: flatnet\n  behavior: merge\n  literals:\n  \
             - FLATNET_API_SERVER=http://{address}:6443\n",
            manifests.strip_prefix("/").expect("absolute").display()
        );
        for option in options {
            text.push_str(&format!("  - {option}\n"));
        }
        fs::write(self.overlay.path().join("kustomization.yaml"), text).expect("written");
    }

    fn kubectl(&self, words: &[&str]) -> String {
        let mut command = Command::new("kubectl");
        command
            .arg("--kubeconfig")
            .arg(self.lab.kubeconfig())
            .args(words);
        output(command)
    }

    fn apply(&self) {
        let overlay = self.overlay.path().to_str().expect("UTF-8");
        self.kubectl(&["apply", "-k", overlay]);
        let nodes = ["wait", "--for=condition=Ready", "node", "--all", ROLLOUT];
        self.kubectl(&nodes);
        for workload in ["daemonset/flatnet-agent", "deployment/flatnet-dns"] {
            let status = ["-n", "kube-system", "rollout", "status", workload, ROLLOUT];
            self.kubectl(&status);
        }
    }

    /// The pods of the agents, and their nodes.
    fn agents(&self) -> Vec<(String, String)> {
        let columns = "custom-columns=N:.metadata.name,O:.spec.nodeName";
        let selector = "app.kubernetes.io/name=flatnet-agent";
        let words = [
            "-n",
            "kube-system",
            "get",
            "pod",
            "-l",
            selector,
            "--no-headers",
            "-o",
        ];
        let text = self.kubectl(&[&words[..], &[columns]].concat());
        let pair = |line: &str| {
            let (name, node) = line.split_once(char::is_whitespace).expect("two columns");
            (name.to_owned(), node.trim().to_owned())
        };
        text.lines().map(pair).collect()
    }

    /// Runs a program of the image in the container of each agent: what it printed, by node.
    fn in_agents(&self, words: &[&str]) -> Vec<(String, String)> {
        let run = |(pod, node): (String, String)| {
            let mut command = Command::new(EXE);
            command.args([
                "exec",
                "--name",
                self.lab.name(),
                "-n",
                "kube-system",
                &pod,
                "--",
            ]);
            command.args(words);
            (node, output(command))
        };
        self.agents().into_iter().map(run).collect()
    }

    /// What is pinned on a node.
    fn pins(&self, node: &str) -> Vec<String> {
        let folder = self.lab.state_dir().join("bpf").join(node).join("flatnet");
        let mut found = Vec::new();
        for kind in ["maps", "programs", "links"] {
            for entry in fs::read_dir(folder.join(kind)).expect("pins") {
                let name = entry.expect("a pin").file_name();
                found.push(format!("{kind}/{}", name.to_string_lossy()));
            }
        }
        found.sort();
        found
    }

    /// Until every agent has made a whole pass.
    fn wait_settled(&self) {
        let settled = || {
            let diffs = self.in_agents(&["flatnet-agent", "diff"]);
            let all = diffs
                .iter()
                .all(|(_, text)| text.lines().last() == Some("0 operations"));
            Ok((all && diffs.len() == 3).then_some(()))
        };
        let done = self
            .lab
            .wait("0 operations on every node", PATIENCE, settled);
        done.expect("settled");
    }

    fn two_tier(&self) {
        let text = include_str!("../manifests/two-tier.yaml");
        self.lab.apply(text).expect("applied");
        for app in ["backend", "frontend"] {
            self.lab.wait_pods(app, 2, PATIENCE).expect("two pods");
        }
    }
}

/// Loops of requests that end with the test.
struct Loops(Vec<Child>);

impl Loops {
    fn start(lab: &Lab, each_per_second: u32) -> Self {
        let rate = (1000 / each_per_second).to_string();
        let words = [
            "flatnet-demo",
            "loop",
            "http://backend",
            "--interval-ms",
            &rate,
        ];
        let pods = lab.pods("frontend").expect("pods");
        let start = |pod: &lab::handle::RunningPod| {
            let mut command = lab.in_pod(&pod.name, &words);
            command.stdin(Stdio::null()).stdout(Stdio::piped());
            // Not killed with the lab's other processes, but by the value's own end.
            command.process_group(0);
            command.spawn().expect("it runs")
        };
        Self(pods.iter().map(start).collect())
    }

    /// Ends them: requests answered, requests failed.
    fn finish(mut self) -> (u64, u64) {
        let mut sums = (0, 0);
        for mut child in self.0.drain(..) {
            let pid = i32::try_from(child.id()).expect("a pid");
            kill(Pid::from_raw(pid), Signal::SIGTERM).expect("asked to end");
            let mut text = String::new();
            let mut stdout = child.stdout.take().expect("a pipe");
            std::io::Read::read_to_string(&mut stdout, &mut text).expect("a summary");
            child.wait().expect("it ends");
            let summary: Value = serde_json::from_str(&text).expect("JSON");
            sums.0 += summary["ok"].as_u64().expect("a count");
            sums.1 += summary["failed"].as_u64().expect("a count");
        }
        sums
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _gone_already = child.kill();
            let _reaped = child.wait();
        }
    }
}

#[test]
fn the_image_and_the_manifests_make_a_cluster_that_restarts_unnoticed() {
    let Some(installed) = Installed::new("install") else {
        return;
    };
    installed.two_tier();
    for (node, version) in installed.in_agents(&["flatnet-agent", "--version"]) {
        assert!(
            version.contains(env!("CARGO_PKG_VERSION")),
            "{node}: {version}"
        );
    }
    installed.wait_settled();
    for (node, said) in installed.in_agents(&["flatnet", "doctor"]) {
        assert!(said.starts_with("ok: "), "{node}: {said}");
    }
    let nodes = installed.lab.nodes();
    let pins: Vec<_> = nodes.iter().map(|node| installed.pins(node)).collect();

    let loops = Loops::start(&installed.lab, 100);
    let selector = "app.kubernetes.io/name=flatnet-agent";
    for _ in 0..RESTARTS {
        let before = installed.agents();
        installed.kubectl(&["-n", "kube-system", "delete", "pod", "-l", selector]);
        let replaced = || {
            let now = installed.agents();
            let other = now.iter().all(|pod| !before.contains(pod));
            Ok((other && now.len() == nodes.len()).then_some(()))
        };
        let waited = installed.lab.wait("other agents", PATIENCE, replaced);
        waited.expect("replaced");
        installed.wait_settled();
    }
    let (ok, failed) = loops.finish();
    assert_eq!(failed, 0, "of {ok}");
    println!("{ok} requests through {RESTARTS} restarts of every agent");
    assert!(ok > 1000, "{ok}");

    let after: Vec<_> = nodes.iter().map(|node| installed.pins(node)).collect();
    assert_eq!(pins, after, "nothing is left, nothing is there twice");

    // A changed option is a changed ConfigMap, which rolls the pods.
    let before = installed.agents();
    installed.configure(&["FLATNET_AUDIT_SECONDS=7"]);
    installed.apply();
    let after = installed.agents();
    assert!(before.iter().all(|pod| !after.contains(pod)), "{after:?}");
}

#[test]
fn containerd_takes_the_archive() {
    let Some(archive) = archive(&["containerd", "ctr"]) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let containerd = Containerd::start(folder.path());
    let archive = archive.to_str().expect("UTF-8");
    containerd.ctr(&["images", "import", "--no-unpack", archive]);
    let name = format!("localhost/flatnet:{}", env!("CARGO_PKG_VERSION"));
    let images = containerd.ctr(&["images", "ls", "-q"]);
    assert_eq!(images.trim(), name);
    let checked = containerd.ctr(&["images", "check"]);
    assert!(checked.contains("complete (2/2)"), "{checked}");
}

/// A containerd that keeps everything below one folder and runs nothing.
struct Containerd {
    daemon: Child,
    socket: PathBuf,
}

impl Containerd {
    fn start(folder: &Path) -> Self {
        let at = |name: &str| folder.join(name);
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            at("root"),
            at("state"),
            at("socket")
        );
        fs::write(at("config.toml"), config).expect("written");
        let log = fs::File::create(at("log")).expect("a log");
        let daemon = Command::new("containerd")
            .arg("--config")
            .arg(at("config.toml"))
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("it starts");
        let this = Self {
            daemon,
            socket: at("socket"),
        };
        let answers = |this: &Self| {
            this.command(&["version"])
                .output()
                .is_ok_and(|o| o.status.success())
        };
        let start = std::time::Instant::now();
        while !answers(&this) {
            let log = fs::read_to_string(at("log")).unwrap_or_default();
            assert!(
                start.elapsed() < PATIENCE,
                "containerd does not answer: {log}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        this
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&self.socket).args(words);
        command
    }

    fn ctr(&self, words: &[&str]) -> String {
        let output = self.command(words).output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _gone_already = self.daemon.kill();
        let _reaped = self.daemon.wait();
    }
}
