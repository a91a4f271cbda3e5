//! The bpf(2) commands that aya 0.14 does not offer: where a link is attached, putting another
//! program into a cgroup link, reading many entries of a map at once, writing one of a map whose
//! types are another version's, and asking a program that is open for its maps (aya opens it once
//! more by its id, which takes CAP_SYS_ADMIN). The only raw bpf system calls of the agent; those
//! for programs that watch programs are in [`tracing`].

pub mod tracing;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::plan::links::{Hook, Observed};

// Commands, link types and attach types of linux/bpf.h.
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;
const BPF_LINK_UPDATE: libc::c_long = 29;
const BPF_NOEXIST: u64 = 1;
/// As many maps as a program may have (linux/bpf_verifier.h, MAX_USED_MAPS).
const MOST_MAPS: usize = 64;
const BPF_LINK_TYPE_CGROUP: u32 = 3;
const BPF_LINK_TYPE_TCX: u32 = 11;
const BPF_TCX_INGRESS: u32 = 46;

/// Opens a pinned object (a link or a program).
///
/// # Errors
/// The system call's; `NotFound` if nothing is pinned there.
pub fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        pathname: u64,
        bpf_fd: u32,
        file_flags: u32,
    }
    let path = c_path(path)?;
    let mut attributes = Attributes {
        pathname: path.as_ptr() as u64,
        bpf_fd: 0,
        file_flags: 0,
    };
    let fd = bpf(BPF_OBJ_GET, &mut attributes)?;
    // SAFETY: the command returns a new descriptor that nobody else holds.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What runs in a link and where it is attached; `name_of` knows the interfaces by index.
///
/// # Errors
/// The system call's.
pub fn link(fd: &OwnedFd, name_of: impl Fn(u32) -> Option<String>) -> io::Result<Observed> {
    /// `struct bpf_link_info` as far as tcx (`ifindex`, `attach_type`) and cgroup links
    /// (`cgroup_id`, `attach_type`) fill it.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        kind: u32,
        id: u32,
        prog_id: u32,
        pad: u32,
        place: [u32; 4],
    }
    #[repr(C)]
    struct Attributes {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut info = Info::default();
    let mut attributes = Attributes {
        bpf_fd: fd.as_raw_fd().cast_unsigned(),
        info_len: size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    let Info {
        kind,
        prog_id,
        place: [first, second, ..],
        ..
    } = info;
    let hook = match kind {
        BPF_LINK_TYPE_TCX => match name_of(first) {
            None => Hook::Gone,
            Some(name) if second == BPF_TCX_INGRESS => Hook::Ingress(name),
            Some(name) => Hook::Egress(name),
        },
        BPF_LINK_TYPE_CGROUP => match u64::from(second) << 32 | u64::from(first) {
            0 => Hook::Gone,
            id => Hook::Cgroup(id),
        },
        _ => Hook::Gone,
    };
    Ok(Observed {
        program_id: prog_id,
        hook,
    })
}

/// The kernel's ids of the maps that a program uses.
///
/// # Errors
/// The system call's.
pub fn maps_of(program: BorrowedFd<'_>) -> io::Result<BTreeSet<u32>> {
    /// `struct bpf_prog_info` as far as the ids of the maps.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        kind_id_and_tag: [u32; 4],
        lengths: [u32; 2],
        instructions_and_time: [u64; 3],
        created_by_uid: u32,
        nr_map_ids: u32,
        map_ids: u64,
    }
    #[repr(C)]
    struct Attributes {
        bpf_fd: u32,
        info_len: u32,
        info: u64,
    }
    let mut ids = [0_u32; MOST_MAPS];
    let mut info = Info {
        nr_map_ids: MOST_MAPS as u32,
        map_ids: ids.as_mut_ptr() as u64,
        ..Info::default()
    };
    let mut attributes = Attributes {
        bpf_fd: program.as_raw_fd().cast_unsigned(),
        info_len: size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    let count = info.nr_map_ids as usize;
    Ok(ids.into_iter().take(count).collect())
}

/// Puts `program` into `link`: the next packet or call meets the new one, none meets neither.
///
/// # Errors
/// The system call's.
pub fn swap_program(link: &OwnedFd, program: &OwnedFd) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        link_fd: u32,
        new_prog_fd: u32,
        flags: u32,
        old_prog_fd: u32,
    }
    let mut attributes = Attributes {
        link_fd: link.as_raw_fd().cast_unsigned(),
        new_prog_fd: program.as_raw_fd().cast_unsigned(),
        flags: 0,
        old_prog_fd: 0,
    };
    bpf(BPF_LINK_UPDATE, &mut attributes)?;
    Ok(())
}

