//! The one door into a pod's network namespace. What goes in is a thread that ends there, so no
//! code can be left standing in the wrong one. What comes out is a netlink socket: it stays in
//! the namespace it was opened in, and almost everything is done through it from the node's side.

use std::fs::{self, File};
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt;
use std::thread;

use nix::sched::{CloneFlags, setns};

use crate::error::Error;
use crate::netlink::Netlink;
use crate::plan::Sysctl;
use crate::sysctl;

/// The namespace this process was started in.
const OWN: &str = "/proc/self/ns/net";

/// A pod's network namespace, held open.
#[derive(Debug)]
pub(crate) struct PodNamespace {
    path: String,
    file: File,
}

impl PodNamespace {
    /// Opens the file that stands for the namespace.
    ///
    /// # Errors
    /// When it cannot be opened, or is the node's own: routes meant for a pod would go there.
    pub(crate) fn open(path: &str) -> Result<Self, Error> {
        let failed = |doing| {
            move |source| Error::Namespace {
                path: path.to_owned(),
                doing,
                source,
            }
        };
        let file = File::open(path).map_err(failed("cannot open it"))?;
        let theirs = file.metadata().map_err(failed("cannot look at it"))?;
        let ours = fs::metadata(OWN).map_err(Error::file("look at", OWN.as_ref()))?;
        if (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()) {
            return Err(Error::OwnNamespace(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// The file, to name the namespace to the kernel.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// A netlink socket in the namespace.
    ///
    /// # Errors
    /// When the file is no network namespace or the socket cannot be opened.
    pub(crate) fn netlink(&self) -> Result<Netlink, Error> {
        self.inside(Netlink::open)
    }

    /// Makes kernel settings: `/proc/sys/net` shows the namespace of whoever looks into it.
    ///
    /// # Errors
    /// See [`sysctl::set`].
    pub(crate) fn set(&self, settings: &[Sysctl]) -> Result<(), Error> {
        if settings.is_empty() {
            return Ok(());
        }
        self.inside(|| sysctl::set(settings))
    }

    /// The kernel's number of the namespace (socket option `SO_NETNS_COOKIE`, Linux 5.14), by which
    /// the programs at connect() know its sockets.
    ///
    /// # Errors
    /// When no socket can be made there, or the kernel does not know the option.
    pub(crate) fn number(&self) -> Result<u64, Error> {
        self.inside(|| {
            cookie().map_err(|source| Error::Namespace {
                path: self.path.clone(),
                doing: "cannot ask for its number",
                source,
            })
        })
    }

    /// Does something in the namespace. A thread goes in, does it and ends there: there is no way
    /// back to forget, and none that could fail.
    fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
        let failed = |doing| {
            move |source| Error::Namespace {
                path: self.path.clone(),
                doing,
                source,
            }
        };
        thread::scope(|scope| {
            let enter = || {
                setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|errno| {
                    failed("cannot enter it as a network namespace")(errno.into())
                })?;
                work()
            };
            let thread = thread::Builder::new().spawn_scoped(scope, enter);
            let inside = thread.map_err(failed("cannot start a thread to enter it"))?;
            let gone = || io::Error::other("the thread that entered it panicked");
            inside
                .join()
                .unwrap_or_else(|_payload| Err(failed("cannot do anything in it")(gone())))
        })
    }
}

fn cookie() -> io::Result<u64> {
    // Any socket will do. Its loopback may not be up yet, so it is bound to no address.
    let socket = UdpSocket::bind("0.0.0.0:0").or_else(|_| UdpSocket::bind("[::]:0"))?;
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `len` bytes to `cookie`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut len,
        )
    };
    match result {
        0 => Ok(cookie),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pods_namespace() {
        let missing = PodNamespace::open("/proc/self/ns/nothing").unwrap_err();
        assert!(matches!(missing, Error::Namespace { .. }), "{missing}");
        let own = PodNamespace::open(OWN).unwrap_err();
        assert!(matches!(own, Error::OwnNamespace(_)), "{own}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let plain = PodNamespace::open(file.path().to_str().unwrap()).unwrap();
        assert!(matches!(plain.netlink(), Err(Error::Namespace { .. })));
    }
}
