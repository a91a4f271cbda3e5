//! The one door to other namespaces and to mounts: every setns, unshare, mount and pre-exec hook
//! of the lab is in this folder.
//!
//! The lab's own threads never change their namespace for good: work in another one happens on a
//! thread made for it that ends with it ([`inside`]), or in a child between fork and exec
//! ([`Placement`]).

mod root;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{sethostname, setsid};

pub(crate) use root::{Mount, Rights, Root};

const NOTHING: Option<&str> = None;

/// Where a command is to run. What is not set stays as it is for the caller.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    netns: Option<File>,
    cgroup: Option<File>,
    binds: Vec<(PathBuf, PathBuf)>,
    hostname: Option<String>,
    root: Option<root::Prepared>,
    own_session: bool,
    ends_with_caller: bool,
}

impl Placement {
    /// In the network namespace kept at `path`.
    pub(crate) fn netns(mut self, path: &Path) -> io::Result<Self> {
        self.netns = Some(open(path)?);
        Ok(self)
    }

    /// In the cgroup `dir`.
    pub(crate) fn cgroup(mut self, dir: &Path) -> io::Result<Self> {
        let procs = dir.join("cgroup.procs");
        self.cgroup = Some(
            OpenOptions::new()
                .write(true)
                .open(&procs)
                .map_err(naming(&procs))?,
        );
        Ok(self)
    }

    /// With a mount namespace of its own in which `source` is seen at `target`. Both exist.
    pub(crate) fn bind(mut self, source: PathBuf, target: impl Into<PathBuf>) -> Self {
        self.binds.push((source, target.into()));
        self
    }

    /// With an image for a file system, and the rights that go with it.
    pub(crate) fn root(mut self, root: &Root) -> io::Result<Self> {
        self.root = Some(root.prepare()?);
        Ok(self)
    }

    /// With a host name of its own.
    pub(crate) fn hostname(mut self, name: &str) -> Self {
        self.hostname = Some(name.to_owned());
        self
    }

    /// As the leader of a session, so that a terminal's Ctrl-C meant for the lab does not reach it.
    pub(crate) fn own_session(mut self) -> Self {
        self.own_session = true;
        self
    }

    /// Asked to end (SIGTERM) when the thread that starts it ends, however that ends.
    pub(crate) fn ends_with_caller(mut self) -> Self {
        self.ends_with_caller = true;
        self
    }

    /// Makes `command` start there. A failure is the error of `spawn`.
    pub(crate) fn apply(mut self, command: &mut Command) {
        // SAFETY: between fork and exec only async-signal-safe calls are allowed, because another
        // thread may have held the allocator's lock at the fork. `enter` makes system calls only:
        // every file is open and every string allocated by now, nix puts paths shorter than 1024
        // bytes on the stack, and an io::Error from errno does not allocate.
        unsafe {
            command.pre_exec(move || self.enter());
        }
    }

    fn enter(&mut self) -> io::Result<()> {
        if self.own_session {
            setsid()?;
        }
        if self.ends_with_caller {
            set_pdeathsig(Signal::SIGTERM)?;
        }
        if let Some(procs) = &self.cgroup {
            // "0" is the writer itself.
            let mut procs: &File = procs;
            procs.write_all(b"0")?;
        }
        if let Some(netns) = &self.netns {
            setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)?;
        }
        if let Some(hostname) = &self.hostname {
            unshare(CloneFlags::CLONE_NEWUTS)?;
            sethostname(hostname)?;
        }
        if !self.binds.is_empty() {
            unshare(CloneFlags::CLONE_NEWNS)?;
            // A slave, not private: when the lab unmounts the namespace file of another pod, the
            // copy in here must go too, or this process would keep that namespace alive.
            mount(
                NOTHING,
                "/",
                NOTHING,
                MsFlags::MS_SLAVE | MsFlags::MS_REC,
                NOTHING,
            )?;
            for (source, target) in &self.binds {
                mount(Some(source), target, NOTHING, MsFlags::MS_BIND, NOTHING)?;
            }
        }
        if let Some(root) = &mut self.root {
            root.enter()?;
        }
        Ok(())
    }
}

