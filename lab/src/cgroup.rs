//! cgroup v2 directories: find the root, make, kill, remove.
//!
//! The lab enables no controller. It uses cgroups as the list of processes that belong together
//! (so that one write kills them all) and as the attachment point of the agent's socket programs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::patience::longer;

/// How long killed processes may take to be gone. They got SIGKILL, so this is the kernel's time
/// to tear down their memory and namespaces, not theirs.
const EMPTY_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Where cgroup2 is mounted, as /proc/mounts says.
///
/// # Errors
/// When it is mounted nowhere.
pub(crate) fn root() -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    root_in(&mounts).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "no cgroup2 file system is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup",
        )
    })
}

fn root_in(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    })
}

/// Makes the directory and those above it.
pub(crate) fn create(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot make cgroup {}: {error}", dir.display()),
        )
    })
}

/// Kills every process in `dir` and below, and waits until they are gone. A directory that does
/// not exist has no processes.
///
/// # Errors
/// When processes are left after ten seconds.
pub(crate) fn kill(dir: &Path) -> io::Result<()> {
    match fs::write(dir.join("cgroup.kill"), "1") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        outcome => outcome?,
    }
    let deadline = Instant::now() + longer(EMPTY_WITHIN);
    while is_populated(dir)? {
        if Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("processes in {} survive cgroup.kill", dir.display()),
            ));
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// Whether a process lives in `dir` or below.
pub(crate) fn is_populated(dir: &Path) -> io::Result<bool> {
    match fs::read_to_string(dir.join("cgroup.events")) {
        Ok(events) => Ok(events.lines().any(|line| line == "populated 1")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the directory and those below it, deepest first; absent is removed.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // The files of a cgroup directory go with it; only directories are ours to remove.
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    remove_when_released(dir)
}

/// rmdir(2) says EBUSY for a moment after the last process became a zombie.
fn remove_when_released(dir: &Path) -> io::Result<()> {
    let deadline = Instant::now() + longer(EMPTY_WITHIN);
    loop {
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
            {
                thread::sleep(LOOK_AGAIN);
            }
            Err(error) => {
                let text = format!("cannot remove cgroup {}: {error}", dir.display());
                return Err(io::Error::new(error.kind(), text));
            }
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_cgroup2_mount_also_beside_version_1() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            root_in(hybrid),
            Some(PathBuf::from("/sys/fs/cgroup/unified"))
        );
        assert_eq!(root_in("tmpfs /run tmpfs rw 0 0\n"), None);
    }

    #[test]
    fn an_absent_cgroup_is_killed_and_removed_already() {
        let absent = Path::new("/proc/no-such-directory");
        assert!(kill(absent).is_ok());
        assert!(remove(absent).is_ok());
    }
}
