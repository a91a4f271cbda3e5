//! A containerd takes the archive as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use crate::archive;
use crate::stage::{PATIENCE, told};

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
pub(crate) struct Containerd {
    daemon: Child,
    socket: PathBuf,
}

impl Containerd {
    pub(crate) fn start(folder: &Path) -> Self {
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

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
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
