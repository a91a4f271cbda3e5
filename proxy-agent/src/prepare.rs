//! What a node needs before the agent runs there, and what the agent has no rights for: the CNI
//! plugin in the runtime's folder, and a bpffs (a kind node has none).

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use proxy_abi::ownership::CNI_TYPE;

use crate::args::PrepareOptions;
use crate::kernel::filesystem;

/// The node cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// No bpffs, and none can be mounted.
    #[error(
        "cannot mount a bpffs at {path}: {source}; mount one on the node (mount -t bpf bpffs \
         {path}), or let this run privileged with mountPropagation Bidirectional"
    )]
    Bpffs {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The plugin cannot be read.
    #[error("cannot read the CNI plugin {path}: {source}")]
    Plugin {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The plugin cannot be written.
    #[error(
        "cannot install the CNI plugin as {path}: {source}; name the folder where the container \
         runtime looks for plugins with --cni-bin-dir (FLATNET_CNI_BIN_DIR), and make it writable"
    )]
    Install {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Prepares the node. What is as it should be is left alone.
///
/// # Errors
/// [`PrepareError`], with the remedy.
pub fn prepare(options: &PrepareOptions) -> Result<(), PrepareError> {
    let PrepareOptions {
        bpffs,
        cni_plugin,
        cni_bin_dir,
    } = options;
    let mounted = filesystem::ensure_bpffs(bpffs).map_err(|source| PrepareError::Bpffs {
        path: bpffs.clone(),
        source,
    })?;
    if mounted {
        tracing::info!("mounted a bpffs at {}", bpffs.display());
    }
    let plugin = fs::read(cni_plugin).map_err(|source| PrepareError::Plugin {
        path: cni_plugin.clone(),
        source,
    })?;
    let path = cni_bin_dir.join(CNI_TYPE);
    match install(&plugin, &path) {
        Ok(false) => {}
        Ok(true) => tracing::info!("installed {}", path.display()),
        Err(source) => return Err(PrepareError::Install { path, source }),
    }
    Ok(())
}

/// Writes a program in one step, so that a runtime that starts it at any moment has the old one or
/// the new one whole. Whether that was needed.
fn install(program: &[u8], path: &Path) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == program) && is_executable(path) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let fresh = folder.join(format!(".{CNI_TYPE}.new"));
    fs::write(&fresh, program)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o755))?;
    fs::rename(&fresh, path)?;
    Ok(true)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o111 == 0o111)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_installed_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bin").join(CNI_TYPE);
        assert!(install(b"one", &path).unwrap());
        assert!(!install(b"one", &path).unwrap(), "nothing to do");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(install(b"one", &path).unwrap(), "it could not be started");
        assert!(install(b"two", &path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "no half-written file stays");
    }
}
