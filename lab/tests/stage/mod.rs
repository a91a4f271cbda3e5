//! What the end-to-end tests stand on: what they need of the machine, a lab with the product in
//! it, and a lab with a stand-in for it.

#![allow(
    dead_code,
    reason = "each test binary compiles this file and uses a part of it; `expect` would fail in those that use all"
)]

pub(crate) mod askers;
pub(crate) mod capture;
pub(crate) mod cast;
pub(crate) mod outside;
pub(crate) mod paths;
pub(crate) mod place;
pub(crate) mod servers;
pub(crate) mod talk;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lab::Lab;
use lab::handle::LabOptions;
use lab::network::{Families, Network};
use tempfile::TempDir;

/// The binary under test.
pub(crate) const EXE: &str = env!("CARGO_BIN_EXE_flatnet-lab");
/// Longer than anything in a lab takes on a machine that is doing something else too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Says why a test cannot run here. In CI nothing may be skipped.
fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "cannot run in CI: {why}");
    eprintln!("SKIPPED: {why}");
}

fn lacks(tools: &[&str]) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let found = |tool: &&&str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|dir| dir.join(tool).is_file())
    };
    tools
        .iter()
        .find(|tool| !found(tool))
        .map(|tool| format!("no `{tool}`"))
}

/// A lab of three nodes with the product in it, or nothing after having said why not.
pub(crate) fn product(prefix: &str, tools: &[&str]) -> Option<Lab> {
    product_on(prefix, 3, Network::default(), tools)
}

/// As [`product`], with `nodes` nodes on `network`.
pub(crate) fn product_on(prefix: &str, nodes: u8, network: Network, tools: &[&str]) -> Option<Lab> {
    let bin_dir = bin_dir()?;
    product_of(&bin_dir, prefix, nodes, network, tools)
}

/// As [`product_on`], with the binaries in `bin_dir`.
pub(crate) fn product_of(
    bin_dir: &Path,
    prefix: &str,
    nodes: u8,
    network: Network,
    tools: &[&str],
) -> Option<Lab> {
    start(bin_dir, prefix, (nodes, &[]), network, tools)
}

/// As [`product`], with nodes that are dealt to zones.
pub(crate) fn product_in_zones(
    prefix: &str,
    nodes: u8,
    zones: &[&str],
    tools: &[&str],
) -> Option<Lab> {
    let network = Network::default();
    start(&bin_dir()?, prefix, (nodes, zones), network, tools)
}

fn start(
    bin_dir: &Path,
    prefix: &str,
    (nodes, zones): (u8, &[&str]),
    network: Network,
    tools: &[&str],
) -> Option<Lab> {
    let Some(programs) = std::env::var_os("FLATNET_PROGRAMS").map(PathBuf::from) else {
        skip("FLATNET_PROGRAMS does not say where the eBPF object is");
        return None;
    };
    if let Some(why) = lacks(&[&["ip"], tools].concat()) {
        skip(&why);
        return None;
    }
    let options = LabOptions {
        prefix: prefix.to_owned(),
        nodes,
        zones: zones.iter().map(|&zone| zone.to_owned()).collect(),
        network,
        bin_dir: bin_dir.to_owned(),
        programs: Some(programs),
        dns: true,
        image: None,
    };
    Some(Lab::start(Path::new(EXE), options).expect("the lab starts"))
}

/// The file that the variable names, if there are root's rights and these tools; or nothing after
/// having said why not.
pub(crate) fn skip_without(tools: &[&str], variable: &str) -> Option<PathBuf> {
    if let Some(why) = lacks(tools) {
        skip(&why);
        return None;
    }
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        skip(&format!(
            "{variable} names no file (run `cargo xtask test`)"
        ));
    }
    found
}

fn bin_dir() -> Option<PathBuf> {
    let found = std::env::var_os("FLATNET_BIN_DIR").map(PathBuf::from);
    if found.is_none() {
        skip("FLATNET_BIN_DIR does not say where the product's binaries are");
    }
    found
}

/// The product's binaries, the agent with `arguments` more; or nothing after having said why not.
pub(crate) fn agents_with(arguments: &str) -> Option<TempDir> {
    let product = bin_dir()?;
    let own = tempfile::tempdir().expect("a directory");
    for name in ["flatnet-cni", "flatnet-dns", "flatnet-demo"] {
        symlink(product.join(name), own.path().join(name)).expect("linked");
    }
    let agent = own.path().join("flatnet-agent");
    let real = product.join("flatnet-agent");
    let script = format!("#!/bin/sh\nexec {} \"$@\" {arguments}\n", real.display());
    fs::write(&agent, script).expect("written");
    for_everybody(&agent);
    Some(own)
}

