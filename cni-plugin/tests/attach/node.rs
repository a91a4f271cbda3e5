//! A node to test on: a thread in network and mount namespaces of its own, with a bpffs, a lease
//! folder and a pinned program, and pods that are network namespaces held by a file descriptor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use serde_json::{Value, json};

use crate::ask::{ip, ip_json};
use crate::call::Call;
use crate::pinned::{self, Entry, Holder, HostPort, Verdict};

/// A node, seen from its own thread.
pub(crate) struct Node {
    folder: tempfile::TempDir,
    /// The subnets of its configuration, a range set each.
    subnets: Vec<&'static str>,
}

/// Runs a test on a fresh node. What the test makes in namespaces ends with its thread.
pub(crate) fn on_a_node(test: impl FnOnce(&Node) + Send + 'static) {
    if let Some(missing) = missing() {
        skip(missing);
        return;
    }
    let body = move || {
        let node = Node::new();
        test(&node);
    };
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a test of a program that is attached by a link.
pub(crate) fn on_a_node_with_tcx(test: impl FnOnce(&Node) + Send + 'static) {
    match has_tcx() {
        true => on_a_node(test),
        // No part of a machine that CI could bring: the kernel is what is being tried.
        false => eprintln!("skipped: a link to an interface needs tcx (Linux 6.6)"),
    }
}

/// Whether the kernel has tcx, by its version.
pub(crate) fn has_tcx() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse().ok());
    let version: (Option<u32>, Option<u32>) = (next(), next());
    version >= (Some(6), Some(6))
}

/// Says why a test does not run; in CI that is a failure.
pub(crate) fn skip(missing: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "cannot run in CI: {missing}"
    );
    eprintln!("skipped: {missing}");
}

/// Where distributions put the reference plugins.
const PLUGIN_FOLDERS: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// Runs a test that needs reference plugins, with the folder they are in.
pub(crate) fn on_a_node_with_plugins(
    plugins: &[&str],
    test: impl FnOnce(&Node, &Path) + Send + 'static,
) {
    let has_all = |folder: &&Path| plugins.iter().all(|plugin| folder.join(plugin).exists());
    let folders = PLUGIN_FOLDERS.map(Path::new);
    match folders.into_iter().find(has_all) {
        Some(folder) => on_a_node(move |node| test(node, folder)),
        None => {
            skip(&format!(
                "needs {plugins:?} (Debian package containernetworking-plugins)"
            ));
        }
    }
}

fn missing() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root, for network namespaces and BPF");
    }
    let ip = Command::new("ip").arg("-V").stdout(Stdio::null()).status();
    ip.is_err().then_some("needs ip (Debian package iproute2)")
}

