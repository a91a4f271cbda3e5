//! What the kernel says of BPF objects.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::{Plain, bpf, command, number, owned};
use crate::program::Side;

/// `BPF_LINK_TYPE_TCX` (linux/bpf.h).
const LINK_TYPE_TCX: u32 = 11;

/// The member for OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct InfoRequest {
    object: u32,
    length: u32,
    info: u64,
}

/// The member for PROG_GET_FD_BY_ID.
#[repr(C)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// The head of `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct MapInfo {
    kind: u32,
    id: u32,
    /// Bytes of a key.
    pub(super) key_size: u32,
    /// Bytes of a value.
    pub(super) value_size: u32,
    /// How many elements it has room for.
    pub(super) capacity: u32,
}

// SAFETY: `repr(C)`, integers of one size.
unsafe impl Plain for MapInfo {
    const BLANK: Self = Self {
        kind: 0,
        id: 0,
        key_size: 0,
        value_size: 0,
        capacity: 0,
    };
}

/// The head of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    addresses: [u64; 3],
    owner: u32,
    maps: u32,
    map_ids: u64,
    name: [u8; 16],
}

// SAFETY: `repr(C)`, integers, each at a multiple of its size, 80 bytes in all.
unsafe impl Plain for ProgramInfo {
    const BLANK: Self = Self {
        kind: 0,
        id: 0,
        tag: [0; 8],
        lengths: [0; 2],
        addresses: [0; 3],
        owner: 0,
        maps: 0,
        map_ids: 0,
        name: [0; 16],
    };
}

const _: () = assert!(size_of::<ProgramInfo>() == 80);

impl ProgramInfo {
    /// What the kernel says of the program with that id.
    ///
    /// # Errors
    /// As the kernel gives them: ENOENT when there is none.
    pub(crate) fn of_id(id: u32) -> io::Result<Self> {
        let mut by_id = ById {
            id,
            next: 0,
            flags: 0,
        };
        // SAFETY: the command follows no addresses.
        let fd = unsafe { bpf(command::PROG_GET_FD_BY_ID, &mut by_id) }?;
        info(owned(fd).as_fd())
    }

    /// Its name, as far as the kernel keeps it: 15 bytes.
    pub(crate) fn name(&self) -> String {
        let name = self.name.split(|byte| *byte == 0).next();
        String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
    }
}

/// The head of `struct bpf_link_info` with the member of tcx links.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkInfo {
    kind: u32,
    id: u32,
    program_id: u32,
    gap: u32,
    ifindex: u32,
    attach_type: u32,
}

// SAFETY: `repr(C)`, integers of one size.
unsafe impl Plain for LinkInfo {
    const BLANK: Self = Self {
        kind: 0,
        id: 0,
        program_id: 0,
        gap: 0,
        ifindex: 0,
        attach_type: 0,
    };
}

impl LinkInfo {
    /// What the kernel says of a link.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub(crate) fn of(link: BorrowedFd<'_>) -> io::Result<Self> {
        info(link)
    }

    /// The id of the program, if the link attaches it by tcx to that side of that interface.
    pub(crate) fn program_on(&self, ifindex: u32, side: Side) -> Option<u32> {
        let is_ours = self.kind == LINK_TYPE_TCX
            && self.attach_type == super::tcx(side)
            && self.ifindex == ifindex;
        is_ours.then_some(self.program_id)
    }
}

/// What the kernel says of an object, as far as `I` goes; zeroes where it says less.
pub(super) fn info<I: Plain>(object: BorrowedFd<'_>) -> io::Result<I> {
    let mut info = I::BLANK;
    let mut request = InfoRequest {
        object: number(object),
        length: u32::try_from(size_of::<I>()).map_err(io::Error::other)?,
        info: std::ptr::from_mut(&mut info) as u64,
    };
    // SAFETY: the kernel writes no more than `length` bytes to `info`, which is plain, and
    // follows no address in it: the lengths that go with them are zero.
    unsafe { bpf(command::OBJ_GET_INFO_BY_FD, &mut request) }?;
    Ok(info)
}
