//! Programs that watch our packet programs at their work.
//!
//! Loaded from the object by aya's reader of object files, but not by aya, which has programs watch
//! functions of the kernel alone: the target of these is a loaded program, and each is loaded once
//! a target.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

use aya::Ebpf;
use aya::maps::Map;
use aya_obj::Object;
use proxy_abi::trace::{PROGRAMS, names};

use super::TraceError;
use crate::kernel::bpf::tracing::{self, When};
use crate::kernel::load;
use crate::kernel::pins::Pins;
use crate::kernel::programs;

/// Watches every packet program that is pinned, until the links are dropped. `loaded` is the same
/// object, whose maps they use.
///
/// # Errors
/// [`TraceError`].
pub(super) fn watch(bytes: &[u8], loaded: &Ebpf, pins: &Pins) -> Result<Vec<OwnedFd>, TraceError> {
    let broken = |error: &dyn std::fmt::Display| TraceError::Object(error.to_string());
    let mut object = Object::parse(bytes).map_err(|error| broken(&error))?;
    let code: HashSet<usize> = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    let maps = std::mem::take(&mut object.maps);
    let held = maps.iter().filter_map(|(name, map)| {
        let fd = descriptor(loaded.map(name)?)?;
        Some((name.as_str(), fd, map))
    });
    let relocated = object.relocate_maps(held, &code);
    relocated.map_err(|error| broken(&error))?;
    let linked = object.relocate_calls(&code);
    linked.map_err(|error| broken(&error))?;
    let mut links = Vec::new();
    for (number, target) in PROGRAMS.into_iter().enumerate() {
        let target_fd = programs::open(pins, target)?;
        // The later one first: a run whose beginning was not seen is not told.
        for (name, when) in [(names::AFTER, When::After), (names::BEFORE, When::Before)] {
            let failed = |source: io::Error| TraceError::Program { target, source };
            let program = one(&object, name, when, &target_fd).map_err(failed)?;
            let link = tracing::link(&program, when, number as u64).map_err(failed)?;
            links.push(link);
        }
    }
    Ok(links)
}

fn one(object: &Object, name: &str, when: When, target: &OwnedFd) -> io::Result<OwnedFd> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let program = object.programs.get(name).ok_or_else(missing)?;
    let function = object.functions.get(&program.function_key());
    let instructions = &function.ok_or_else(missing)?.instructions;
    let place = (target.as_fd(), tracing::first_function(target.as_fd())?);
    load::again(
        || tracing::load(instructions, &program.license, when, place),
        load::broke_off,
    )
}

fn descriptor(map: &Map) -> Option<RawFd> {
    match map {
        Map::Array(data) | Map::PerCpuArray(data) | Map::HashMap(data) | Map::RingBuf(data) => {
            Some(data.fd().as_fd().as_raw_fd())
        }
        _ => None,
    }
}
