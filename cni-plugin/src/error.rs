//! Everything that can go wrong, one variant for each thing a caller can do about it. What the
//! runtime gets to see of it is decided in `report`.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::compare::Difference;
use crate::range::RangeError;
use crate::version::CniVersion;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A version of the specification not spoken here.
    #[error("cniVersion {0} is not spoken here; spoken are {known}", known = CniVersion::ALL.map(CniVersion::as_str).join(", "))]
    Version(String),
    /// A verb that the version spoken does not have.
    #[error("cniVersion {} has no {verb}, which came with {}", asked.as_str(), since.as_str())]
    Verb {
        /// The verb.
        verb: &'static str,
        /// The version asked for.
        asked: CniVersion,
        /// The first that has it.
        since: CniVersion,
    },
    /// A configuration key known and not supported.
    #[error("{key}: {value} is not supported: {why}")]
    Unsupported {
        /// Path of the key.
        key: &'static str,
        /// Its value.
        value: String,
        /// Why not, in words.
        why: &'static str,
    },
    /// An environment variable missing or unfit.
    #[error("{name}={value:?}: expected {expected}")]
    Environment {
        /// Its name.
        name: &'static str,
        /// Its value; empty when missing.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// Stdin could not be read.
    #[error("cannot read the network configuration from stdin")]
    Stdin(#[source] io::Error),
    /// The configuration is not JSON, or a value has the wrong type.
    #[error("cannot decode the network configuration")]
    Decode(#[source] serde_json::Error),
    /// The result that came with the configuration is none.
    #[error("cannot decode prevResult")]
    PrevResult(#[source] serde_json::Error),
    /// A configuration key with an unfit value.
    #[error("{key}: {value:?} {why}")]
    Config {
        /// Path of the key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        why: &'static str,
    },
    /// The `ipam` section's ranges make no sense.
    #[error("ipam: range set {index}: {source}")]
    Ranges {
        /// Which set, from 0.
        index: usize,
        /// What is wrong with it.
        source: Box<RangeError>,
    },
    /// The pod's network namespace cannot be used.
    #[error("CNI_NETNS={path}: {doing}")]
    Namespace {
        /// The file given.
        path: String,
        /// What failed.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// CNI_NETNS is the namespace this process runs in.
    #[error(
        "CNI_NETNS={0} is the node's own network namespace; a pod on the host network needs no CNI plugin"
    )]
    OwnNamespace(String),
    /// The pod already has an interface of that name.
    #[error(
        "interface {interface} already exists in the network namespace {netns}; a DEL must come before another ADD"
    )]
    InterfaceExists {
        /// CNI_IFNAME.
        interface: String,
        /// CNI_NETNS.
        netns: String,
    },
    /// The node already has the host end: the same attachment was added before.
    #[error(
        "host interface {0} already exists: this container and interface were added before; a DEL must come before another ADD"
    )]
    AlreadyAttached(String),
    /// No free address.
    #[error("no free address in {ranges}: each has a lease in {}", folder.display())]
    Exhausted {
        /// The range set.
        ranges: String,
        /// The lease folder.
        folder: PathBuf,
    },
    /// An address that was asked for is not free.
    #[error("the address asked for already has a lease: {}", .0.display())]
    Taken(PathBuf),
    /// A file operation on leases, pins or sysctls failed.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// The operation.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused a change of interfaces, addresses, routes or neighbours.
    #[error("cannot {doing}{}", said.as_deref().map(|said| format!(" ({said})")).unwrap_or_default())]
    Netlink {
        /// The operation and its object.
        doing: String,
        /// What the kernel added in words.
        said: Option<String>,
        /// The error number.
        source: io::Error,
    },
    /// The kernel does not get an address to work.
    #[error("the pod's address {0} is not in use yet, though the kernel has accepted it")]
    Unused(IpAddr),
    /// The agent has not pinned its programs and maps.
    #[error("{} does not exist: flatnet-agent has not loaded its programs on this node yet. Start it (or wait until it is ready) and try again", .0.display())]
    NotReady(PathBuf),
    /// A pinned BPF object cannot be used.
    #[error("cannot {doing} {}", pin.display())]
    Pinned {
        /// The operation.
        doing: &'static str,
        /// The pin it concerns.
        pin: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// CHECK found the node to be another than ADD left it.
    #[error("{} {}: {}", .0.len(), if .0.len() == 1 { "difference" } else { "differences" }, texts(.0))]
    Differs(Vec<Difference>),
    /// STATUS: an ADD would fail.
    #[error("{0}")]
    Unavailable(Box<Self>),
    /// STATUS: an ADD would fail, and what it would fail for concerns the pods there are as well.
    #[error("{0}")]
    Limited(Box<Self>),
    /// A node that is not set up for what is configured.
    #[error("{setting} is not {wanted}: {why}")]
    Node {
        /// Name of the setting.
        setting: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// What it is needed for.
        why: &'static str,
    },
    /// A map has no room.
    #[error("the map {} is full", .0.display())]
    Full(PathBuf),
    /// A port of the node that was asked for is another pod's.
    #[error("host port {port} is another pod's on this node: {holder}")]
    PortTaken {
        /// Address, port and protocol.
        port: String,
        /// Whose it is.
        holder: String,
    },
    /// An ADD failed, and so did taking back what it had done.
    #[error("{cause}; what had been done could not all be undone, a DEL is needed: {}", texts(.rest))]
    NotUndone {
        /// Why the ADD failed.
        cause: Box<Self>,
        /// All that could not be taken back.
        rest: Vec<Self>,
    },
    /// DEL or GC went on after the first failure and found more.
    #[error("{} things could not be removed: {}", .0.len(), texts(.0))]
    Several(Vec<Self>),
    /// A bug.
    #[error("flatnet-cni panicked: {0}")]
    Panic(String),
}

