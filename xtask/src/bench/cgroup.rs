//! A cgroup of a bench's own, with the bench in it and what it starts: where the agent's socket
//! programs can be attached without meeting the machine's processes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::setup::cgroup2_root;

/// How long processes that were killed may take to leave it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The cgroup. This process leaves it, and it is removed, when dropped.
pub(super) struct Cgroup {
    dir: PathBuf,
    /// Where this process was before.
    before: PathBuf,
}

impl Cgroup {
    /// Makes it below the cgroup that this process is in, and moves this process there.
    ///
    /// # Errors
    /// When there is no cgroup2, or it may not be written.
    pub(super) fn enter(name: &str) -> anyhow::Result<Self> {
        let before = own()?;
        let dir = before.join(name);
        fs::create_dir(&dir).with_context(|| dir.display().to_string())?;
        let cgroup = Self { dir, before };
        join(&cgroup.dir)?;
        Ok(cgroup)
    }

    /// Its folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn leave(&self) -> anyhow::Result<()> {
        join(&self.before)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match fs::remove_dir(&self.dir) {
                // Somebody who was killed is still there.
                Err(error)
                    if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
                {
                    thread::sleep(Duration::from_millis(10));
                }
                done => return done.with_context(|| self.dir.display().to_string()),
            }
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            eprintln!("the bench's cgroup is left behind: {error:#}");
        }
    }
}

/// A stay of this process in a cgroup of others, until dropped: as a pod's process, say, whose
/// sockets meet the programs that hang there.
pub(super) struct Visit {
    before: PathBuf,
}

impl Visit {
    /// Moves this process into the cgroup.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn to(dir: &Path) -> anyhow::Result<Self> {
        let before = own()?;
        join(dir)?;
        Ok(Self { before })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Err(error) = join(&self.before) {
            eprintln!("the bench stays in a pod's cgroup: {error:#}");
        }
    }
}

/// The folder of the cgroup that this process is in.
fn own() -> anyhow::Result<PathBuf> {
    let root = cgroup2_root().context("no cgroup2 is mounted")?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    Ok(root.join(place(&own).context("this process is in no cgroup2")?))
}

fn join(dir: &Path) -> anyhow::Result<()> {
    let file = dir.join("cgroup.procs");
    // 0: who writes.
    fs::write(&file, "0").with_context(|| file.display().to_string())
}

/// The path in the line of cgroup2 (cgroups(7)), relative to its root.
fn place(own: &str) -> Option<&str> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_in_the_line_without_a_controller() {
        for (own, expected) in [
            ("4:memory:/a\n0::/\n", Some("")),
            ("0::/user.slice/x.scope\n", Some("user.slice/x.scope")),
            ("1:name=systemd:/\n", None),
        ] {
            assert_eq!(place(own), expected, "{own:?}");
        }
    }
}
