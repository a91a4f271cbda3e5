//! Files in bpffs that keep a BPF object alive: opened by path, removed by path.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::bpf;
use crate::error::Error;

/// Opens what the agent pinned.
///
/// # Errors
/// [`Error::NotReady`] when there is no such pin: the agent has still to make it.
pub(crate) fn open(pin: &Path) -> Result<OwnedFd, Error> {
    bpf::open_pin(pin).map_err(|error| {
        if leads_nowhere(&error) {
            Error::NotReady(pin.to_owned())
        } else {
            Error::pinned("open", pin)(error)
        }
    })
}

/// Removes a pin, and with the last one the object; fine if there is none.
///
/// # Errors
/// When it is there and cannot be removed.
pub(crate) fn remove(pin: &Path) -> Result<(), Error> {
    match fs::remove_file(pin) {
        Err(error) if !leads_nowhere(&error) => Err(Error::file("remove the pin", pin)(error)),
        _gone => Ok(()),
    }
}

/// Whether that is how the kernel says that a path leads nowhere.
fn leads_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
