//! Kernel settings of an interface below `/proc/sys`, for which netlink has no words. The files
//! are those of the network namespace of whoever opens them.

use std::fs;
use std::path::Path;

use crate::error::Error;
use crate::plan::Sysctl;

/// Whether the kernel has IPv6; one built or started without it has no such settings.
pub(crate) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6/conf").exists()
}

/// Makes settings in the calling thread's namespace, those that are not so already: some of them
/// have the kernel take its network lock, for which hundred pods may be waiting.
///
/// # Errors
/// When a file cannot be written, as on a read-only `/proc/sys`.
pub(crate) fn set(settings: &[Sysctl]) -> Result<(), Error> {
    for (name, value) in settings {
        let path = Path::new("/proc/sys").join(name);
        let there = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        if there.trim() != *value {
            fs::write(&path, value).map_err(Error::file("set", &path))?;
        }
    }
    Ok(())
}