impl Error {
    /// Adapter for file operations.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }

    /// Adapter for operations on pinned BPF objects.
    pub(crate) fn pinned(doing: &'static str, pin: &Path) -> impl FnOnce(io::Error) -> Self {
        let pin = pin.to_owned();
        move |source| Self::Pinned { doing, pin, source }
    }

    /// The kernel's error number, where it was the kernel that refused.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Netlink { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the kernel says that the thing asked for is not there.
    pub(crate) fn is_absence(&self) -> bool {
        [
            Errno::ENODEV,
            Errno::ENOENT,
            Errno::ENETUNREACH,
            Errno::ESRCH,
        ]
        .iter()
        .any(|absence| self.errno() == Some(*absence as i32))
    }

    /// For STATUS: the code says that an ADD would fail, the words say of what.
    pub(crate) fn unavailable(self, limited: bool) -> Self {
        if limited {
            Self::Limited(self.into())
        } else {
            Self::Unavailable(self.into())
        }
    }

    /// All that failed as one error; `Ok` when nothing did.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// The chain of causes below the message, for the reader who wants to know more.
    pub(crate) fn causes(&self) -> String {
        if let Self::Unavailable(cause) | Self::Limited(cause) = self {
            return cause.causes();
        }
        let several: Vec<&Self> = match self {
            Self::Several(errors) => errors.iter().collect(),
            Self::NotUndone { cause, rest } => std::iter::once(&**cause).chain(rest).collect(),
            _ => Vec::new(),
        };
        if !several.is_empty() {
            let each: Vec<_> = several.into_iter().map(Self::causes).collect();
            let told = each.into_iter().filter(|text| !text.is_empty());
            return told.collect::<Vec<_>>().join("; ");
        }
        let first = std::error::Error::source(self);
        let chain = std::iter::successors(first, |error| error.source());
        let texts: Vec<_> = chain.map(ToString::to_string).collect();
        texts.join(": ")
    }
}

fn texts(things: &[impl ToString]) -> String {
    let texts: Vec<_> = things.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
