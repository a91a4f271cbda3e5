//! The system calls that ask the kernel about itself; all `unsafe` of this crate is here.
//!
//! They only ask: a map is created and closed at once, the other calls are queries.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

/// `BPF_MAP_CREATE` and `BPF_PROG_QUERY` of `enum bpf_cmd` in linux/bpf.h.
const MAP_CREATE: libc::c_int = 0;
const PROG_QUERY: libc::c_int = 16;
/// `BPF_MAP_TYPE_ARRAY` of `enum bpf_map_type`.
const MAP_TYPE_ARRAY: u32 = 2;
/// Members of `enum bpf_attach_type`.
const CGROUP_INET4_CONNECT: u32 = 10;
const TCX_INGRESS: u32 = 46;
/// The loopback interface of every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// The head of `union bpf_attr`, as many bytes as the commands used here read. Eight-byte units,
/// because the kernel wants the union aligned so.
type Attributes = [u64; 8];

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid takes no argument, touches no memory and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Whether the bpf system call lets us create a map.
///
/// # Errors
/// The kernel's: EPERM without the capability, ENOSYS without the system call.
pub(super) fn create_map() -> io::Result<()> {
    // map_type, key_size | value_size, max_entries
    let attributes = attributes(&[MAP_TYPE_ARRAY, 4, 4, 1]);
    let fd = bpf(MAP_CREATE, attributes)?;
    // SAFETY: BPF_MAP_CREATE returned this descriptor to us alone, and nothing else closes it.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}

/// Whether the kernel knows tcx (6.6 and later), asked on the loopback interface.
///
/// # Errors
/// EINVAL where the attach type is unknown.
pub(super) fn query_tcx() -> io::Result<()> {
    match bpf(PROG_QUERY, attributes(&[LOOPBACK_INDEX, TCX_INGRESS, 0, 0])) {
        // Known, and nothing is attached there.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        result => result.map(drop),
    }
}

/// Whether programs can be attached to cgroups under `root` (the cgroup2 mount).
///
/// # Errors
/// EINVAL where the kernel was built without CONFIG_CGROUP_BPF.
pub(super) fn query_cgroup(root: &Path) -> io::Result<()> {
    let dir = File::open(root)?;
    let fd = u32::try_from(dir.as_raw_fd()).map_err(io::Error::other)?;
    bpf(PROG_QUERY, attributes(&[fd, CGROUP_INET4_CONNECT, 0, 0])).map(drop)
}

/// Packs 32-bit fields into the union, in native order as the kernel reads them.
fn attributes(fields: &[u32; 4]) -> Attributes {
    let mut packed = [0; 8];
    for (unit, pair) in packed.iter_mut().zip(fields.chunks(2)) {
        let mut bytes = [0; 8];
        for (to, field) in bytes.chunks_mut(4).zip(pair) {
            to.copy_from_slice(&field.to_ne_bytes());
        }
        *unit = u64::from_ne_bytes(bytes);
    }
    packed
}

fn bpf(command: libc::c_int, mut attributes: Attributes) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads and writes at most `size` bytes behind the pointer, which is the
    // exact size of the array it points at, alive and unaliased for the call. No field used here
    // is itself a pointer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_mut_ptr(),
            size_of::<Attributes>() as libc::c_uint,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    libc::c_int::try_from(result).map_err(io::Error::other)
}
