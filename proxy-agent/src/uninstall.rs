//! Removes flatnet from a node: observe -> plan -> apply, as everything here, with nothing wanted.
//!
//! Pods lose their network with it. Everything is tried; what cannot be removed is named.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proxy_abi::ownership::{CNI_CONFIG_FILE, CNI_NETWORK, CNI_TYPE};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::UninstallOptions;
use crate::kernel::pins::Pins;
use crate::kernel::routes::{Netlink, NetlinkError};
use crate::kernel::{links, sysctl};
use crate::plan::removal::{self, Found, Operation};

/// Something could not be removed, or not even looked for.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// Links.
    #[error(transparent)]
    Links(#[from] links::LinksError),
    /// Interfaces, routes, filters.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// Kernel parameters.
    #[error(transparent)]
    Sysctl(#[from] sysctl::SysctlError),
    /// Files.
    #[error("cannot remove {path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[from] io::Error),
}

/// Removes everything, and returns what was removed, a line each, and what could not be.
///
/// # Errors
/// [`UninstallError`] if the node cannot be looked at.
pub async fn uninstall(
    options: &UninstallOptions,
) -> Result<(Vec<String>, Vec<UninstallError>), UninstallError> {
    let netlink = Netlink::open()?;
    let mut done = Removed::default();
    // First, so that the runtime begins no pod that would lose its network at once.
    done.file(&options.cni_conf_dir.join(CNI_CONFIG_FILE));
    // Nothing can be pinned where no bpffs is.
    let pins = Pins::below(&options.bpffs).ok();
    let found = observe(&netlink, pins.as_ref()).await?;
    for operation in removal::plan(&found) {
        let text = operation.to_string();
        done.note(&text, apply(&netlink, pins.as_ref(), operation).await);
    }
    if let Some(pins) = &pins {
        done.folder(pins.root());
    }
    done.folder(&options.cni_data_dir.join(CNI_NETWORK));
    // The plugin makes it where nobody else did; others' leases keep it.
    _ = fs::remove_dir(&options.cni_data_dir);
    done.file(&options.cni_bin_dir.join(CNI_TYPE));
    match sysctl::restore(&options.proc_sys, &options.state_dir) {
        Ok(restored) => done.lines.extend(restored),
        Err(error) => done.failures.push(error.into()),
    }
    done.folder(&options.state_dir);
    Ok((done.lines, done.failures))
}

/// [`uninstall`], with what it did on stdout.
///
/// # Errors
/// If something could not be removed; each such thing is named.
pub async fn tell(options: &UninstallOptions) -> anyhow::Result<()> {
    let (lines, failures) = uninstall(options).await?;
    for line in lines {
        println!("{line}");
    }
    if failures.is_empty() {
        if options.stay {
            signal(SignalKind::terminate())?.recv().await;
        }
        return Ok(());
    }
    let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
    anyhow::bail!("{}", texts.join("; "))
}

async fn observe(netlink: &Netlink, pins: Option<&Pins>) -> Result<Found, UninstallError> {
    let interfaces = netlink.interfaces().await?;
    let (routes, _) = netlink.routes(&interfaces).await?;
    Ok(Found {
        links: match pins {
            Some(pins) => links::observe(pins, &interfaces)?,
            None => Default::default(),
        },
        pods: netlink.pod_interfaces().await?,
        filters: netlink.own_filters(&interfaces).await?,
        tunnels: netlink.tunnels(&interfaces).await?,
        routes,
        rules: netlink.rules().await?,
    })
}

async fn apply(
    netlink: &Netlink,
    pins: Option<&Pins>,
    operation: Operation,
) -> Result<(), UninstallError> {
    match operation {
        Operation::Link(operation) => {
            if let Some(pins) = pins {
                links::apply(&operation, pins, Path::new("/"))?;
            }
        }
        Operation::Filter(operation) => {
            netlink.change_filter(&operation, None).await?;
            netlink.remove_room(operation.place()).await?;
        }
        Operation::Pod(name, ifindex) => netlink.delete_interface(&name, ifindex).await?,
        Operation::Route(operation) => netlink.apply(&operation).await?,
        Operation::Tunnel(operation) => netlink.change_tunnel(&operation).await?,
    }
    Ok(())
}

/// What was removed, and what could not be.
#[derive(Default)]
struct Removed {
    lines: Vec<String>,
    failures: Vec<UninstallError>,
}

impl Removed {
    fn note(&mut self, what: &str, result: Result<(), UninstallError>) {
        match result {
            Ok(()) => self.lines.push(what.to_owned()),
            Err(error) => self.failures.push(error),
        }
    }

    fn file(&mut self, path: &Path) {
        self.gone(path, fs::remove_file(path));
    }

    fn folder(&mut self, path: &Path) {
        let removed = fs::remove_dir_all(path);
        // In a pod it may be the node's folder, mounted by itself: what was in it is gone.
        let is_empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if removed.is_err() && is_empty() {
            return;
        }
        self.gone(path, removed);
    }

    fn gone(&mut self, path: &Path, result: io::Result<()>) {
        match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => {
                let path = path.to_path_buf();
                let what = format!("remove {}", path.display());
                self.note(
                    &what,
                    result.map_err(|source| UninstallError::File { path, source }),
                );
            }
        }
    }
}
