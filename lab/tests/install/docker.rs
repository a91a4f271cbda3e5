//! docker takes the archive as it is and runs what is in it, and makes the same from the
//! Dockerfile.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use crate::archive;
use crate::containerd::Containerd;
use crate::stage::{PATIENCE, told};

/// What an image holds: for each path its owner and rights, and its bytes.
type Files = BTreeMap<PathBuf, ((u64, u64, u32), Vec<u8>)>;

#[test]
fn docker_takes_the_archive_and_builds_the_same() {
    let Some(archive) = archive(&["containerd", "dockerd", "docker", "runc"]) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let containerd = Containerd::start(folder.path());
    let docker = Docker::start(folder.path(), &containerd);
    docker.run(&["load", "-i", archive.to_str().expect("UTF-8")]);
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("localhost/flatnet:{version}");
    let said = docker.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        &name,
        "flatnet-agent",
        "--version",
    ]);
    assert_eq!(said.trim(), format!("flatnet-agent {version}"));

    let room = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is");
    let dockerfile = Path::new(&room).join("../kind-config/Dockerfile");
    let files = archive.with_file_name("rootfs");
    docker.run(&[
        "build",
        "-q",
        "-t",
        "built",
        "-f",
        dockerfile.to_str().expect("UTF-8"),
        files.to_str().expect("UTF-8"),
    ]);
    let (taken, built) = (docker.files(&name), docker.files("built"));
    assert!(taken.contains_key(Path::new("usr/bin/flatnet")));
    let paths = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&taken), paths(&built));
    assert!(taken == built, "the same owners, rights and bytes");
    let environment = ["inspect", "-f", "{{.Config.Env}}"];
    let environment = |name| docker.run(&[&environment[..], &[name]].concat());
    assert_eq!(environment(&name), environment("built"));
}

/// A dockerd that keeps everything below one folder and makes no network.
struct Docker {
    daemon: Child,
    socket: PathBuf,
}

impl Docker {
    fn start(folder: &Path, containerd: &Containerd) -> Self {
        let at = |name: &str| folder.join(name);
        let socket = at("docker.sock");
        let log = fs::File::create(at("docker.log")).expect("a log");
        let mut daemon = Command::new("dockerd");
        daemon
            .arg("--data-root")
            .arg(at("docker"))
            .arg("--exec-root")
            .arg(at("docker-exec"))
            .arg("--pidfile")
            .arg(at("docker.pid"))
            .arg("--containerd")
            .arg(containerd.socket())
            .arg(format!("--host=unix://{}", socket.display()))
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        let this = Self {
            daemon: daemon.spawn().expect("it starts"),
            socket,
        };
        let start = Instant::now();
        while !this.answer(&["version"]).status.success() {
            let log = fs::read_to_string(at("docker.log")).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "dockerd does not answer: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        this
    }

    fn answer(&self, words: &[&str]) -> Output {
        let mut command = Command::new("docker");
        command.arg("--host");
        command.arg(format!("unix://{}", self.socket.display()));
        // The builder that needs no plugin of docker's.
        command.env("DOCKER_BUILDKIT", "0");
        command.args(words).output().expect("it runs")
    }

    fn bytes(&self, words: &[&str]) -> Vec<u8> {
        let output = self.answer(words);
        assert!(output.status.success(), "{words:?}: {}", told(&output));
        output.stdout
    }

    fn run(&self, words: &[&str]) -> String {
        String::from_utf8(self.bytes(words)).expect("text")
    }

    /// What an image holds, without what docker adds to a container.
    fn files(&self, image: &str) -> Files {
        let container = self.run(&["create", "--network", "none", image, "flatnet"]);
        let exported = self.bytes(&["export", container.trim()]);
        let mut files = Files::new();
        let mut archive = tar::Archive::new(Cursor::new(exported));
        for entry in archive.entries().expect("a tar") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").into_owned();
            let header = entry.header();
            let number = |number: std::io::Result<u64>| number.expect("a number");
            let owner = (number(header.uid()), number(header.gid()));
            let mode = header.mode().expect("a mode");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("bytes");
            if path.starts_with("usr") {
                files.insert(path, ((owner.0, owner.1, mode), bytes));
            }
        }
        files
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Asked, so that it unmounts what it has mounted.
        let pid = i32::try_from(self.daemon.id()).map(nix::unistd::Pid::from_raw);
        if let Ok(pid) = pid {
            let _gone_already = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        let _reaped = self.daemon.wait();
    }
}
