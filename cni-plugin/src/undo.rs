//! What a failed ADD takes back. Each thing done is written down as soon as it stands; unless the
//! list is cleared at the end, dropping it undoes them last to first, also while a panic unwinds.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::attachment::Attachment;
use crate::del;
use crate::error::Error;
use crate::lease::Leases;
use crate::program;

/// Something done that can be taken back.
#[derive(Debug)]
pub(crate) enum Done {
    /// An address was leased from the files in that folder.
    Lease(PathBuf, IpAddr),
    /// A host interface was made.
    Interface(String),
    /// A link may have been pinned.
    Pin(PathBuf),
}

/// The list.
#[derive(Debug)]
pub(crate) struct Undo<'a> {
    owner: &'a Attachment,
    done: Vec<Done>,
}

impl<'a> Undo<'a> {
    /// Nothing done yet, on behalf of `owner`.
    pub(crate) fn of(owner: &'a Attachment) -> Self {
        Self {
            owner,
            done: Vec::new(),
        }
    }

    /// This stands now.
    pub(crate) fn note(&mut self, done: Done) {
        self.done.push(done);
    }

    /// All stands and is to stay.
    pub(crate) fn clear(mut self) {
        self.done.clear();
    }

    fn take_back(&self, done: Done) -> Result<(), Error> {
        match done {
            Done::Lease(folder, address) => Leases::of(&folder).give_back(address, self.owner),
            Done::Interface(name) => del::delete_interface(&name),
            Done::Pin(path) => program::unpin(&path),
        }
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        while let Some(done) = self.done.pop() {
            // The first error is what the runtime is told; this one is for the log, and the DEL
            // that follows a failed ADD tries again.
            if let Err(error) = self.take_back(done) {
                eprintln!(
                    "flatnet-cni: while undoing a failed ADD: {error}: {}",
                    error.causes()
                );
            }
        }
    }
}
