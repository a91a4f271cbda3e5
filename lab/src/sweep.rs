//! Removing a lab, found from its state directory and its cgroup alone.
//!
//! Does not ask who made what: it must also work after kill -9 of the maker, half way through a
//! start, and twice.

use std::fs;
use std::io;
use std::path::Path;

use crate::cgroup;
use crate::namespaces;
use crate::places::Places;

/// What a sweep leaves in the state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Nothing: the lab is gone.
    Nothing,
    /// The log directory: the lab is about to start and `serve` writes there already.
    Logs,
}

/// Kills the lab's processes, unmounts what it mounted, and removes its cgroups and files.
/// The caller holds the lab's lock.
///
/// # Errors
/// The first thing that could not be removed; everything else has been tried all the same.
pub(crate) fn sweep(places: &Places, leave: Leave) -> io::Result<()> {
    // In this order: processes hold mounts busy and cgroups populated, and removing files below
    // a mount point that is still mounted would remove what is mounted there.
    cgroup::kill(&places.cgroup())?;
    unmount_all(&places.state())?;
    let cgroups = cgroup::remove(&places.cgroup());
    let files = remove_files(&places.state(), leave);
    // The directories of all labs go with the last lab; another lab's presence is no error.
    let _others_live = fs::remove_dir(places.cgroup_base());
    let _others_live = fs::remove_dir(places.base());
    cgroups.and(files)
}

fn unmount_all(state: &Path) -> io::Result<()> {
    for place in namespaces::mounts_below(state)? {
        namespaces::unmount(&place)?;
    }
    match namespaces::mounts_below(state)?.first() {
        None => Ok(()),
        Some(left) => Err(io::Error::other(format!(
            "{} is still mounted",
            left.display()
        ))),
    }
}

fn remove_files(state: &Path, leave: Leave) -> io::Result<()> {
    if leave == Leave::Nothing {
        return absent_is_fine(fs::remove_dir_all(state));
    }
    let entries = match fs::read_dir(state) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name() == "logs" {
            continue;
        }
        let removed = if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        absent_is_fine(removed)?;
    }
    Ok(())
}

fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
