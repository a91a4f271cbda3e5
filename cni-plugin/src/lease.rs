//! The address files, in the layout of the upstream `host-local` plugin, so that a node can move
//! to flatnet or away from it and keep its leases:
//!
//! ```text
//! <dataDir>/<network>/10.244.1.7            "<container id>\r\n<ifname>", made exclusively
//! <dataDir>/<network>/last_reserved_ip.0    the address last given out of range set 0
//! <dataDir>/<network>/lock                  flock(2), held by whoever changes anything here
//! <dataDir>/<network>/.lease-being-written  ours, gone again before the lock is released
//! <dataDir>/<network>/.boot-id              ours, the boot of the node the leases are of
//! ```
//!
//! Safe against a crash at any instruction: a lease appears under its name with its content, or
//! not at all. (It is not synced to disk: after a power loss no pod is left that owned it.)

mod boot;
mod draft;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::attachment::Attachment;
use crate::error::Error;
use crate::range::RangeSet;

pub(crate) use boot::Boot;
use draft::Draft;

const LOCK: &str = "lock";
const LAST_RESERVED: &str = "last_reserved_ip";

/// Where one of a pod's addresses comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    /// The addresses.
    pub(crate) ranges: RangeSet,
    /// The one of them it has to be; `None` for the next free one.
    pub(crate) wish: Option<IpAddr>,
}

/// An address and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// The address.
    pub(crate) address: IpAddr,
    /// The file's content, trimmed; nothing where it cannot be read as text.
    pub(crate) owner: String,
}

/// The leases of one network.
#[derive(Debug)]
pub(crate) struct Leases<'a> {
    folder: &'a Path,
}

