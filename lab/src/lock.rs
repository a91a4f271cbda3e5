//! Who serves a lab: the holder of an flock(2) on its lock file. The kernel lets go of the lock
//! when the holder dies, however it dies, so a stale lock cannot exist.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use crate::places::Places;

/// The right to make and remove a lab. Dropping it removes the lock file.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    held: Flock<File>,
}

/// What became of an attempt to take the lock.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The caller is the one now.
    Taken(Lock),
    /// A process lives that serves this lab.
    HeldBy(u32),
}

impl Lock {
    /// Takes the lock of the lab, or says who has it.
    pub(crate) fn attempt(places: &Places) -> io::Result<Attempt> {
        let path = places.lock();
        loop {
            fs::create_dir_all(places.base())?;
            let file = match open(&path) {
                // Another lab's sweep has just removed the directory of all labs.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // The holder before us may have removed the file between our open and our lock;
                // then this lock protects nothing.
                Ok(held) if is_at(&held, &path)? => {
                    let mut lock = Self { path, held };
                    lock.write_holder()?;
                    return Ok(Attempt::Taken(lock));
                }
                Ok(_unlinked) => {}
                Err((mut file, nix::Error::EWOULDBLOCK)) => {
                    return Ok(Attempt::HeldBy(read_holder(&mut file)?));
                }
                Err((_, errno)) => return Err(errno.into()),
            }
        }
    }

    fn write_holder(&mut self) -> io::Result<()> {
        self.held.set_len(0)?;
        writeln!(self.held, "{}", std::process::id())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock is released, so that nobody locks a file that is about to go. If it
        // fails the file stays, and is taken over by the next holder.
        let _stays = fs::remove_file(&self.path);
        if let Some(base) = self.path.parent() {
            let _others_live = fs::remove_dir(base);
        }
    }
}

/// The process that serves the lab, if one does. Takes nothing.
pub(crate) fn holder(places: &Places) -> io::Result<Option<u32>> {
    let file = match File::open(places.lock()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    // A shared lock is had exactly when nobody holds the exclusive one.
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_free) => Ok(None),
        Err((mut file, nix::Error::EWOULDBLOCK)) => read_holder(&mut file).map(Some),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Zero while the holder has not written who it is.
fn read_holder(file: &mut File) -> io::Result<u32> {
    let mut holder = String::new();
    file.read_to_string(&mut holder)?;
    Ok(holder.trim().parse().unwrap_or_default())
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.ino() == file.metadata()?.ino()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
