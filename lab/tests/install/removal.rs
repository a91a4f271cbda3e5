//! Flatnet taken off again: a node is then what it was before, to the last link, route, rule,
//! program, map, pin, file and kernel parameter; what only looks like ours is still there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::installed::Installed;
use crate::stage::{PATIENCE, output};

/// What of a node's network flatnet could have changed, by the command that shows it.
const SHOWN: [&str; 11] = [
    "ip -d link",
    "ip -4 address",
    "ip -6 address show dev eth0",
    "ip -4 route show table all",
    "ip -6 route show table all",
    "ip rule",
    "ip -6 rule",
    "tc qdisc",
    "tc filter show dev eth0 ingress",
    "tc filter show dev eth0 egress",
    r"sysctl -a -r ^net\.ipv[46]\.(ip|conf\.(all|default|eth0))",
];

/// Things of others on a node, as like ours as they can be.
const FOREIGN: [&str; 9] = [
    "ip link add fnord0 type veth peer name fnord1",
    "ip link set fnord0 up",
    "ip link add fn0123456789ab type veth peer name there0",
    "ip link add flannel.1 type vxlan id 1 dstport 8472 dev eth0 nolearning",
    "ip route add 10.99.0.0/16 via 172.30.0.99",
    "ip route add 10.98.0.0/16 via 172.30.0.99 proto 171",
    "ip rule add from 10.97.0.0/16 lookup 100 priority 17001",
    "tc qdisc add dev fnord0 clsact",
    "sysctl -w net.ipv4.conf.all.rp_filter=2",
];

impl Installed {
    fn on_node(&self, node: &str, words: &str) -> String {
        let words: Vec<_> = words.split(' ').collect();
        output(self.lab.on_node(node, &words))
    }

    /// The folders of a node that a pod may see: bpffs, CNI, state.
    fn folders(&self, node: &str) -> [PathBuf; 3] {
        let of = |kind: &str| self.lab.state_dir().join(kind).join(node);
        [of("bpf"), of("cni"), of("nodes").join("state")]
    }

    fn snapshot(&self, node: &str) -> BTreeMap<String, String> {
        let shown = SHOWN.map(|words| (words.to_owned(), lasting(&self.on_node(node, words))));
        let mut seen = BTreeMap::from(shown);
        for folder in self.folders(node) {
            files(&folder, &mut seen);
        }
        let cgroup = self.lab.cgroup().join(node);
        let mut attached = Command::new("bpftool");
        attached.args(["cgroup", "tree"]).arg(cgroup);
        let attached = output(attached);
        let programs = attached.lines().filter(|line| line.contains("cgroup_"));
        let programs: Vec<_> = programs.collect();
        seen.insert("programs of the cgroup".to_owned(), programs.join("\n"));
        seen
    }

    /// The kernel's ids of what is pinned on a node: `map 7`, `prog 8`.
    fn ids(&self, node: &str) -> Vec<(&'static str, u64)> {
        let root = self.lab.state_dir().join("bpf").join(node).join("flatnet");
        let mut ids = Vec::new();
        for (folder, kind) in [("maps", "map"), ("programs", "prog")] {
            for pin in fs::read_dir(root.join(folder)).expect("pins") {
                let mut show = Command::new("bpftool");
                show.args(["-j", kind, "show", "pinned"]);
                show.arg(pin.expect("a pin").path());
                let shown: Value = serde_json::from_str(&output(show)).expect("JSON");
                ids.push((kind, shown["id"].as_u64().expect("an id")));
            }
        }
        ids
    }

