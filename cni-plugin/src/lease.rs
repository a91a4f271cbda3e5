//! The address files, in the layout of the upstream `host-local` plugin, so that a node can move
//! to flatnet or away from it and keep its leases:
//!
//! ```text
//! <dataDir>/<network>/10.244.1.7            "<container id>\r\n<ifname>", made exclusively
//! <dataDir>/<network>/last_reserved_ip.0    the address last given out of range set 0
//! <dataDir>/<network>/lock                  flock(2), held by whoever changes anything here
//! <dataDir>/<network>/.lease-being-written  ours, gone again before the lock is released
//! ```
//!
//! Safe against a crash at any instruction: a lease appears under its name with its content, or
//! not at all. (It is not synced to disk: after a power loss no pod is left that owned it.)

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::attachment::Attachment;
use crate::error::Error;
use crate::range::RangeSet;

const LOCK: &str = "lock";
const LAST_RESERVED: &str = "last_reserved_ip";
const DRAFT: &str = ".lease-being-written";

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

    /// Takes the next free address of a range set. `set` is the set's number in the configuration.
    ///
    /// Unlike `host-local` it does not read all leases first to see whether `owner` has one: the
    /// host interface's name is the owner's, so a second ADD fails on that without an O(n) scan.
    ///
    /// # Errors
    /// When every address has a lease, or the files cannot be written.
    pub(crate) fn acquire(
        &self,
        set: usize,
        ranges: &RangeSet,
        owner: &Attachment,
    ) -> Result<IpAddr, Error> {
        fs::create_dir_all(self.folder)
            .map_err(Error::file("create the lease folder", self.folder))?;
        let _lock = self.lock()?;
        let draft = Draft::write(self.folder.join(DRAFT), owner)?;
        for address in ranges.candidates(self.last_reserved(set)) {
            let lease = self.folder.join(address.to_string());
            if draft
                .publish(&lease)
                .map_err(Error::file("write the lease", &lease))?
            {
                self.remember(set, address)
                    .inspect_err(|_| drop(fs::remove_file(&lease)))?;
                return Ok(address);
            }
        }
        Err(Error::Exhausted {
            ranges: ranges.to_string(),
            folder: self.folder.to_owned(),
        })
    }

    /// Gives back one address that `owner` took a moment ago.
    ///
    /// # Errors
    /// When the lease is not `owner`'s, or cannot be removed.
    pub(crate) fn give_back(&self, address: IpAddr, owner: &Attachment) -> Result<(), Error> {
        let _lock = self.lock()?;
        let lease = self.folder.join(address.to_string());
        let content = fs::read_to_string(&lease).map_err(Error::file("read the lease", &lease))?;
        if content.trim() != owner.lease() {
            return Err(Error::ForeignLease(address));
        }
        fs::remove_file(&lease).map_err(Error::file("remove the lease", &lease))
    }

    /// Releases every lease of `owner` and says how many there were. None is fine: DEL may come
    /// twice, or for a pod whose ADD never got this far.
    ///
    /// # Errors
    /// All that could not be removed; the rest is.
    pub(crate) fn release(&self, owner: &Attachment) -> Result<usize, Error> {
        if !self.folder.exists() {
            return Ok(0);
        }
        let _lock = self.lock()?;
        // Under the lock nobody is writing one, so it is what a killed ADD left.
        remove_draft(&self.folder.join(DRAFT))?;
        let released = self.remove_where(|content| content == owner.lease())?;
        if released > 0 {
            return Ok(released);
        }
        self.remove_where(|content| content == owner.old_lease())
    }

    fn remove_where(&self, matches: impl Fn(&str) -> bool) -> Result<usize, Error> {
        let read = Error::file("read the lease folder", self.folder);
        let entries: Vec<_> = fs::read_dir(self.folder)
            .and_then(Iterator::collect)
            .map_err(read)?;
        let mut errors = Vec::new();
        let mut removed = 0;
        for entry in entries
            .iter()
            .filter(|entry| is_lease(entry.file_name().to_str()))
        {
            // What cannot be read as text is nobody's lease: not ours to judge.
            let path = entry.path();
            let content = fs::read_to_string(&path).unwrap_or_default();
            if !matches(content.trim()) {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => removed += 1,
                Err(error) => errors.push(Error::file("remove the lease", &path)(error)),
            }
        }
        Error::all(errors).map(|()| removed)
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
}

fn is_lease(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.parse::<IpAddr>().is_ok())
}

fn remove_draft(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::file("remove the leftover", path)(error))
        }
        _gone => Ok(()),
    }
}

/// A lease with its content and without its name. Removed when dropped: what counts by then is
/// the hard link under the address.
struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Only called under the lock, so there is one at a time. A leftover may be a second name of
    /// a published lease (a crash between link and remove), so it is unlinked, never overwritten.
    fn write(path: PathBuf, owner: &Attachment) -> Result<Self, Error> {
        remove_draft(&path)?;
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path);
        let mut file = opened.map_err(Error::file("create", &path))?;
        let draft = Self { path };
        file.write_all(owner.lease().as_bytes())
            .map_err(Error::file("write", &draft.path))?;
        Ok(draft)
    }

    /// Gives the draft the lease's name unless somebody has it; link(2) is exclusive and atomic.
    fn publish(&self, lease: &Path) -> io::Result<bool> {
        match fs::hard_link(&self.path, lease) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            linked => return linked.map(|()| true),
        }
        // An empty file was created by a writer that died before it wrote: writers hold the lock
        // until the content is there, and the lock is ours.
        if fs::symlink_metadata(lease)?.len() > 0 {
            return Ok(false);
        }
        fs::remove_file(lease)?;
        fs::hard_link(&self.path, lease).map(|()| true)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Failing to is harmless: the next ADD or DEL removes it.
        let _leftover = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests;
