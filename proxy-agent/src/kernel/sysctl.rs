//! The kernel parameters that routing for pods needs, below /proc/sys of this network namespace.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;

/// A parameter and the value it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Path below /proc/sys.
    pub name: &'static str,
    /// The value.
    pub value: &'static str,
}

/// Everything the node needs.
pub const ALL: [Wanted; 2] = [
    // Packets of pods are routed.
    Wanted {
        name: "net/ipv4/ip_forward",
        value: "1",
    },
    // A reply that has the frontend's source again arrives where the endpoint is, which is not
    // where the route to the frontend's address points: strict checking would drop it. The
    // kernel takes the larger of this and the interface's own value, so this one must be 0.
    Wanted {
        name: "net/ipv4/conf/all/rp_filter",
        value: "0",
    },
];

/// A parameter could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} sysctl {name}: {source}")]
pub struct SysctlError {
    doing: &'static str,
    name: &'static str,
    source: io::Error,
}

/// The parameters that have another value.
///
/// # Errors
/// [`SysctlError`].
pub fn diff() -> Result<Vec<Wanted>, SysctlError> {
    let mut wrong = Vec::new();
    for wanted in ALL {
        let current = fs::read_to_string(wanted.path()).map_err(|source| SysctlError {
            doing: "read",
            name: wanted.name,
            source,
        })?;
        if current.trim() != wanted.value {
            wrong.push(wanted);
        }
    }
    Ok(wrong)
}

/// Sets a parameter.
///
/// # Errors
/// [`SysctlError`].
pub fn apply(wanted: Wanted) -> Result<(), SysctlError> {
    fs::write(wanted.path(), wanted.value).map_err(|source| SysctlError {
        doing: "write",
        name: wanted.name,
        source,
    })
}

impl Wanted {
    fn path(&self) -> PathBuf {
        PathBuf::from("/proc/sys").join(self.name)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "set sysctl {} to {}", self.name, self.value)
    }
}
