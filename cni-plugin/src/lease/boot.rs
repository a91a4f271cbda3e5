//! What becomes of leases when the node starts anew: no pod of the boot before is left, and
//! runtimes are known to forget the DELs they owe for them.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

use super::Leases;
use crate::error::Error;

/// File name of the note that says which boot the leases are of.
pub(super) const BOOT_ID: &str = ".boot-id";

/// One run of the node, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boot {
    /// Different for each.
    pub(crate) id: String,
    /// When it began, by the clock of now.
    pub(crate) began: SystemTime,
}

impl Boot {
    /// This run of this node; `None` where the kernel does not say.
    pub(crate) fn current() -> Option<Self> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let uptime = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
        Some(Self {
            id: id.trim().to_owned(),
            began: SystemTime::now().checked_sub(Duration::from(uptime))?,
        })
    }
}

impl Leases<'_> {
    /// Removes the leases of earlier boots, once in each, under the lock.
    ///
    /// A note of another boot says that this is the first ADD here in this one. That does not
    /// make every lease old: a node may have come back to flatnet from `host-local`, which leaves
    /// the note as it is. So a lease must also have been made before this boot began. A clock
    /// that was set back since then makes an old lease look young, and it stays until GC. One that
    /// was set forward between such a lease of `host-local`'s and the return to flatnet, all in
    /// one boot, would make it look old; that is the one case this cannot tell.
    ///
    /// Without a note nothing is known: the node was `host-local`'s until now.
    pub(super) fn recover_from_reboot(&self, boot: &Boot) -> Result<(), Error> {
        let note = self.folder.join(BOOT_ID);
        let of = fs::read_to_string(&note).unwrap_or_default();
        if of.trim() == boot.id {
            return Ok(());
        }
        if !of.trim().is_empty() {
            for lease in self.list()? {
                if self.was_made_before(lease.address, boot.began) {
                    self.remove(lease.address)?;
                }
            }
        }
        // Last: a crash before it repeats the above.
        fs::write(&note, &boot.id).map_err(Error::file("write", &note))
    }

    /// By the time of the last change of the file's names or content, which is also there where
    /// copying or restoring a folder sets the other times. Whole seconds, rounded to the safe side.
    fn was_made_before(&self, address: IpAddr, moment: SystemTime) -> bool {
        let changed = fs::metadata(self.path(address)).map(|about| about.ctime());
        let since_1970 = moment.duration_since(SystemTime::UNIX_EPOCH);
        match (changed, since_1970) {
            (Ok(changed), Ok(moment)) => changed < moment.as_secs().cast_signed() - 1,
            _unknown => false,
        }
    }
}

#[cfg(test)]
mod tests;
