//! The one door to bpf(2): pinned objects, links, maps. Each function is one command of the
//! system call, with the few fields it needs, and safe to call.
//!
//! `bpf::map` and `bpf::info` go through it too.
//!
//! A BPF library would probe the kernel for two dozen features at every start of this binary,
//! which takes longer than all the rest of an ADD.

mod info;
mod map;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::program::Side;

pub(crate) use info::{LinkInfo, ProgramInfo};
pub(crate) use map::Map;

/// Commands (linux/bpf.h, `enum bpf_cmd`).
mod command {
    pub(super) const MAP_LOOKUP_ELEM: libc::c_int = 1;
    pub(super) const MAP_UPDATE_ELEM: libc::c_int = 2;
    pub(super) const MAP_DELETE_ELEM: libc::c_int = 3;
    pub(super) const OBJ_PIN: libc::c_int = 6;
    pub(super) const OBJ_GET: libc::c_int = 7;
    pub(super) const PROG_GET_FD_BY_ID: libc::c_int = 13;
    pub(super) const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
    pub(super) const MAP_LOOKUP_BATCH: libc::c_int = 24;
    pub(super) const LINK_CREATE: libc::c_int = 28;
}

/// `enum bpf_attach_type`: by tcx (Linux 6.6).
const fn tcx(side: Side) -> u32 {
    match side {
        Side::Ingress => 46,
        Side::Egress => 47,
    }
}

/// The member of `union bpf_attr` for OBJ_PIN and OBJ_GET.
#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

/// The head of the member for LINK_CREATE.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// Opens what is pinned at a path, of whatever kind it is.
///
/// # Errors
/// As the kernel gives them: ENOENT when there is no such pin.
pub(crate) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut object = Object {
        path: path.as_ptr() as u64,
        fd: 0,
        flags: 0,
    };
    // SAFETY: the path is a C string that outlives the call.
    let fd = unsafe { bpf(command::OBJ_GET, &mut object) }?;
    Ok(owned(fd))
}

/// Pins an object at a path.
///
/// # Errors
/// As the kernel gives them.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut object = Object {
        path: path.as_ptr() as u64,
        fd: number(object),
        flags: 0,
    };
    // SAFETY: the path is a C string that outlives the call.
    unsafe { bpf(command::OBJ_PIN, &mut object) }.map(drop)
}

/// Attaches a program to one side of an interface, by tcx. The link lasts as long as the
/// descriptor, or as long as it is pinned.
///
/// # Errors
/// As the kernel gives them: EINVAL before Linux 6.6.
pub(crate) fn attach_tcx(program: BorrowedFd<'_>, ifindex: u32, side: Side) -> io::Result<OwnedFd> {
    let mut link = LinkCreate {
        program: number(program),
        target: ifindex,
        attach_type: tcx(side),
        flags: 0,
    };
    // SAFETY: the command follows no addresses.
    let fd = unsafe { bpf(command::LINK_CREATE, &mut link) }?;
    Ok(owned(fd))
}

/// Bytes that the kernel may read and write as such a type.
///
/// # Safety
/// The type is `repr(C)`, without padding, and every bit pattern is a value of it.
pub(crate) unsafe trait Plain: Copy {
    /// Something to overwrite.
    const BLANK: Self;
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: every caller got it just now from a command that makes a descriptor, so it is open
    // and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The system call.
///
/// # Safety
/// The addresses in `attributes` are those the command follows, and are good for as many bytes
/// as it reads and writes there.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<i32> {
    let address = std::ptr::from_mut(attributes);
    // SAFETY: `attributes` is a `repr(C)` head of `union bpf_attr` of the size given, and the
    // kernel takes the missing tail as zeroes; for what it points to the caller vouches.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, address, size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