impl<'a> Leases<'a> {
    /// The leases below `folder`, which need not exist yet.
    pub(crate) fn of(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// Takes one address from each pool, or none at all. The number of a pool is that of its
    /// range set in the configuration.
    ///
    /// Unlike `host-local` it does not read all leases first to see whether `owner` has one: the
    /// host interface's name is the owner's, so a second ADD fails on that without an O(n) scan.
    ///
    /// # Errors
    /// When every address has a lease, or the files cannot be written.
    pub(crate) fn acquire(
        &self,
        pools: &[Pool],
        owner: &Attachment,
        boot: Option<&Boot>,
    ) -> Result<Vec<IpAddr>, Error> {
        fs::create_dir_all(self.folder)
            .map_err(Error::file("create the lease folder", self.folder))?;
        let _lock = self.lock()?;
        if let Some(boot) = boot {
            self.recover_from_reboot(boot)?;
        }
        let draft = Draft::write(self.folder, owner)?;
        let mut taken = Vec::with_capacity(pools.len());
        for (number, pool) in pools.iter().enumerate() {
            let address = self.publish(&draft, number, pool).inspect_err(|_| {
                // The first error is the one to tell; what stays behind, DEL releases.
                for address in &taken {
                    let _leftover = fs::remove_file(self.path(*address));
                }
            })?;
            taken.push(address);
        }
        Ok(taken)
    }

    /// Puts a lease on the first candidate that has none.
    fn publish(&self, draft: &Draft, number: usize, pool: &Pool) -> Result<IpAddr, Error> {
        if let Some(wish) = pool.wish {
            return match self.publish_as(draft, wish)? {
                true => Ok(wish),
                false => Err(Error::Taken(self.path(wish))),
            };
        }
        for address in pool.ranges.candidates(self.last_reserved(number)) {
            if self.publish_as(draft, address)? {
                self.remember(number, address)
                    .inspect_err(|_| drop(fs::remove_file(self.path(address))))?;
                return Ok(address);
            }
        }
        Err(Error::Exhausted {
            ranges: pool.ranges.to_string(),
            folder: self.folder.to_owned(),
        })
    }

    fn publish_as(&self, draft: &Draft, address: IpAddr) -> Result<bool, Error> {
        let lease = self.path(address);
        let published = draft.publish(&lease);
        published.map_err(Error::file("write the lease", &lease))
    }

    /// All leases there are. Without the lock: each appears whole, and what is read here is read
    /// again before it is removed.
    ///
    /// # Errors
    /// When the folder is there and cannot be read.
    pub(crate) fn list(&self) -> Result<Vec<Lease>, Error> {
        let entries = match fs::read_dir(self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.and_then(Iterator::collect::<Result<Vec<_>, _>>),
        };
        let entries = entries.map_err(Error::file("read the lease folder", self.folder))?;
        let addresses = entries
            .iter()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let leases = addresses.map(|address| Lease {
            address,
            owner: self.owner(address).unwrap_or_default(),
        });
        Ok(leases.collect())
    }

    /// The leases of an owner. Those of a `host-local` before 0.8, which knew no interfaces,
    /// count when there are no others.
    ///
    /// # Errors
    /// See [`Self::list`].
    pub(crate) fn of_owner(&self, owner: &Attachment) -> Result<Vec<Lease>, Error> {
        let all = self.list()?;
        let with = |content: &str| -> Vec<Lease> {
            let theirs = all.iter().filter(|lease| lease.owner == content);
            theirs.cloned().collect()
        };
        let leases = with(&owner.lease());
        Ok(if leases.is_empty() {
            with(owner.old_lease())
        } else {
            leases
        })
    }

    /// Releases leases, as far as they are still what they were. None is fine: DEL may come
    /// twice, or for a pod whose ADD never got this far.
    ///
    /// # Errors
    /// All that could not be removed; the rest is.
    pub(crate) fn release(&self, leases: &[Lease]) -> Result<(), Error> {
        if !self.folder.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        // Under the lock nobody is writing one, so it is what a killed ADD left.
        Draft::remove_leftover(self.folder)?;
        let unchanged = leases
            .iter()
            .filter(|lease| self.owner(lease.address).unwrap_or_default() == lease.owner);
        let failures = unchanged.filter_map(|lease| self.remove(lease.address).err());
        Error::all(failures.collect())
    }

    /// Who has an address; `None` when nobody has, or the file cannot be read as text.
    pub(crate) fn owner(&self, address: IpAddr) -> Option<String> {
        let content = fs::read_to_string(self.path(address)).ok()?;
        Some(content.trim().to_owned())
    }

    fn remove(&self, address: IpAddr) -> Result<(), Error> {
        let lease = self.path(address);
        match fs::remove_file(&lease) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::file("remove the lease", &lease)(error))
            }
            _gone => Ok(()),
        }
    }

    /// Waits for whoever holds the lock; the kernel frees it when a holder dies.
    fn lock(&self) -> Result<Flock<File>, Error> {
        let path = self.folder.join(LOCK);
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(&path);
        let file = opened.map_err(Error::file("open the lock", &path))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_file, errno)| Error::file("take the lock", &path)(errno.into()))
    }

    /// `None` also when the file is damaged: then the round begins anew, nothing else is lost.
    fn last_reserved(&self, set: usize) -> Option<IpAddr> {
        let text = fs::read_to_string(self.cursor(set)).ok()?;
        text.trim().parse().ok()
    }

    /// Overwrites in place: truncating first would have ext4 write the file out on close, which
    /// takes longer than all the rest here. A crash in between costs the cursor, not a lease.
    fn remember(&self, set: usize, address: IpAddr) -> Result<(), Error> {
        let path = self.cursor(set);
        let text = address.to_string();
        let overwrite = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(&path)?;
            file.write_all(text.as_bytes())?;
            let length = text.len() as u64;
            if file.metadata()?.len() == length {
                Ok(())
            } else {
                file.set_len(length)
            }
        };
        overwrite().map_err(Error::file("write", &path))
    }

    fn cursor(&self, set: usize) -> PathBuf {
        self.folder.join(format!("{LAST_RESERVED}.{set}"))
    }

    fn path(&self, address: IpAddr) -> PathBuf {
        self.folder.join(address.to_string())
    }
}

#[cfg(test)]
mod tests;
