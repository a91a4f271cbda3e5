//! A container's own files: an image in the place of this machine's file system, with what is
//! mounted into it, and the rights that are left. System calls alone, for use between fork and
//! exec.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr;

use serde::{Deserialize, Serialize};

/// What a container sees and may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Root {
    /// The folder that is its root; it is seen read-only.
    pub(crate) files: PathBuf,
    /// Its cgroup, seen as /sys/fs/cgroup.
    pub(crate) cgroup: PathBuf,
    /// What else it sees, in this order.
    pub(crate) mounts: Vec<Mount>,
    /// What it may do.
    pub(crate) rights: Rights,
}

/// Something of this machine's that a container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    pub(crate) source: PathBuf,
    /// Relative to the container's root.
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
    /// Whether what the container mounts below is seen outside, too.
    pub(crate) shared: bool,
}

/// As whom a container runs, and with which capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rights {
    pub(crate) user: u32,
    pub(crate) group: u32,
    /// Numbers of linux/capability.h; absent: all.
    pub(crate) capabilities: Option<Vec<u32>>,
    pub(crate) no_new_privileges: bool,
}

/// Where a mount comes to lie below one of these, the machine's own file system has the place.
const FROM_THE_MACHINE: [&str; 3] = ["proc", "sys", "dev"];
/// The last capability of any kernel in use is 40; the kernel refuses what it does not know.
const CAPABILITIES: std::ops::Range<u32> = 0..64;

// linux/mount.h; not in libc for every target.
const OPEN_TREE_CLONE: libc::c_ulong = 1;
const OPEN_TREE_CLOEXEC: libc::c_ulong = libc::O_CLOEXEC as libc::c_ulong;
const AT_RECURSIVE: libc::c_ulong = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_ulong = 4;

/// A [`Root`] with everything allocated.
#[derive(Debug)]
pub(super) struct Prepared {
    files: CString,
    mounts: Vec<PreparedMount>,
    rights: Rights,
}

#[derive(Debug)]
struct PreparedMount {
    source: CString,
    target: CString,
    recursive: bool,
    read_only: bool,
    shared: bool,
    tree: libc::c_int,
}

impl Root {
    /// Makes the places to mount over, and allocates what [`Prepared::enter`] needs.
    pub(super) fn prepare(&self) -> io::Result<Prepared> {
        let privileged = self.rights.capabilities.is_none();
        let mut mounts = vec![
            self.mount("/proc", "proc", (true, false), false)?,
            self.mount("/sys", "sys", (false, !privileged), false)?,
            self.mount("/dev", "dev", (true, false), false)?,
        ];
        if !privileged {
            mounts.push(self.mount("/proc/sys", "proc/sys", (false, true), false)?);
        }
        mounts.push(self.mount(&self.cgroup, "sys/fs/cgroup", (true, !privileged), false)?);
        for Mount {
            source,
            target,
            read_only,
            shared,
        } in &self.mounts
        {
            let first = target.components().next().map(|part| part.as_os_str());
            if !FROM_THE_MACHINE
                .iter()
                .any(|name| first.is_some_and(|part| part == *name))
            {
                make_place(source, &self.files.join(target))?;
            }
            mounts.push(self.mount(source, target, (true, *read_only), *shared)?);
        }
        Ok(Prepared {
            files: c_path(&self.files)?,
            mounts,
            rights: self.rights.clone(),
        })
    }

    fn mount(
        &self,
        source: impl AsRef<Path>,
        target: impl AsRef<Path>,
        (recursive, read_only): (bool, bool),
        shared: bool,
    ) -> io::Result<PreparedMount> {
        Ok(PreparedMount {
            source: c_path(source.as_ref())?,
            target: c_path(&self.files.join(target))?,
            recursive,
            read_only,
            shared,
            tree: -1,
        })
    }
}

/// A folder for a folder, a file for a file.
fn make_place(source: &Path, place: &Path) -> io::Result<()> {
    if place.exists() {
        return Ok(());
    }
    if source.is_dir() {
        return std::fs::create_dir_all(place);
    }
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::File::create(place).map(drop)
}

impl Prepared {
    /// Enters, in a process of its own that is about to exec. Copies of what is to be mounted are
    /// taken first, while they still are what the machine has: a copy of a shared mount shares.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        let nothing = ptr::null();
        // SAFETY: numbers alone.
        checked(unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP) })?;
        for mount in &mut self.mounts {
            let recursive = if mount.recursive { AT_RECURSIVE } else { 0 };
            let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive;
            // SAFETY: the path is NUL-terminated and lives through the call.
            let tree = unsafe {
                libc::syscall(
                    libc::SYS_open_tree,
                    libc::AT_FDCWD,
                    mount.source.as_ptr(),
                    flags,
                )
            };
            mount.tree = checked(tree as libc::c_int)?;
        }
        change(c"/", nothing, libc::MS_SLAVE | libc::MS_REC)?;
        let files = self.files.as_c_str();
        change(files, files.as_ptr(), libc::MS_BIND)?;
        change(
            files,
            nothing,
            libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY,
        )?;
        for mount in &self.mounts {
            mount.attach()?;
        }
        // SAFETY: NUL-terminated paths.
        unsafe {
            checked(libc::chdir(files.as_ptr()))?;
            checked(libc::chroot(c".".as_ptr()))?;
            checked(libc::chdir(c"/".as_ptr()))?;
        }
        self.rights.take()
    }
}

impl PreparedMount {
    fn attach(&self) -> io::Result<()> {
        let target = self.target.as_c_str();
        // SAFETY: the descriptor is a tree of ours, the paths are NUL-terminated.
        let moved = unsafe {
            libc::syscall(
                libc::SYS_move_mount,
                self.tree,
                c"".as_ptr(),
                libc::AT_FDCWD,
                target.as_ptr(),
                MOVE_MOUNT_F_EMPTY_PATH,
            )
        };
        checked(moved as libc::c_int)?;
        if !self.shared {
            change(target, ptr::null(), libc::MS_SLAVE | libc::MS_REC)?;
        }
        if self.read_only {
            let flags = libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY;
            change(target, ptr::null(), flags)?;
        }
        Ok(())
    }
}

impl Rights {
    /// Gives up what is not among them. (Root regains at exec what is left in the bounding set,
    /// another user nothing.)
    fn take(&self) -> io::Result<()> {
        if let Some(kept) = &self.capabilities {
            for capability in CAPABILITIES.filter(|number| !kept.contains(number)) {
                // SAFETY: numbers alone. EINVAL is the kernel's word for one that it does not know.
                unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability)) };
            }
        }
        // SAFETY: numbers alone, and no list for zero groups. The raw calls concern this process,
        // which has one thread.
        unsafe {
            checked(libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>()) as i32)?;
            let (user, group) = (self.user, self.group);
            checked(libc::syscall(libc::SYS_setresgid, group, group, group) as i32)?;
            checked(libc::syscall(libc::SYS_setresuid, user, user, user) as i32)?;
            if self.no_new_privileges {
                checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
            }
        }
        Ok(())
    }
}

/// mount(2) without a file system type.
fn change(
    target: &std::ffi::CStr,
    source: *const libc::c_char,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let nothing = ptr::null();
    // SAFETY: the target is NUL-terminated, the source is or is null, and no data is passed.
    checked(unsafe { libc::mount(source, target.as_ptr(), nothing, flags, nothing.cast()) })?;
    Ok(())
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}