/// The product's binaries, of which `program` is a copy that every user may read and run; or
/// nothing after having said why not.
pub(crate) fn programs_copied(program: &str) -> Option<TempDir> {
    let product = bin_dir()?;
    let own = tempfile::tempdir().expect("a directory");
    for_everybody(own.path());
    for name in [
        "flatnet-agent",
        "flatnet-cni",
        "flatnet-dns",
        "flatnet-demo",
    ] {
        let (from, to) = (product.join(name), own.path().join(name));
        if name == program {
            fs::copy(from, &to).expect("copied");
            for_everybody(&to);
        } else {
            symlink(from, to).expect("linked");
        }
    }
    Some(own)
}

fn for_everybody(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// As [`product`], with the two-tier application running in it.
pub(crate) fn two_tier(prefix: &str, tools: &[&str]) -> Option<Lab> {
    two_tier_on(prefix, Network::default(), tools)
}

/// As [`two_tier`], on `network`.
pub(crate) fn two_tier_on(prefix: &str, network: Network, tools: &[&str]) -> Option<Lab> {
    let lab = product_on(prefix, 3, network, tools)?;
    lab.apply(include_str!("../../manifests/two-tier.yaml"))
        .expect("applied");
    lab.wait_pods("backend", 2, PATIENCE).expect("two backends");
    lab.wait_pods("frontend", 2, PATIENCE)
        .expect("two frontends");
    Some(lab)
}

/// Binaries with a stand-in for the agent: Debian's `ptp` plugin and static routes. What the lab
/// itself does is tested on it without the product.
pub(crate) struct StandIn {
    pub(crate) bin_dir: TempDir,
}

const AGENT: &str = r#"#!/bin/sh
set -e
while [ $# -gt 0 ]; do
    case "$1" in
        --node-name) node=$2; shift ;;
        --cni-conf-dir) conf=$2; shift ;;
        --cni-data-dir) data=$2; shift ;;
    esac
    shift
done
number=${node#node}
echo 1 > /proc/sys/net/ipv4/ip_forward
for other in 1 2 3; do
    [ "$other" = "$number" ] || ip route replace 10.244.$other.0/24 via 172.30.0.1$other
done
cat > "$conf/.new" <<EOF
{"cniVersion":"1.0.0","name":"stand-in","plugins":[{"type":"ptp","ipam":{"type":"host-local",
"dataDir":"$data","ranges":[[{"subnet":"10.244.$number.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
EOF
mv "$conf/.new" "$conf/10-stand-in.conflist"
exec sleep infinity
"#;

impl StandIn {
    /// The binaries, or nothing after having said why not.
    pub(crate) fn new() -> Option<Self> {
        if let Some(why) = lacks(&["ip"]) {
            skip(&why);
            return None;
        }
        if !["/opt/cni/bin", "/usr/lib/cni"]
            .iter()
            .any(|dir| Path::new(dir).join("ptp").is_file())
        {
            skip("no CNI plugin `ptp` (Debian: containernetworking-plugins)");
            return None;
        }
        let bin_dir = tempfile::tempdir().expect("a directory");
        let agent = bin_dir.path().join("flatnet-agent");
        fs::write(&agent, AGENT).expect("written");
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).expect("executable");
        symlink(
            env!("CARGO_BIN_EXE_flatnet-demo"),
            bin_dir.path().join("flatnet-demo"),
        )
        .expect("linked");
        Some(Self { bin_dir })
    }

    pub(crate) fn options(&self, prefix: &str) -> LabOptions {
        LabOptions {
            prefix: prefix.to_owned(),
            nodes: 2,
            zones: vec![],
            network: Network {
                families: Families::Ipv4,
                ..Network::default()
            },
            bin_dir: self.bin_dir.path().to_owned(),
            programs: None,
            dns: false,
            image: None,
        }
    }

    pub(crate) fn start(&self, prefix: &str) -> Lab {
        Lab::start(Path::new(EXE), self.options(prefix)).expect("the lab starts")
    }
}

/// A process that ends with the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(quiet.spawn().expect("it runs"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// What a command printed; it must have succeeded.
pub(crate) fn output(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// Everything about how a command ended.
pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What is left of the lab `name` on the machine.
pub(crate) fn remains(name: &str) -> Vec<String> {
    let mut found = vec![];
    let state = Path::new("/run/flatnet-lab").join(name);
    for path in [state.clone(), state.with_extension("lock"), cgroup(name)] {
        if path.exists() {
            found.push(path.display().to_string());
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    let state = state.display().to_string();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&state))
            .map(str::to_owned),
    );
    for process in fs::read_dir("/proc").expect("processes").flatten() {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(&state) || command.contains(&format!("--name {name} ")) {
            found.push(format!("{}: {command}", process.path().display()));
        }
    }
    found
}

fn cgroup(name: &str) -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts");
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let root = root
        .and_then(|line| line.split(' ').nth(1))
        .expect("a cgroup2 mount");
    Path::new(root).join("flatnet-lab").join(name)
}