/// Writes an entry that is not there yet; `key` and `value` are as long as the map has them.
///
/// # Errors
/// The system call's; `AlreadyExists` if it is there.
pub fn insert_new(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        map_fd: u32,
        pad: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let mut attributes = Attributes {
        map_fd: map.as_raw_fd().cast_unsigned(),
        pad: 0,
        key: key.as_ptr() as u64,
        value: value.as_ptr() as u64,
        flags: BPF_NOEXIST,
    };
    bpf(BPF_MAP_UPDATE_ELEM, &mut attributes)?;
    Ok(())
}

/// Room for one batch of a map's entries, and how far the reading has come.
pub struct Batch {
    keys: Vec<u8>,
    values: Vec<u8>,
    key_size: usize,
    value_size: usize,
    /// A bucket's number in a hash map, the last key in others.
    position: Vec<u8>,
    begun: bool,
}

impl Batch {
    /// Room for `entries` of these sizes, as the kernel knows them, at the map's beginning.
    #[must_use]
    pub fn new(entries: usize, key_size: usize, value_size: usize) -> Self {
        Self {
            keys: vec![0; entries * key_size],
            values: vec![0; entries * value_size],
            key_size,
            value_size,
            position: vec![0; key_size.max(size_of::<u32>())],
            begun: false,
        }
    }

    /// Reads the next entries: how many, and whether those were the last. A hash map is read
    /// bucket by bucket, so what others write meanwhile makes it neither begin again nor end early.
    ///
    /// # Errors
    /// The system call's.
    pub fn next(&mut self, map: BorrowedFd<'_>) -> io::Result<(usize, bool)> {
        #[repr(C)]
        struct Attributes {
            in_batch: u64,
            out_batch: u64,
            keys: u64,
            values: u64,
            count: u32,
            map_fd: u32,
            elem_flags: u64,
            flags: u64,
        }
        let position = self.position.as_mut_ptr() as u64;
        let mut attributes = Attributes {
            in_batch: if self.begun { position } else { 0 },
            out_batch: position,
            keys: self.keys.as_mut_ptr() as u64,
            values: self.values.as_mut_ptr() as u64,
            count: u32::try_from(self.keys.len() / self.key_size).unwrap_or(u32::MAX),
            map_fd: map.as_raw_fd().cast_unsigned(),
            elem_flags: 0,
            flags: 0,
        };
        let done = bpf(BPF_MAP_LOOKUP_BATCH, &mut attributes);
        self.begun = true;
        let count = attributes.count as usize;
        match done {
            Ok(_) => Ok((count, false)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok((count, true)),
            Err(error) => Err(error),
        }
    }

    /// The bytes of the first `count` entries.
    pub fn entries(&self, count: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
        let keys = self.keys.chunks_exact(self.key_size);
        let values = self.values.chunks_exact(self.value_size);
        keys.zip(values).take(count)
    }
}

/// A path as the kernel takes it.
///
/// # Errors
/// `InvalidInput` if it contains a NUL.
pub fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn bpf<A>(command: libc::c_long, attributes: &mut A) -> io::Result<i32> {
    // SAFETY: each caller passes the leading part of `union bpf_attr` that its command reads, with
    // pointers to live memory; the kernel takes the size, treats the rest as zero, and may write
    // results into it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<A>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as i32)
    }
}