impl Node {
    fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let node = Self {
            folder: tempfile::tempdir().unwrap(),
            subnets: vec!["10.244.1.0/24"],
        };
        let bpffs = node.path("bpf");
        fs::create_dir(&bpffs).unwrap();
        mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), none).unwrap();
        for folder in ["programs", "links", "maps"] {
            fs::create_dir_all(bpffs.join("flatnet").join(folder)).unwrap();
        }
        node.load(Verdict::Next);
        pinned::pin_program(&node.pin("programs/to_pod"), Verdict::Next);
        pinned::pin_map(&node.pin("maps/pods"), 16, 12, 1024);
        pinned::pin_map(&node.pin("maps/host_ports"), 20, 24, 1024);
        pinned::pin_map(&node.pin("maps/packet_pods"), 8, 4, 1024);
        ip(&["link", "set", "lo", "up"]);
        // An address of the node's own, to speak to pods from.
        ip(&["address", "add", "172.30.0.11/32", "dev", "lo"]);
        ip(&["address", "add", "fd00:30::11/128", "dev", "lo", "nodad"]);
        // As the agent does.
        fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        node
    }

    /// The same node with other pod subnets.
    pub(crate) fn with_subnets(&self, subnets: &[&'static str]) -> Self {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        std::os::unix::fs::symlink(self.path("bpf"), folder.path().join("bpf")).unwrap();
        Self {
            folder,
            subnets: subnets.to_vec(),
        }
    }

    /// Pins `from_pod` with another verdict, for pods to come.
    pub(crate) fn load(&self, verdict: Verdict) {
        let pin = self.pin("programs/from_pod");
        let _absent = fs::remove_file(&pin);
        pinned::pin_program(&pin, verdict);
    }

    /// A file or folder of the node's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file below `flatnet/` on its bpffs.
    pub(crate) fn pin(&self, name: &str) -> PathBuf {
        self.path("bpf/flatnet").join(name)
    }

    /// A lease file's path.
    pub(crate) fn lease(&self, address: &str) -> PathBuf {
        self.path("networks/flatnet").join(address)
    }

    /// Its network configuration.
    pub(crate) fn config(&self) -> Value {
        let set = |subnet: &&str| json!([{"subnet": subnet}]);
        let ranges: Vec<Value> = self.subnets.iter().map(set).collect();
        json!({
            "cniVersion": "1.0.0", "name": "flatnet", "type": "flatnet-cni", "mtu": 1450,
            "bpffs": self.path("bpf"),
            "ipam": {
                "type": "host-local",
                "dataDir": self.path("networks"),
                "ranges": ranges,
            },
        })
    }

    /// A call of the plugin with the node's configuration.
    pub(crate) fn call(&self, command: &str, container: &str, netns: &str) -> Call {
        let environment = [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", container),
            ("CNI_NETNS", netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/opt/cni/bin"),
            (
                "CNI_ARGS",
                "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0",
            ),
        ];
        Call {
            binary: env!("CARGO_BIN_EXE_flatnet-cni").into(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            config: self.config(),
        }
    }

    /// ADD that must succeed; its result.
    pub(crate) fn add(&self, container: &str, pod: &Pod) -> Value {
        self.call("ADD", container, &pod.path()).succeed()
    }

    /// DEL that must succeed, without the namespace.
    pub(crate) fn del(&self, container: &str) {
        assert_eq!(self.call("DEL", container, "").succeed(), Value::Null);
    }

    /// What the programs know of pods.
    pub(crate) fn pods(&self) -> BTreeMap<IpAddr, Entry> {
        pinned::pods(&self.pin("maps/pods"))
    }

    /// What the programs know of this node's ports.
    pub(crate) fn host_ports(&self) -> BTreeMap<HostPort, Holder> {
        pinned::host_ports(&self.pin("maps/host_ports"))
    }

    /// The network namespaces whose sockets the programs leave alone, each with its interface.
    pub(crate) fn packet_pods(&self) -> BTreeMap<u64, u32> {
        pinned::packet_pods(&self.pin("maps/packet_pods"))
    }

    /// All that a plugin could have left on the node, by name. The round-robin cursors, the lock
    /// and the note of the boot stay for good.
    pub(crate) fn leftovers(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for link in ip_json(&["link", "show"]).as_array().unwrap() {
            names.insert(format!("link {}", link["ifname"].as_str().unwrap()));
        }
        for family in ["-4", "-6"] {
            let routes = ip_json(&[family, "route", "show", "proto", "170"]);
            for route in routes.as_array().unwrap() {
                names.insert(format!("route {}", route["dst"]));
            }
        }
        for (kind, folder) in [
            ("lease", self.path("networks/flatnet")),
            ("pin", self.pin("links")),
        ] {
            let entries = fs::read_dir(folder).into_iter().flatten();
            let found = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let lasting = [
                "lock",
                ".boot-id",
                "last_reserved_ip.0",
                "last_reserved_ip.1",
            ];
            let found = found.filter(|name| !lasting.contains(&name.as_str()));
            names.extend(found.map(|name| format!("{kind} {name}")));
        }
        if self.pin("maps/pods").exists() {
            names.extend(self.pods().keys().map(|address| format!("entry {address}")));
        }
        if self.pin("maps/packet_pods").exists() {
            let pods = self.packet_pods().into_values();
            names.extend(pods.map(|index| format!("namespace behind {index}")));
        }
        if self.pin("maps/host_ports").exists() {
            let ports = self.host_ports().into_keys();
            names.extend(ports.map(|(ip, port, kind)| format!("port {ip} {port} {kind}")));
        }
        names
    }
}

/// A pod: a network namespace that lives as long as this.
pub(crate) struct Pod(File);

impl Pod {
    /// A fresh one, with nothing but a loopback.
    pub(crate) fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        Self(thread::spawn(make).join().unwrap())
    }

    /// What CNI_NETNS says of it.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs something in it. A socket opened there may be brought out and used from anywhere.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let enter = || {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            };
            scope.spawn(enter).join().unwrap()
        })
    }
}
