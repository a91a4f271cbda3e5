//! A real runtime: Debian's containerd starts containers with `ctr run --cni`, from an image made
//! of a static busybox, in the node's namespaces. They talk, and leave nothing behind.

mod image;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::node::{Node, on_a_node, skip};

const TOOLS: [&str; 5] = [
    "containerd",
    "ctr",
    "containerd-shim-runc-v2",
    "runc",
    "busybox",
];
const IMAGE: &str = "local/busybox:1";
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a tool is, by PATH.
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| place.exists())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not yet: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A containerd in the node's namespaces, and what it started.
struct Containerd<'a> {
    node: &'a Node,
    daemon: Child,
    /// Cgroup of the containers, below the root of the unified hierarchy.
    cgroup: String,
}

impl<'a> Containerd<'a> {
    fn start(node: &'a Node) -> Self {
        set_the_stage(node);
        let config = format!(
            "version = 2\nroot = {:?}\nstate = \"/run/containerd\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"/run/containerd/containerd.sock\"\n",
            node.path("containerd")
        );
        fs::write(node.path("containerd.toml"), config).unwrap();
        let log = fs::File::create(node.path("containerd.log")).unwrap();
        let daemon = Command::new("containerd")
            .arg("--config")
            .arg(node.path("containerd.toml"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let cgroup = format!("flatnet-test-{}", daemon.id());
        let this = Self {
            node,
            daemon,
            cgroup,
        };
        until("containerd answers", || {
            this.ctr(&["version"]).status.success()
        });
        let archive = node.path("image.tar");
        fs::write(&archive, image::archive(&tool("busybox").unwrap(), IMAGE)).unwrap();
        let imported = this.ctr(&["image", "import", archive.to_str().unwrap()]);
        assert!(imported.status.success(), "{imported:?}");
        this
    }

    fn ctr(&self, arguments: &[&str]) -> std::process::Output {
        Command::new("ctr").args(arguments).output().unwrap()
    }

    /// Starts a container that is removed when its command ends, on the network until then.
    fn run(&self, name: &str, command: &[&str]) -> Child {
        let cgroup = format!("/{}/{name}", self.cgroup);
        // No share of the CPU: the hierarchy may be one without controllers.
        let options = [
            "run",
            "--rm",
            "--cni",
            "--cpu-shares",
            "0",
            "--cgroup",
            &cgroup,
        ];
        let child = Command::new("ctr")
            .args(options)
            .args([IMAGE, name])
            .args(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        until(name, || {
            let tasks = self.ctr(&["task", "ls"]).stdout;
            let tasks = String::from_utf8_lossy(&tasks).into_owned();
            tasks
                .lines()
                .any(|line| line.starts_with(name) && line.contains("RUNNING"))
        });
        child
    }

    /// What a command in a running container prints; `None` when it fails.
    fn inside(&self, name: &str, command: &[&str]) -> Option<String> {
        let id = format!("exec-{}", fastrand::u64(..));
        let exec = ["task", "exec", "--exec-id", &id, name];
        let output = self.ctr(&[&exec, command].concat());
        let printed = String::from_utf8(output.stdout).unwrap();
        output.status.success().then_some(printed)
    }

    fn kill(&self, name: &str) {
        self.ctr(&["task", "kill", "-s", "KILL", name]);
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        for name in ["client", "server"] {
            self.kill(name);
            // One that was made and not started, as its ADD failed, stays otherwise.
            self.ctr(&["task", "rm", "-f", name]);
        }
        let start = Instant::now();
        let busy = || !self.ctr(&["task", "ls", "-q"]).stdout.is_empty();
        while busy() && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _gone = kill(
            Pid::from_raw(self.daemon.id().cast_signed()),
            Signal::SIGTERM,
        );
        let _status = self.daemon.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.node.path("containerd.log"));
            eprintln!("{}", log.unwrap_or_default());
        }
        let cgroup = Path::new("/sys/fs/cgroup").join(&self.cgroup);
        for container in ["client", "server"] {
            let _gone = fs::remove_dir(cgroup.join(container));
        }
        let _gone = fs::remove_dir(cgroup);
    }
}

/// Gives the runtime the folders it insists on, in this thread's mount namespace alone.
fn set_the_stage(node: &Node) {
    let none: Option<&str> = None;
    let fresh = |target: &Path, kind: &str, options: Option<&str>| {
        mount(Some(kind), target, Some(kind), MsFlags::empty(), options).unwrap();
    };
    // One hierarchy, where the machine may have the older ones.
    let cgroups = Path::new("/sys/fs/cgroup");
    while umount2(cgroups, MntFlags::MNT_DETACH).is_ok() {}
    fresh(cgroups, "cgroup2", none);
    fresh(Path::new("/run"), "tmpfs", none);
    fresh(Path::new("/opt"), "tmpfs", none);
    let layer = node.path("layer");
    fs::create_dir(&layer).unwrap();
    fresh(&layer, "tmpfs", none);
    let [upper, work] = ["upper", "work"].map(|name| layer.join(name));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    let layers = format!(
        "lowerdir=/etc,upperdir={},workdir={}",
        upper.display(),
        work.display()
    );
    fresh(Path::new("/etc"), "overlay", Some(&layers));

    fs::create_dir_all("/opt/cni/bin").unwrap();
    fs::copy(
        env!("CARGO_BIN_EXE_flatnet-cni"),
        "/opt/cni/bin/flatnet-cni",
    )
    .unwrap();
    fs::create_dir_all("/etc/cni/net.d").unwrap();
    // A runtime takes the newest version it knows; containerd 1.x knows only the first key, and
    // not 1.1.0.
    let list = json!({
        "cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": "flatnet",
        "plugins": [node.config()],
    });
    fs::write("/etc/cni/net.d/10-flatnet.conflist", list.to_string()).unwrap();
}

/// The processes on this node but for the test itself: containerd's, and its shims.
fn processes() -> Vec<u32> {
    let here = fs::read_link("/proc/thread-self/ns/net").unwrap();
    let entries = fs::read_dir("/proc").unwrap();
    let names = entries.filter_map(|it| it.unwrap().file_name().into_string().ok());
    let others = names.filter_map(|name| name.parse().ok());
    let others = others.filter(|it: &u32| *it != std::process::id());
    // A process that has ended is in no namespace.
    let net = |it: &u32| fs::read_link(format!("/proc/{it}/ns/net"));
    others
        .filter(|it| net(it).is_ok_and(|net| net == here))
        .collect()
}

#[test]
fn two_containers_talk_and_leave_nothing_behind() {
    if let Some(missing) = TOOLS.into_iter().find(|name| tool(name).is_none()) {
        skip(&format!(
            "needs {missing} (Debian packages containerd, runc, busybox-static)"
        ));
        return;
    }
    on_a_node(|node| {
        let node = node.with_subnets(&["10.244.1.0/24", "fd00:10:244:1::/64"]);
        let before = node.leftovers();
        let runtime = Containerd::start(&node);
        let server = runtime.run("server", &["httpd", "-f", "-p", "80", "-h", "/www"]);
        let client = runtime.run("client", &["sleep", "1000"]);
        for server in ["10.244.1.2", "[fd00:10:244:1::2]"] {
            let url = format!("http://{server}/");
            let fetch = ["wget", "-q", "-O", "-", &url];
            until("the server answers", || {
                let page = runtime.inside("client", &fetch);
                page.is_some_and(|page| page == image::PAGE)
            });
        }
        // Now and then ctr ends before it has passed on what a short command printed.
        until("the client shows its addresses", || {
            let shown = runtime.inside("client", &["ip", "address", "show", "eth0"]);
            let shown = shown.unwrap_or_default();
            ["inet 10.244.1.3/32", "inet6 fd00:10:244:1::3/128"]
                .iter()
                .all(|address| shown.contains(address))
        });

        runtime.kill("client");
        runtime.kill("server");
        for child in [client, server] {
            let printed = child.wait_with_output().unwrap();
            let complaints = String::from_utf8_lossy(&printed.stderr).into_owned();
            assert!(!complaints.contains("flatnet"), "{complaints}");
        }
        assert_eq!(node.leftovers(), before);
        let cgroup = Path::new("/sys/fs/cgroup").join(&runtime.cgroup);
        drop(runtime);
        until("every process has ended", || processes().is_empty());
        assert!(!cgroup.exists(), "{} is left", cgroup.display());
    });
}
