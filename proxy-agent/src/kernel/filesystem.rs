//! Which file system is mounted somewhere, and the mounting of a bpffs.

use std::fs;
use std::io;
use std::path::Path;

use super::bpf::c_path;

/// `f_type` of bpffs (linux/magic.h).
pub const BPFFS: u64 = 0xcafe_4a11;
/// `f_type` of cgroup2 (linux/magic.h).
pub const CGROUP2: u64 = 0x6367_7270;

/// The `f_type` of the file system that `path` is on.
///
/// # Errors
/// The system call's.
pub fn kind(path: &Path) -> io::Result<u64> {
    let path = c_path(path)?;
    // SAFETY: zeroed bytes are a valid `statfs`, a struct of integers.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is NUL-terminated and `stat` is a whole struct, both alive for the call.
    let result = unsafe { libc::statfs(path.as_ptr(), &raw mut stat) };
    if result == 0 {
        Ok(stat.f_type as u64)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Mounts a bpffs at `path`, which is made if it is not there, unless one is mounted there.
/// Whether that was needed.
///
/// # Errors
/// The system call's: EPERM without CAP_SYS_ADMIN.
pub fn ensure_bpffs(path: &Path) -> io::Result<bool> {
    fs::create_dir_all(path)?;
    if kind(path)? == BPFFS {
        return Ok(false);
    }
    let target = c_path(path)?;
    // SAFETY: all three strings are NUL-terminated and alive for the call; no data is passed.
    let result = unsafe {
        libc::mount(
            c"bpffs".as_ptr(),
            target.as_ptr(),
            c"bpf".as_ptr(),
            libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
            std::ptr::null(),
        )
    };
    if result == 0 {
        Ok(true)
    } else {
        Err(io::Error::last_os_error())
    }
}
