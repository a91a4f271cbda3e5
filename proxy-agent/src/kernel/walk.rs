//! Reads a map from one end to the other, many entries a system call.

use std::os::fd::{AsFd as _, BorrowedFd};

use aya::maps::{MapData, MapError};
use aya::sys::SyscallError;

use super::bpf::Batch;
use super::maps::MapsError;
use super::pins::Pins;

/// Entries read at once: half a megabyte of flows, and a thousandth of the system calls.
const BATCH: usize = 4_096;

/// How much of a map is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Entries in it.
    pub used: u64,
    /// Entries that fit.
    pub size: u64,
}

/// How much of a pinned map is used.
///
/// # Errors
/// [`MapsError`].
pub fn count(pins: &Pins, name: &str) -> Result<Use, MapsError> {
    let failed = |source| MapsError::new(format!("count the entries of map {name}"), source);
    let data = MapData::from_pin(pins.map(name)).map_err(failed)?;
    let size = data.info().map_err(failed)?.max_entries().into();
    let used = walk(&data, |_, _| ()).map_err(failed)?;
    Ok(Use { used, size })
}

/// Shows each entry's bytes, and returns how many there were. Entries that others write meanwhile
/// may be missed; none is shown twice.
pub(super) fn walk(data: &MapData, mut each: impl FnMut(&[u8], &[u8])) -> Result<u64, MapError> {
    walk_while(data, |key, value| {
        each(key, value);
        true
    })
}

/// The same until `goes_on` says no: of an array in the order of its slots.
pub(super) fn walk_while(
    data: &MapData,
    mut goes_on: impl FnMut(&[u8], &[u8]) -> bool,
) -> Result<u64, MapError> {
    let info = data.info()?;
    let mut batch = Batch::new(BATCH, info.key_size() as usize, info.value_size() as usize);
    let mut used = 0;
    loop {
        let (count, last) = next(&mut batch, data.fd().as_fd())?;
        for (key, value) in batch.entries(count) {
            if !goes_on(key, value) {
                return Ok(used);
            }
            used += 1;
        }
        if last {
            return Ok(used);
        }
    }
}

fn next(batch: &mut Batch, map: BorrowedFd<'_>) -> Result<(usize, bool), MapError> {
    batch.next(map).map_err(|io_error| {
        MapError::SyscallError(SyscallError {
            call: "BPF_MAP_LOOKUP_BATCH",
            io_error,
        })
    })
}

/// An entry's key or value.
pub(super) fn read<T: aya::Pod>(bytes: &[u8]) -> Option<T> {
    // SAFETY: there are as many bytes as the type has, of which every bit pattern is a value.
    (bytes.len() == size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
