//! The one door of the benches to other namespaces and to mounts.
//!
//! A bench works on a thread with a mount and a network namespace of its own ([`apart`]). What it
//! makes there (namespaces kept as files, leases, configurations) is seen by nobody else and goes
//! with the thread and its children, however they end: there is nothing to sweep up.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, anyhow, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::process;
use crate::setup::is_root;

const NOTHING: Option<&str> = None;

/// A directory in memory that only one bench sees.
pub(super) struct Room {
    dir: PathBuf,
}

impl Room {
    /// A path in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes a network namespace and keeps it under `name`, as a
    /// container runtime does.
    ///
    /// # Errors
    /// When there is one of that name, or the kernel refuses.
    pub(super) fn create_netns(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        File::create_new(&path).with_context(|| path.display().to_string())?;
        on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("no new network namespace")?;
            let own = Some("/proc/thread-self/ns/net");
            mount(own, &path, NOTHING, MsFlags::MS_BIND, NOTHING)
                .with_context(|| format!("cannot keep a namespace at {}", path.display()))
        })?;
        Ok(path)
    }

    /// Mounts a bpffs of its own under `name`.
    ///
    /// # Errors
    /// When there is one of that name, or the kernel refuses.
    pub(super) fn mount_bpffs(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        let none = MsFlags::empty();
        mount(Some("bpf"), &path, Some("bpf"), none, NOTHING)
            .with_context(|| format!("cannot mount a bpffs at {}", path.display()))?;
        Ok(path)
    }

    /// Lets go of a bpffs, and so of everything pinned there.
    ///
    /// # Errors
    /// When none is mounted at `path`.
    pub(super) fn unmount_bpffs(&self, path: &Path) -> anyhow::Result<()> {
        umount2(path, MntFlags::MNT_DETACH)
            .map_err(io::Error::from)
            .and_then(|()| fs::remove_dir(path))
            .with_context(|| format!("cannot let go of {}", path.display()))
    }

    /// Lets go of a namespace.
    ///
    /// # Errors
    /// When nothing is kept at `path`.
    pub(super) fn remove_netns(&self, path: &Path) -> anyhow::Result<()> {
        umount2(path, MntFlags::MNT_DETACH)
            .map_err(io::Error::from)
            .and_then(|()| fs::remove_file(path))
            .with_context(|| format!("cannot let go of {}", path.display()))
    }
}

/// Runs `work` apart from the machine: on a thread with mounts and a network of its own.
///
/// # Errors
/// Those of `work`, and when we are not root.
pub(super) fn apart<T: Send>(
    work: impl FnOnce(&Room) -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    ensure!(
        is_root(),
        "this bench makes network namespaces: run it as root"
    );
    let dir = std::env::temp_dir().join(format!("flatnet-bench-{}", std::process::id()));
    fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let room = Room { dir };
    let result = on_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
            .context("no namespaces of our own")?;
        // A slave, not private: what a lab unmounts at its end must not live on in here.
        let slave = MsFlags::MS_SLAVE | MsFlags::MS_REC;
        mount(NOTHING, "/", NOTHING, slave, NOTHING).context("mounts are not ours")?;
        let none = MsFlags::empty();
        mount(Some("tmpfs"), &room.dir, Some("tmpfs"), none, NOTHING).context("no tmpfs")?;
        work(&room)
    });
    // Only the mount point: what was mounted on it went with the thread.
    fs::remove_dir(&room.dir).with_context(|| room.dir.display().to_string())?;
    result
}

/// Runs `work` on a thread inside the network namespace kept at `netns`. Sockets made there
/// belong to that namespace for ever and may be used from any thread; so do processes.
///
/// # Errors
/// Those of `work`, and when there is no such namespace.
pub(super) fn inside<T: Send>(
    netns: &Path,
    work: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let file = File::open(netns).with_context(|| netns.display().to_string())?;
    on_own_thread(move || {
        setns(file.as_fd(), CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("cannot enter {}", netns.display()))?;
        work()
    })
}

/// Runs lines of `ip` inside a network namespace.
///
/// # Errors
/// When one of them fails; with what ip said.
pub(super) fn ip(netns: &Path, lines: &[String]) -> anyhow::Result<()> {
    inside(netns, || {
        let mut command = std::process::Command::new("ip");
        command.args(["-batch", "-"]);
        process::feed(&mut command, &(lines.join("\n") + "\n")).map(drop)
    })
}

/// Sets kernel parameters, named below `/proc/sys/net`, of a network namespace. One that this
/// kernel does not have has no effect to be turned off.
///
/// # Errors
/// When the kernel does not take a value.
pub(super) fn set(netns: &Path, parameters: &[(&str, &str)]) -> anyhow::Result<()> {
    inside(netns, || {
        for (name, value) in parameters {
            // /proc/sys/net shows each thread that of its own namespace. Not fs::write: a
            // parameter is neither created nor truncated.
            let path = Path::new("/proc/sys/net").join(name);
            let written = File::options()
                .write(true)
                .open(&path)
                .and_then(|mut file| file.write_all(value.as_bytes()));
            match written {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                written => written.with_context(|| path.display().to_string())?,
            }
        }
        Ok(())
    })
}

/// A thread of its own, because one that has changed its namespace must not go back to work.
fn on_own_thread<T: Send>(work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let outcome = scope.spawn(work).join();
        outcome.unwrap_or_else(|_panic| Err(anyhow!("a panic inside a namespace")))
    })
}
