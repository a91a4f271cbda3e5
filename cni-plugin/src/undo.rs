//! What a failed ADD takes back. Each thing done is written down as soon as it stands; unless the
//! list is cleared at the end, dropping it undoes them last to first, also while a panic unwinds.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::attachment::Attachment;
use crate::del;
use crate::error::Error;
use crate::lease::{Lease, Leases};
use crate::pin;
use crate::pods::Pods;

/// Something done that can be taken back.
#[derive(Debug)]
pub(crate) enum Done {
    /// Addresses were leased from the files in that folder.
    Leases(PathBuf, Vec<IpAddr>),
    /// A host interface was made.
    Interface(String),
    /// A link may have been pinned.
    Pin(PathBuf),
    /// Entries of these addresses may have been made in the map pinned there.
    Entries(PathBuf, Vec<IpAddr>),
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
            Done::Leases(folder, addresses) => {
                let owner = self.owner.lease();
                let lease = |address| Lease {
                    address,
                    owner: owner.clone(),
                };
                let leases: Vec<_> = addresses.into_iter().map(lease).collect();
                Leases::of(&folder).release(&leases)
            }
            Done::Interface(name) => del::delete_interface(&name),
            Done::Pin(path) => pin::remove(&path),
            Done::Entries(map, addresses) => match Pods::open_if_there(&map)? {
                Some(pods) => pods.remove(|address, _| addresses.contains(&address)),
                None => Ok(()),
            },
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