    fn foreign(&self, node: &str) {
        for words in FOREIGN {
            self.on_node(node, words);
        }
        let [bpf, cni, _] = self.folders(node);
        let mut mount = Command::new("mount");
        mount.args(["-t", "bpf", "bpffs"]).arg(&bpf);
        output(mount);
        fs::create_dir(bpf.join("other")).expect("a folder of pins");
        for (path, text) in [
            ("net.d/20-other.conflist", "{}"),
            ("bin/bridge", "a plugin"),
            ("var-lib/cni/networks/other/10.1.0.2", "a lease"),
        ] {
            let path = cni.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
    }

    /// What `flatnet uninstall` says on a node.
    fn uninstall(&self, node: &str) -> String {
        let [bpf, cni, state] = self.folders(node);
        let places = [
            ("FLATNET_BPFFS", bpf),
            ("FLATNET_CNI_CONF_DIR", cni.join("net.d")),
            ("FLATNET_CNI_BIN_DIR", cni.join("bin")),
            ("FLATNET_CNI_DATA_DIR", cni.join("var-lib/cni/networks")),
            ("FLATNET_STATE_DIR", state),
        ];
        let places = places.map(|(name, path)| format!("{name}={}", path.display()));
        let flatnet = self.lab.state_dir().join("image/usr/bin/flatnet");
        let flatnet = flatnet.display().to_string();
        let mut words = vec!["env"];
        words.extend(places.iter().map(String::as_str));
        words.extend([&*flatnet, "uninstall"]);
        output(self.lab.on_node(node, &words))
    }

    /// The node is what it was, and of what was pinned nothing is left in the kernel.
    fn is_as(&self, node: &str, before: &BTreeMap<String, String>, ids: &[(&str, u64)]) {
        let after = self.snapshot(node);
        for (what, text) in before {
            assert_eq!(after.get(what), Some(text), "{node}: {what}");
        }
        let more: Vec<_> = after
            .keys()
            .filter(|key| !before.contains_key(*key))
            .collect();
        assert!(more.is_empty(), "{node}: {more:?}");
        let gone = || {
            let there = |(kind, id): &&(&str, u64)| {
                let mut show = Command::new("bpftool");
                show.args([*kind, "show", "id", &id.to_string()]);
                show.output().expect("it runs").status.success()
            };
            Ok(ids.iter().find(there).is_none().then_some(()))
        };
        let waited = self.lab.wait("no map and no program", PATIENCE, gone);
        waited.expect("gone from the kernel");
    }
}

/// What does not change by itself: nothing that counts, and nothing that the kernel adds when it
/// pleases.
fn lasting(text: &str) -> String {
    let by_itself = |line: &&str| {
        ["proto kernel", "valid_lft", "tentative"]
            .iter()
            .any(|word| line.contains(word))
    };
    let lines = text.lines().filter(|line| !by_itself(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn files(folder: &Path, seen: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        // The kernel's own in every bpffs; one that `prepare` mounted stays.
        if path.extension().is_some_and(|kind| kind == "debug") {
            continue;
        }
        let text = match path.is_dir() {
            true => "folder".to_owned(),
            false => fs::read_to_string(&path).unwrap_or_else(|_binary| "file".to_owned()),
        };
        seen.insert(path.display().to_string(), text);
        if path.is_dir() {
            files(&path, seen);
        }
    }
}

#[test]
fn a_node_without_flatnet_is_what_it_was_before() {
    if crate::archive(&["bpftool", "sysctl"]).is_none() {
        return;
    }
    let Some(installed) = Installed::bare("removal") else {
        return;
    };
    let lab = &installed.lab;
    let nodes = lab.nodes();
    installed.foreign("node1");
    let before: Vec<_> = nodes.iter().map(|node| installed.snapshot(node)).collect();

    installed.apply();
    installed.two_tier();
    installed.wait_settled();
    let ids: Vec<_> = nodes.iter().map(|node| installed.ids(node)).collect();
    for (node, before) in nodes.iter().zip(&before) {
        let now = installed.snapshot(node);
        let differ = before
            .iter()
            .filter(|(what, text)| now.get(*what) != Some(*text));
        assert!(differ.count() >= 5, "{node}: flatnet is there");
    }

    // The agents go; what they made goes on.
    let overlay = installed.overlay();
    installed.kubectl(&["delete", "-k", &overlay]);
    let gone = || Ok(installed.agents().is_empty().then_some(()));
    lab.wait("no agent", PATIENCE, gone).expect("gone");
    let frontend = &lab.pods("frontend").expect("pods")[0];
    let backend = &lab.pods("backend").expect("pods")[0];
    let url = format!("http://{}:8080", backend.address);
    output(lab.in_pod(&frontend.name, &["flatnet-demo", "get", &url]));

    // By hand on one node, by the manifests on the others.
    let said = installed.uninstall("node1");
    assert!(said.contains("remove link connect4"), "{said}");
    installed.is_as("node1", &before[0], &ids[0]);
    let manifests = installed.manifests("removal");
    installed.kubectl(&["apply", "-k", &manifests]);
    installed.wait_rolled_out("daemonset/flatnet-removal");
    installed.kubectl(&["delete", "-k", &manifests]);
    for ((node, before), ids) in nodes.iter().zip(&before).zip(&ids) {
        installed.is_as(node, before, ids);
    }
}