/// Makes a network namespace and keeps it at `path`, as `ip netns add` does.
pub(crate) fn create_netns(path: &Path) -> io::Result<()> {
    File::create_new(path).map_err(naming(path))?;
    on_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        mount(
            Some("/proc/thread-self/ns/net"),
            path,
            NOTHING,
            MsFlags::MS_BIND,
            NOTHING,
        )?;
        Ok(())
    })
    .map_err(naming(path))
}

/// Lets go of the namespace kept at `path`; absent is removed.
pub(crate) fn remove_netns(path: &Path) -> io::Result<()> {
    unmount(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.map_err(naming(path)),
    }
}

/// Runs `work` on a thread inside the network namespace kept at `path`. Sockets made there belong
/// to that namespace for ever and may be used from any thread.
pub(crate) fn inside<T: Send>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let netns = open(path)?;
    on_own_thread(move || {
        setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)?;
        work()
    })
}

/// Makes `dir` a mount point whose mounts appear and vanish in the pods' mount namespaces too,
/// and that is no peer of the file system around it.
pub(crate) fn make_shared(dir: &Path) -> io::Result<()> {
    mount(Some(dir), dir, NOTHING, MsFlags::MS_BIND, NOTHING).map_err(naming_errno(dir))?;
    mount(NOTHING, dir, NOTHING, MsFlags::MS_PRIVATE, NOTHING).map_err(naming_errno(dir))?;
    mount(NOTHING, dir, NOTHING, MsFlags::MS_SHARED, NOTHING).map_err(naming_errno(dir))
}

/// Mounts a bpffs of its own at `dir`.
pub(crate) fn mount_bpffs(dir: &Path) -> io::Result<()> {
    mount(Some("bpf"), dir, Some("bpf"), MsFlags::empty(), NOTHING).map_err(naming_errno(dir))
}

/// Unmounts whatever is mounted at `path`, layer by layer; nothing mounted is fine.
pub(crate) fn unmount(path: &Path) -> io::Result<()> {
    loop {
        match umount2(path, MntFlags::MNT_DETACH) {
            Ok(()) => {}
            Err(nix::Error::EINVAL | nix::Error::ENOENT) => return Ok(()),
            Err(errno) => return Err(naming_errno(path)(errno)),
        }
    }
}

/// Everything mounted at `dir` or below, the most recent first: the order to unmount in.
pub(crate) fn mounts_below(dir: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(mounts_below_in(
        &fs::read_to_string("/proc/self/mountinfo")?,
        dir,
    ))
}

fn mounts_below_in(mountinfo: &str, dir: &Path) -> Vec<PathBuf> {
    let place = |line: &str| line.split(' ').nth(4).map(PathBuf::from);
    let below = mountinfo
        .lines()
        .filter_map(place)
        .filter(|place| place.starts_with(dir));
    let mut found: Vec<_> = below.collect();
    found.reverse();
    found
}

fn open(netns: &Path) -> io::Result<File> {
    File::open(netns).map_err(naming(netns))
}

/// A thread of its own, because a thread that has changed its namespace must not go back to work.
fn on_own_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let outcome = scope.spawn(work).join();
        outcome.unwrap_or_else(|_panic| Err(io::Error::other("panic inside a namespace")))
    })
}

fn naming(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn naming_errno(path: &Path) -> impl Fn(nix::Error) -> io::Error {
    move |errno| naming(path)(errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_directory_come_last_first_and_alone() {
        let mountinfo = "21 1 0:19 / /run rw - tmpfs tmpfs rw\n\
            30 21 0:19 /l/a/netns /run/l/a/netns rw shared:9 - tmpfs tmpfs rw\n\
            31 30 0:4 net:[1] /run/l/a/netns/node1 rw shared:9 - nsfs nsfs rw\n\
            32 21 0:40 / /run/l/ab/bpf/node1 rw - bpf bpf rw\n\
            33 21 0:41 / /run/l/a/bpf/node1 rw - bpf bpf rw\n";
        let found = mounts_below_in(mountinfo, Path::new("/run/l/a"));
        let expected = [
            "/run/l/a/bpf/node1",
            "/run/l/a/netns/node1",
            "/run/l/a/netns",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn an_absent_mount_is_unmounted_already() {
        assert!(unmount(Path::new("/proc/no-such-file")).is_ok());
    }
}
