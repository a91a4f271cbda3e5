//! The program that sees every packet a pod sends: loaded and pinned by the agent, attached here,
//! so that a pod can start while the agent is down and none of its packets ever goes past it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use aya::programs::links::FdLink;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use aya::sys::SyscallError;

use crate::error::Error;

/// Opens a pinned program.
///
/// # Errors
/// [`Error::ProgramMissing`] when there is no such pin: the agent has still to load it.
pub(crate) fn open(pin: &Path) -> Result<SchedClassifier, Error> {
    SchedClassifier::from_pin(pin).map_err(|error| match error {
        ProgramError::SyscallError(SyscallError { ref io_error, .. })
            if matches!(
                io_error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory
            ) =>
        {
            Error::ProgramMissing(pin.to_owned())
        }
        other => failed("open the pinned program", pin)(other.into()),
    })
}

/// Attaches the program to what comes in on `interface` (tcx, Linux 6.6) and pins the link: it
/// lives as long as the pin and the interface do, not as long as this process.
///
/// # Errors
/// When the kernel refuses one or the other.
pub(crate) fn attach(
    mut program: SchedClassifier,
    interface: &str,
    link_pin: &Path,
) -> Result<(), Error> {
    // The interface was made a moment ago, so a pin of its name is a crash's leftover.
    unpin(link_pin)?;
    if let Some(folder) = link_pin.parent() {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    }
    let attaching = "attach (tcx, needs Linux 6.6) the program to be pinned as";
    let order = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = program.attach_with_options(interface, TcAttachType::Ingress, order);
    let link = id
        .and_then(|id| program.take_link(id))
        .map_err(|error| failed(attaching, link_pin)(error.into()))?;
    let link = FdLink::try_from(link).map_err(|error| failed(attaching, link_pin)(error.into()))?;
    link.pin(link_pin)
        .map_err(|error| failed("pin the link", link_pin)(error.into()))?;
    Ok(())
}

/// Removes the pin of a link; fine if there is none.
///
/// # Errors
/// When it is there and cannot be removed.
pub(crate) fn unpin(link_pin: &Path) -> Result<(), Error> {
    match fs::remove_file(link_pin) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(Error::file("remove the pin", link_pin)(error))
        }
        _gone => Ok(()),
    }
}

fn failed(
    doing: &'static str,
    pin: &Path,
) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Error {
    let pin = pin.to_owned();
    move |source| Error::Program { doing, pin, source }
}
