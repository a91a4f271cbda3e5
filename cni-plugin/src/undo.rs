//! What a failed ADD takes back. Each thing done is written down as soon as it stands; unless the
//! list is cleared at the end it is undone last to first, also while a panic unwinds.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::attachment::Attachment;
use crate::del;
use crate::error::Error;
use crate::host_ports;
use crate::lease::{Lease, Leases};
use crate::owned::{self, Standing};
use crate::panics;
use crate::pin;
use crate::table::{HostPorts, PacketPods, Pods};

/// Something done that can be taken back.
#[derive(Debug)]
pub(crate) enum Done {
    /// Addresses were leased from the files in that folder.
    Leases(PathBuf, Vec<IpAddr>),
    /// The host interface was made.
    Interface,
    /// A link may have been pinned.
    Pin(PathBuf),
    /// Entries of these addresses may have been made in the map pinned there.
    Entries(PathBuf, Vec<IpAddr>),
    /// The pod behind that interface may have been entered in the map pinned there.
    PacketPod(PathBuf, u32),
    /// Host ports may have been claimed, in the map pinned there, for that interface.
    HostPorts(PathBuf, u32),
}

/// The list.
#[derive(Debug)]
pub(crate) struct Undo<'a> {
    owner: &'a Attachment,
    network: &'a str,
    done: Vec<Done>,
}

impl<'a> Undo<'a> {
    /// Nothing done yet, on behalf of `owner` in that network.
    pub(crate) fn of(owner: &'a Attachment, network: &'a str) -> Self {
        Self {
            owner,
            network,
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

    /// Takes all back, as `cause` made it useless. Returns what the runtime is to be told: the
    /// cause, and all that could not be taken back.
    pub(crate) fn all(mut self, cause: Error) -> Error {
        let rest = self.take_all_back();
        if rest.is_empty() {
            return cause;
        }
        Error::NotUndone {
            cause: cause.into(),
            rest,
        }
    }

    /// An interface that cannot be removed keeps what was done before it, its program and its
    /// leases, as in DEL, which will come and try again.
    fn take_all_back(&mut self) -> Vec<Error> {
        let mut errors = Vec::new();
        while let Some(done) = self.done.pop() {
            let is_interface = matches!(done, Done::Interface);
            if let Err(error) = self.take_back(done) {
                errors.push(error);
                if is_interface {
                    self.done.clear();
                }
            }
        }
        errors
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
            Done::Interface => match owned::standing(self.owner, self.network)? {
                Standing::Theirs(link) => del::delete_interface(&link),
                Standing::Nothing | Standing::Anothers => Ok(()),
            },
            Done::Pin(path) => pin::remove(&path),
            Done::Entries(map, addresses) => match Pods::open_if_there(&map)? {
                Some(pods) => pods.remove(|address, _| addresses.contains(&(*address).into())),
                None => Ok(()),
            },
            Done::PacketPod(map, ifindex) => match PacketPods::open_if_there(&map)? {
                Some(pods) => pods.remove(|_, held| *held == ifindex),
                None => Ok(()),
            },
            Done::HostPorts(map, ifindex) => match HostPorts::open_if_there(&map)? {
                Some(ports) => host_ports::release(&ports, |held| held.ifindex == ifindex),
                None => Ok(()),
            },
        }
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // After a panic; what the runtime is told is that, and this is for the log.
        for error in self.take_all_back() {
            let causes = error.causes();
            panics::complain(&format!("while undoing a failed ADD: {error}: {causes}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachment::tests::mk_attachment;

    #[test]
    fn all_that_cannot_be_undone_is_told_after_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        // A folder in the place of a pin, and one in that of a lease.
        let pin = folder.path().join("from_pod-x");
        let address: IpAddr = "10.0.0.2".parse().unwrap();
        for name in ["from_pod-x", "10.0.0.2"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let owner = mk_attachment("no-such", "eth0");
        let mut undo = Undo::of(&owner, "flatnet");
        undo.note(Done::Leases(folder.path().to_owned(), vec![address]));
        undo.note(Done::Pin(pin));
        undo.note(Done::Interface);
        let told = undo.all(Error::Unused(address));
        let text = format!("{told} {}", told.causes());
        assert!(matches!(told, Error::NotUndone { .. }), "{text}");
        let not_in_use = text.find("not in use").unwrap();
        let pin = text.find("from_pod-x").unwrap();
        assert!(not_in_use < pin, "{text}");
        assert!(text.contains("irectory"), "and why: {text}");
    }
}
