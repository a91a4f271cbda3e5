//! The one door to bpf(2): pinned objects, links, maps. Each function is one command of the
//! system call, with the few fields it needs, and safe to call.
//!
//! A BPF library would probe the kernel for two dozen features at every start of this binary,
//! which takes longer than all the rest of an ADD.

use std::ffi::CString;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use proxy_abi::{Ip, Pod};

/// Commands (linux/bpf.h, `enum bpf_cmd`).
mod command {
    pub(super) const MAP_UPDATE_ELEM: libc::c_int = 2;
    pub(super) const MAP_DELETE_ELEM: libc::c_int = 3;
    pub(super) const OBJ_PIN: libc::c_int = 6;
    pub(super) const OBJ_GET: libc::c_int = 7;
    pub(super) const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
    pub(super) const MAP_LOOKUP_BATCH: libc::c_int = 24;
    pub(super) const LINK_CREATE: libc::c_int = 28;
}

/// `enum bpf_attach_type`: tcx, packets that come in (Linux 6.6).
const BPF_TCX_INGRESS: u32 = 46;

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

/// The member for operations on one element of a map.
#[repr(C)]
struct Element {
    map: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The member for operations on many elements.
#[repr(C)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// The member for OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct InfoRequest {
    object: u32,
    length: u32,
    info: u64,
}

/// The head of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
struct MapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
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

/// Attaches a program to what comes in on an interface, by tcx. The link lasts as long as the
/// descriptor, or as long as it is pinned.
///
/// # Errors
/// As the kernel gives them: EINVAL before Linux 6.6.
pub(crate) fn attach_tcx_ingress(program: BorrowedFd<'_>, ifindex: u32) -> io::Result<OwnedFd> {
    let mut link = LinkCreate {
        program: number(program),
        target: ifindex,
        attach_type: BPF_TCX_INGRESS,
        flags: 0,
    };
    // SAFETY: the command follows no addresses.
    let fd = unsafe { bpf(command::LINK_CREATE, &mut link) }?;
    Ok(owned(fd))
}

/// Bytes that the kernel may read and write as a key or value of a map.
///
/// # Safety
/// The type is `repr(C)`, without padding, and every bit pattern is a value of it.
pub(crate) unsafe trait Plain: Copy {
    /// Something to overwrite.
    const BLANK: Self;
}

// SAFETY: `proxy_abi::plain_bytes` vouches for it.
unsafe impl Plain for Ip {
    const BLANK: Self = Self::v6([0; 16]);
}

// SAFETY: `proxy_abi::plain_bytes` vouches for it.
unsafe impl Plain for Pod {
    const BLANK: Self = Self::new(0, [0; 6]);
}

/// A hash map with keys and values of known types.
#[derive(Debug)]
pub(crate) struct Map<K, V> {
    fd: OwnedFd,
    types: PhantomData<(K, V)>,
}

impl<K: Plain, V: Plain> Map<K, V> {
    /// How many elements are read at once.
    const BATCH: usize = 256;

    /// Takes an open map.
    ///
    /// # Errors
    /// When it is no map, or one with keys or values of another size.
    pub(crate) fn of(fd: OwnedFd) -> io::Result<Self> {
        let info: MapInfo = info(fd.as_fd())?;
        let sizes = (info.key_size as usize, info.value_size as usize);
        if sizes == (size_of::<K>(), size_of::<V>()) {
            let types = PhantomData;
            return Ok(Self { fd, types });
        }
        Err(io::Error::other(
            "it is no map of keys and values as this version has them",
        ))
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// As the kernel gives them: E2BIG when the map is full.
    pub(crate) fn set(&self, key: &K, value: &V) -> io::Result<()> {
        let mut element = self.element(key, std::ptr::from_ref(value) as u64);
        // SAFETY: `key` and `value` are of the map's sizes, see `of`.
        unsafe { bpf(command::MAP_UPDATE_ELEM, &mut element) }.map(drop)
    }

    /// Removes a key, if it is there.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn remove(&self, key: &K) -> io::Result<()> {
        // SAFETY: `key` is of the map's size, see `of`; the command follows no other address.
        match unsafe { bpf(command::MAP_DELETE_ELEM, &mut self.element(key, 0)) } {
            Ok(_) => Ok(()),
            Err(error) => absent(error),
        }
    }

    /// All elements.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn elements(&self) -> io::Result<Vec<(K, V)>> {
        let mut keys = vec![K::BLANK; Self::BATCH];
        let mut values = vec![V::BLANK; Self::BATCH];
        // Where the next batch begins: the kernel writes no more than a key's length there.
        let (mut from, mut next) = (K::BLANK, K::BLANK);
        let mut elements = Vec::new();
        loop {
            let mut batch = Batch {
                from: match elements.len() {
                    0 => 0,
                    _ => std::ptr::from_ref(&from) as u64,
                },
                next: std::ptr::from_mut(&mut next) as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: Self::BATCH as u32,
                map: number(self.fd.as_fd()),
                element_flags: 0,
                flags: 0,
            };
            // SAFETY: there is room for `count` plain keys and values of the map's sizes.
            let read = unsafe { bpf(command::MAP_LOOKUP_BATCH, &mut batch) };
            let found = keys.iter().copied().zip(values.iter().copied());
            elements.extend(found.take(batch.count as usize));
            from = next;
            if let Err(error) = read {
                return absent(error).map(|()| elements);
            }
        }
    }

    fn element(&self, key: &K, value: u64) -> Element {
        Element {
            map: number(self.fd.as_fd()),
            zero: 0,
            key: std::ptr::from_ref(key) as u64,
            value,
            flags: 0,
        }
    }
}

/// ENOENT is how the kernel says that there is no such key, or no further one.
fn absent(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(errno) if errno == Errno::ENOENT as i32 => Ok(()),
        _ => Err(error),
    }
}

/// What the kernel says of an object, as far as `I` goes; zeroes where it says less.
fn info<I: Default>(object: BorrowedFd<'_>) -> io::Result<I> {
    let mut info = I::default();
    let mut request = InfoRequest {
        object: number(object),
        length: u32::try_from(size_of::<I>()).map_err(io::Error::other)?,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    // SAFETY: the kernel writes no more than `length` bytes to `info`, of which only the head of
    // a structure of integers is declared.
    unsafe { bpf(command::OBJ_GET_INFO_BY_FD, &mut request) }?;
    Ok(info)
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
