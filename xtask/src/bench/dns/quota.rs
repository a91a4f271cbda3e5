//! A share of the processors for one server: a cgroup of its own with a quota.
//!
//! dnsperf needs more time a question than the servers do, and a machine of two cores has none to
//! spare for it: asked with all its strength, a server waits for questions. With a quota, the same
//! for all, the server is what limits the rate.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

/// The kernel's own default: what a quota is a share of, in microseconds.
const PERIOD: u64 = 100_000;

/// The controller's files in its two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The cgroup. It is removed when dropped, after the processes in it have ended.
pub(super) struct Share {
    dir: PathBuf,
    version: Version,
}

impl Share {
    /// A cgroup without a limit yet, with the process `pid` and the threads it will have in it.
    ///
    /// # Errors
    /// When no cgroup file system lets processors be shared out.
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let mounts = fs::read_to_string("/proc/mounts").context("/proc/mounts")?;
        let (root, version) = controller(&mounts).context("no cgroup file system is mounted")?;
        if version == Version::Two {
            let shared = fs::read_to_string(root.join("cgroup.subtree_control"))?;
            if !shared.split_whitespace().any(|name| name == "cpu") {
                bail!(
                    "cgroups may not limit processors here: echo +cpu > {}/cgroup.subtree_control",
                    root.display()
                );
            }
        }
        let dir = root.join(format!("flatnet-bench-{pid}"));
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        let share = Self { dir, version };
        share.write("cgroup.procs", &pid.to_string())?;
        Ok(share)
    }

    /// Limits them to this many processors together; none takes the limit away.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub(super) fn limit(&self, processors: Option<f64>) -> anyhow::Result<()> {
        // Far above zero and below 2^53.
        let quota = processors.map(|share| (share * PERIOD as f64) as u64);
        match (self.version, quota) {
            (Version::Two, Some(quota)) => self.write("cpu.max", &format!("{quota} {PERIOD}")),
            (Version::Two, None) => self.write("cpu.max", "max"),
            (Version::One, Some(quota)) => self.write("cpu.cfs_quota_us", &quota.to_string()),
            (Version::One, None) => self.write("cpu.cfs_quota_us", "-1"),
        }
    }

    fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let path = self.dir.join(file);
        fs::write(&path, text).with_context(|| format!("{} does not take {text}", path.display()))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // The kernel counts an ended process in for a moment.
        for _ in 0..100 {
            match fs::remove_dir(&self.dir) {
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                    thread::sleep(Duration::from_millis(10));
                }
                _ => return,
            }
        }
        eprintln!("    left behind: {}", self.dir.display());
    }
}

/// Where the controller of processors is mounted. Version 1 where it is: version 2 has it then
/// not.
fn controller(mounts: &str) -> Option<(PathBuf, Version)> {
    let mounted = |wanted: fn(&str, &str) -> bool| {
        mounts.lines().find_map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let [_, place, kind, options, ..] = words[..] else {
                return None;
            };
            wanted(kind, options).then(|| Path::new(place).to_owned())
        })
    };
    let one = mounted(|kind, options| {
        kind == "cgroup" && options.split(',').any(|option| option == "cpu")
    });
    let two = || mounted(|kind, _| kind == "cgroup2");
    one.map(|dir| (dir, Version::One))
        .or_else(|| two().map(|dir| (dir, Version::Two)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_is_found_in_both_versions() {
        let old = "cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n\
                   cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
                   cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let new = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let at = |dir: &str, version| Some((PathBuf::from(dir), version));
        for (mounts, wanted) in [
            (old, at("/sys/fs/cgroup/cpu,cpuacct", Version::One)),
            (new, at("/sys/fs/cgroup", Version::Two)),
            ("proc /proc proc rw 0 0\n", None),
        ] {
            assert_eq!(controller(mounts), wanted, "{mounts}");
        }
    }
}
