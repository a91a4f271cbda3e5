//! `flatnet-agent doctor` as it is typed, on hosts that are broken in namespaces of their own: the
//! cause and its remedy in one line, and an exit status that says how bad it is.

mod kernel;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use kernel::{ip, isolate, object};

/// A host with everything but an API server, in this thread's namespaces.
struct Host {
    folder: tempfile::TempDir,
    agent: PathBuf,
    object: PathBuf,
}

impl Host {
    fn new(test: &str) -> Option<Self> {
        let object = object(test)?;
        let agent = std::env::var_os("FLATNET_BIN_DIR").map(PathBuf::from);
        let agent = agent
            .expect("beside FLATNET_PROGRAMS")
            .join("flatnet-agent");
        isolate();
        ip("link set lo up");
        let folder = tempfile::tempdir().expect("a folder");
        let host = Self {
            folder,
            agent,
            object,
        };
        for name in ["conf", "bin", "bpf"] {
            fs::create_dir(host.at(name)).expect("made");
        }
        mount("bpf", &host.at("bpf"), c"bpf", 0);
        for plugin in ["bin/flatnet-cni", "bin/loopback"] {
            fs::copy("/bin/true", host.at(plugin)).expect("copied");
        }
        fs::write(host.at("conf/10-flatnet.conflist"), "{}").expect("written");
        Some(host)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The doctor's command line, but for one flag.
    fn command(&self, other: Option<(&str, PathBuf)>) -> Command {
        let mut flags = BTreeMap::from([
            ("--node-name", "node-1".into()),
            ("--api-server", "http://127.0.0.1:1".into()),
            ("--bpffs", self.at("bpf")),
            ("--cni-conf-dir", self.at("conf")),
            ("--cni-bin-dir", self.at("bin")),
            ("--programs", self.object.clone()),
        ]);
        flags.extend(other);
        let mut command = Command::new(&self.agent);
        command.arg("doctor");
        for (flag, value) in flags {
            command.arg(flag).arg(value);
        }
        command
    }

    /// What the doctor says with another value of one flag.
    fn told(&self, flag: &str, value: PathBuf) -> String {
        said(self.command(Some((flag, value)))).0
    }

    /// What the doctor says.
    fn looked_at(&self) -> String {
        said(self.command(None)).0
    }
}

/// What a command says, and how it ends.
fn said(mut command: Command) -> (String, i32) {
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status.code().expect("a status"))
}

fn mount(source: &str, target: &Path, kind: &std::ffi::CStr, flags: libc::c_ulong) {
    let path = |path: &str| std::ffi::CString::new(path).expect("no NUL");
    let (source, target) = (path(source), path(target.to_str().expect("UTF-8")));
    // SAFETY: the strings are NUL-terminated and alive for the call; no data is passed.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// The lines about something; there is one.
fn line(text: &str, about: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| line.contains(about)).collect();
    assert_eq!(lines.len(), 1, "{about} in:\n{text}");
    lines[0].to_owned()
}

#[test]
fn a_broken_host_is_told_what_is_wrong_and_how_to_mend_it() {
    let Some(host) = Host::new("doctor") else {
        return;
    };
    // All that is wrong with the host itself is that no API server answers.
    let (text, status) = said(host.command(None));
    let errors: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("error"))
        .collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(
        line(&text, "API server").contains("give --api-server"),
        "{text}"
    );
    assert_eq!(status, 2);

    let text = host.told("--bpffs", host.at("conf"));
    assert!(
        line(&text, "is no bpffs").contains("mount -t bpf"),
        "{text}"
    );

    let text = host.told("--cgroup-root", host.at("conf"));
    assert!(line(&text, "is no cgroup2").contains("findmnt"), "{text}");

    let text = host.told("--programs", "/nowhere".into());
    assert!(line(&text, "/nowhere").contains("--programs"), "{text}");

    fs::write(host.at("conf/05-other.conflist"), "{}").expect("written");
    let text = host.looked_at();
    assert!(
        line(&text, "05-other.conflist").contains("remove it"),
        "{text}"
    );
    fs::remove_file(host.at("conf/05-other.conflist")).expect("removed");

    fs::remove_file(host.at("bin/flatnet-cni")).expect("removed");
    let text = host.looked_at();
    assert!(line(&text, "flatnet-cni").contains("prepare"), "{text}");

    let taken = TcpListener::bind("0.0.0.0:10256").expect("free in this namespace");
    let answers = std::thread::spawn(move || {
        // Takes the question and says what no agent says.
        let (mut stream, _) = taken.accept().expect("asked");
        std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\n\r\nok").expect("answered");
    });
    let text = host.looked_at();
    answers.join().expect("it was asked");
    assert!(
        line(&text, "0.0.0.0:10256").contains("kube-proxy"),
        "{text}"
    );

    // What has no capability says which one it lacks.
    let command = host.command(None);
    let mut own = Command::new("setpriv");
    own.args(["--bounding-set", "-all,+net_admin", "--"]);
    own.arg(command.get_program()).args(command.get_args());
    let text = said(own).0;
    assert!(line(&text, "CAP_BPF").contains("capabilities"), "{text}");
    assert!(!text.contains("CAP_NET_ADMIN"), "{text}");

    // No cgroup2 at all, in a mount namespace that has none.
    // SAFETY: a NUL-terminated path.
    while unsafe { libc::umount2(c"/sys/fs/cgroup".as_ptr(), libc::MNT_DETACH) } == 0 {}
    let text = host.looked_at();
    let said = text.contains("no cgroup2 file system is mounted here");
    assert!(said || mounted_elsewhere(), "{text}");
}

/// Whether this machine has a cgroup2 at another place, too.
fn mounted_elsewhere() -> bool {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("mounts");
    mounts.lines().any(|line| line.contains(" - cgroup2 "))
}

#[test]
fn the_plugin_of_the_runtime_itself_is_missed() {
    let Some(host) = Host::new("doctor-loopback") else {
        return;
    };
    let loopback = host.at("bin/loopback");
    fs::remove_file(&loopback).expect("removed");
    let text = host.looked_at();
    assert!(
        line(&text, "loopback").contains("containernetworking-plugins"),
        "{text}"
    );
    // k3s has a link there, to where a pod does not see.
    std::os::unix::fs::symlink("/nowhere/cni", &loopback).expect("linked");
    let text = host.looked_at();
    assert!(!text.contains("loopback"), "{text}");
}

#[test]
fn a_read_only_folder_of_plugins_is_named_by_prepare() {
    let Some(host) = Host::new("prepare-read-only") else {
        return;
    };
    let bin = host.at("bin");
    let source = bin.to_str().expect("UTF-8");
    mount(source, &bin, c"none", libc::MS_BIND);
    let read_only = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
    mount(source, &bin, c"none", read_only);
    let output = Command::new(&host.agent)
        .args(["prepare", "--cni-plugin", "/bin/false"])
        .arg("--bpffs")
        .arg(host.at("bpf"))
        .arg("--cni-bin-dir")
        .arg(&bin)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    let text = line(&text, "cannot install the CNI plugin");
    assert!(
        text.contains("Read-only") && text.contains("make it writable"),
        "{text}"
    );
}
