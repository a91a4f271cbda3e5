//! Kernel settings of the host interface. `/proc/sys/net` shows the network namespace of whoever
//! opens a file in it: always the node's, as no code of this binary runs in a pod's.

use std::fs;
use std::path::Path;

use crate::error::Error;

/// Whether the kernel has IPv6; one built or started without it has no such settings.
pub(crate) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

/// Writes one setting; `name` is the path below `/proc/sys`.
///
/// # Errors
/// When the file cannot be written, as on a read-only `/proc/sys`.
pub(crate) fn set(name: &Path, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys").join(name);
    fs::write(&path, value).map_err(Error::file("set", &path))
}
