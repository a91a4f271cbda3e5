//! The programs that see every packet a pod sends and is sent: loaded and pinned by the agent,
//! attached here, so that a pod can start while the agent is down and none of its packets ever
//! goes past them.
//!
//! There are two ways to attach them, see [`Attach`]. With filters, `message` has the steps; with
//! links, it is done here.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use proxy_abi::ownership::program::{FROM_POD, TO_POD};

use crate::bpf;
use crate::config::Places;
use crate::error::Error;
use crate::pin;

/// Which packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Those that come in.
    Ingress,
    /// Those that leave.
    Egress,
}

/// A program and the side of a host end that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// Name of the program.
    pub(crate) program: &'static str,
    /// Of which packets.
    pub(crate) side: Side,
}

/// All that a host end runs.
pub(crate) const HOOKS: [Hook; 2] = [
    Hook {
        program: FROM_POD,
        side: Side::Ingress,
    },
    Hook {
        program: TO_POD,
        side: Side::Egress,
    },
];

/// How the programs are attached to the host end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// As direct-action filters of a clsact qdisc. Work on every kernel, go into the batch of all
    /// other steps, and go with the interface.
    Filter,
    /// By pinned tcx links (Linux 6.6), for an interface on which a later plugin puts an
    /// `ingress` qdisc: that and clsact exclude each other. Slow: for every link the kernel waits
    /// until all CPUs have left the old list of programs (`synchronize_rcu` in
    /// `tcx_entry_sync`), ten milliseconds and more.
    Link,
}

/// A pinned program, open.
#[derive(Debug)]
pub(crate) struct Program {
    hook: Hook,
    object: OwnedFd,
}

impl Program {
    /// Opens the pinned programs of all [`HOOKS`].
    ///
    /// # Errors
    /// [`Error::NotReady`] when there is no such pin: the agent has still to load it.
    pub(crate) fn open_all(places: &Places) -> Result<Vec<Self>, Error> {
        let open = |hook: Hook| {
            let object = pin::open(&places.program_pin(hook.program))?;
            Ok(Self { hook, object })
        };
        HOOKS.into_iter().map(open).collect()
    }

    /// What it is.
    pub(crate) fn hook(&self) -> Hook {
        self.hook
    }

    /// Its number, to name it to the kernel while this is open.
    pub(crate) fn fd(&self) -> RawFd {
        self.object.as_raw_fd()
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
        let link = bpf::attach_tcx(self.object.as_fd(), ifindex, self.hook.side)
            .map_err(Error::pinned(attaching, link_pin))?;
        bpf::pin(link.as_fd(), link_pin).map_err(Error::pinned("pin the link", link_pin))
    }
}
