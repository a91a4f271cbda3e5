//! What the kernel must offer, each asked of the kernel itself where that is possible.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::bpf;
use super::need::{Need, Remedy, Scope, State};
use super::toolchain::major_minor;
use crate::process::{capture, find_program};

/// The oldest kernel flatnet is meant for; what it lacks (tcx) is asked for on its own below.
const OLDEST: (u32, u32) = (6, 1);

/// Every kernel feature that the lab needs.
pub(super) fn needs() -> Vec<Need> {
    let root = bpf::is_root();
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let cgroup2 = cgroup2_mount(&mounts);
    let privileged = |probe: &dyn Fn() -> State| {
        if root {
            probe()
        } else {
            State::Unknown("asked only as root".to_owned())
        }
    };
    let tcx = "boot Linux 6.6 or later (Debian 12: linux-image-amd64 of bookworm-backports)";
    let config = |option: &str| format!("boot a kernel built with {option}=y");
    vec![
        need("kernel version", "programs, links, namespaces", version()),
        need(
            "kernel BTF",
            "the programs' types are checked against it",
            btf(),
        ),
        need(
            "cgroup2",
            "the socket path is attached to it",
            cgroup_state(cgroup2.as_deref()),
        ),
        need(
            "bpf system call",
            "loads programs and maps",
            privileged(&|| answer(bpf::create_map(), config("CONFIG_BPF_SYSCALL"))),
        ),
        need(
            "cgroup programs",
            "translates addresses at connect()",
            privileged(&|| match &cgroup2 {
                Some(dir) => answer(bpf::query_cgroup(dir), config("CONFIG_CGROUP_BPF")),
                None => State::Unknown("asked only with cgroup2 mounted".to_owned()),
            }),
        ),
        need(
            "tcx",
            "attaches programs to the pods' interfaces",
            privileged(&|| answer(bpf::query_tcx(), tcx.to_owned())),
        ),
        need(
            "veth",
            "the pods' interfaces",
            privileged(&|| device("veth", "CONFIG_VETH")),
        ),
        need(
            "bridge",
            "the lab's fabric",
            privileged(&|| device("bridge", "CONFIG_BRIDGE")),
        ),
    ]
}

fn need(name: &str, used_for: &'static str, state: State) -> Need {
    Need {
        name: name.to_owned(),
        used_for,
        scope: Scope::Lab,
        state,
    }
}

fn version() -> State {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    if major_minor(release) >= OLDEST {
        return State::Here(release.to_owned());
    }
    missing(
        format!("{release:?} is older than 6.1"),
        "boot a newer kernel".to_owned(),
    )
}

fn btf() -> State {
    const FILE: &str = "/sys/kernel/btf/vmlinux";
    if Path::new(FILE).exists() {
        return State::Here(FILE.to_owned());
    }
    missing(
        format!("no {FILE}"),
        "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y".to_owned(),
    )
}

fn cgroup_state(mount: Option<&Path>) -> State {
    match mount {
        Some(dir) => State::Here(dir.display().to_string()),
        None => missing(
            "no cgroup2 in /proc/mounts".to_owned(),
            "mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified"
                .to_owned(),
        ),
    }
}

/// Where cgroup2 is mounted.
pub(crate) fn cgroup2_root() -> Option<PathBuf> {
    cgroup2_mount(&fs::read_to_string("/proc/mounts").ok()?)
}

/// The first cgroup2 mount in the text of /proc/mounts.
fn cgroup2_mount(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (dir, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(dir))
    })
}

/// Creates a device of this kind in a network namespace that ends with the command.
fn device(kind: &str, option: &str) -> State {
    if find_program("ip").is_none() {
        return State::Unknown("asked with `ip`, which is missing".to_owned());
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "ip", "link", "add", "probe", "type", kind]);
    match capture(&mut command) {
        Ok(_) => State::Here("created one in a namespace of its own".to_owned()),
        Err(error) => missing(
            format!("{error:#}"),
            format!("boot a kernel with {option} or load its module"),
        ),
    }
}

fn answer(result: io::Result<()>, remedy: String) -> State {
    match result {
        Ok(()) => State::Here("the kernel says yes".to_owned()),
        Err(error) => missing(format!("the kernel says {error}"), remedy),
    }
}

fn missing(why: String, remedy: String) -> State {
    State::Missing {
        why,
        remedy: Remedy::ByHand(remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup2_mount_is_found_beside_cgroup1() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let unified = "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        let none = "proc /proc proc rw 0 0\n\nshort\n";
        assert_eq!(cgroup2_mount(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(cgroup2_mount(unified), Some("/sys/fs/cgroup".into()));
        assert_eq!(cgroup2_mount(none), None);
    }

    #[test]
    fn a_refusal_names_the_kernels_word_and_the_remedy() {
        let state = answer(
            Err(io::Error::from_raw_os_error(libc::EINVAL)),
            "newer".to_owned(),
        );
        let State::Missing { why, remedy } = state else {
            panic!("{state:?}")
        };
        assert!(why.contains("Invalid argument"), "{why}");
        assert_eq!(remedy, Remedy::ByHand("newer".to_owned()));
    }
}
