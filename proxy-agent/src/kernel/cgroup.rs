//! The cgroup2 folder that holds every process of the node and its pods: given, or found among the
//! mounts.
//!
//! A container has a cgroup namespace of its own, in which `/sys/fs/cgroup` is the container's own
//! folder: programs that hang there see no other process. The node's folder is there as well if
//! the pod mounts it from the node, and the kernel tells the two apart: relative to the
//! container's folder, the node's is `/..` once or more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::filesystem;

/// There is no cgroup to attach to.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// None was given, and none is mounted.
    #[error(
        "no cgroup2 file system is mounted here; mount one (mount -t cgroup2 none /sys/fs/cgroup), \
         and in a pod mount the node's /sys/fs/cgroup from the node (hostPath)"
    )]
    NotMounted,
    /// What was given is something else.
    #[error(
        "{path} is no cgroup2 folder; leave --cgroup-root (FLATNET_CGROUP_ROOT) out to have one \
         found, or name where `findmnt -t cgroup2` shows one"
    )]
    NoCgroup2 {
        /// The folder.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error("cannot use cgroup {path}: {source}")]
    Io {
        /// The folder or the list of mounts.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The folder that was given, or the one nearest to the root among the mounted.
///
/// # Errors
/// [`CgroupError`].
pub fn root(given: Option<&Path>) -> Result<PathBuf, CgroupError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        |source| CgroupError::Io { path, source }
    };
    let path = match given {
        Some(path) => path.to_path_buf(),
        None => {
            let list = Path::new("/proc/self/mountinfo");
            let mounts = fs::read_to_string(list).map_err(failed(list))?;
            nearest_root(&mounts).ok_or(CgroupError::NotMounted)?
        }
    };
    match filesystem::kind(&path).map_err(failed(&path))? {
        filesystem::CGROUP2 => Ok(path),
        _ => Err(CgroupError::NoCgroup2 { path }),
    }
}

/// Where, as `/proc/self/mountinfo` has it (proc(5)), a cgroup2 is mounted whose folder is the
/// highest in the hierarchy. Of equals the first.
fn nearest_root(mountinfo: &str) -> Option<PathBuf> {
    let mounted = mountinfo.lines().filter_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = fields.split(' ').skip(3);
        let (folder, place) = (fields.next()?, fields.next()?);
        Some((height(folder), PathBuf::from(place)))
    });
    mounted
        .reduce(|best, other| if other.0 > best.0 { other } else { best })
        .map(|(_, place)| place)
}

/// Steps above (or, negative, below) the root of this process' cgroup namespace.
fn height(folder: &str) -> i32 {
    let steps = folder.split('/').filter(|step| !step.is_empty());
    steps.map(|step| if step == ".." { 1 } else { -1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_folder_is_told_from_the_containers() {
        let own = "631 620 0:30 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw";
        let node = "640 620 0:30 /../../../.. /host/cgroup ro - cgroup2 cgroup rw";
        let slice = "641 620 0:30 /../.. /host/slice ro - cgroup2 cgroup rw";
        let below = "642 620 0:30 /pod /x rw - cgroup2 cgroup rw";
        let hybrid = "30 24 0:26 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw";
        let v1 = "31 24 0:27 / /sys/fs/cgroup/cpu rw shared:6 - cgroup cgroup rw,cpu";
        let bpf = "33 24 0:29 / /sys/fs/bpf rw shared:8 - bpf bpf rw";
        let rows = [
            (vec![own], Some("/sys/fs/cgroup")),
            (vec![own, node], Some("/host/cgroup")),
            (vec![slice, own, node], Some("/host/cgroup")),
            (vec![own, slice], Some("/host/slice")),
            (vec![below, own], Some("/sys/fs/cgroup")),
            (vec![v1, hybrid, bpf], Some("/sys/fs/cgroup/unified")),
            (vec![v1, bpf], None),
            (vec![], None),
        ];
        for (mounts, expected) in rows {
            let found = nearest_root(&mounts.join("\n"));
            assert_eq!(found, expected.map(PathBuf::from), "{mounts:#?}");
        }
    }

    #[test]
    fn what_is_no_cgroup_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let error = root(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("is no cgroup2 folder; leave"), "{error}");
        let error = root(Some(Path::new("/proc/no-such"))).unwrap_err();
        assert!(error.to_string().contains("cannot use cgroup"), "{error}");
    }
}
