//! A lease with its content and without its name, so that it gets the name whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::attachment::Attachment;
use crate::error::Error;

/// Its file name.
pub(super) const DRAFT: &str = ".lease-being-written";

/// Removed when dropped: what counts by then is the hard link under the address.
pub(super) struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Only called under the lock, so there is one at a time. A leftover may be a second name of
    /// a published lease (a crash between link and remove), so it is unlinked, never overwritten.
    pub(super) fn write(folder: &Path, owner: &Attachment) -> Result<Self, Error> {
        Self::remove_leftover(folder)?;
        let path = folder.join(DRAFT);
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

    /// Removes what a killed writer left. Only called under the lock.
    pub(super) fn remove_leftover(folder: &Path) -> Result<(), Error> {
        let path = folder.join(DRAFT);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::file("remove the leftover", &path)(error))
            }
            _gone => Ok(()),
        }
    }

    /// Gives the draft the lease's name unless somebody has it; link(2) is exclusive and atomic.
    pub(super) fn publish(&self, lease: &Path) -> io::Result<bool> {
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
