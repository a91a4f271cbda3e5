//! The program that sees every packet a pod sends: loaded and pinned by the agent, attached here,
//! so that a pod can start while the agent is down and none of its packets ever goes past it.
//!
//! There are two ways to attach it, see [`Attach`]. With a filter, `message` has the steps; with
//! a link, it is done here.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use crate::bpf;
use crate::error::Error;
use crate::pin;

/// How the program is attached to the host end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// As a direct-action filter of a clsact qdisc. Works on every kernel, goes into the batch of
    /// all other steps, and goes with the interface.
    Filter,
    /// By a pinned tcx link (Linux 6.6), for an interface on which a later plugin puts an
    /// `ingress` qdisc: that and clsact exclude each other. Slow: for every link the kernel waits
    /// until all CPUs have left the old list of programs (`synchronize_rcu` in
    /// `tcx_entry_sync`), ten milliseconds and more.
    Link,
}

/// A pinned program, open.
#[derive(Debug)]
pub(crate) struct Program(OwnedFd);

impl Program {
    /// Opens a pinned program.
    ///
    /// # Errors
    /// [`Error::NotReady`] when there is no such pin: the agent has still to load it.
    pub(crate) fn open(pin: &Path) -> Result<Self, Error> {
        pin::open(pin).map(Self)
    }

    /// Its number, to name it to the kernel while this is open.
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Attaches the program by a link and pins that: it lives as long as the pin and the
    /// interface do, not as long as this process.
    ///
    /// # Errors
    /// When the kernel refuses one or the other.
    pub(crate) fn attach_link(&self, ifindex: u32, link_pin: &Path) -> Result<(), Error> {
        // The interface was made a moment ago, so a pin of its name is a crash's leftover.
        pin::remove(link_pin)?;
        if let Some(folder) = link_pin.parent() {
            fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        }
        let attaching = "attach (tcx, needs Linux 6.6) the program to be pinned as";
        let link = bpf::attach_tcx_ingress(self.0.as_fd(), ifindex)
            .map_err(Error::pinned(attaching, link_pin))?;
        bpf::pin(link.as_fd(), link_pin).map_err(Error::pinned("pin the link", link_pin))
    }
}
